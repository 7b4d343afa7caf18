# syntax=docker/dockerfile:1

# The image holds portreeve alone. An app brings its own runtime: begin its Dockerfile with this image
# (FROM portreeve) and add Node, Python or whatever its `command` needs, with a configuration.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep downloaded and compiled dependencies from one build to the next.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin portreeve \
    && install -D -m 0755 target/release/portreeve /out/portreeve

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /app --create-home portreeve
COPY --from=build /out/portreeve /usr/local/bin/portreeve
WORKDIR /app
USER portreeve

# Ports above 1023 need no privilege; publish them as 80 and 443.
EXPOSE 8080 8443

# Asks the supervisor through its admin socket. Docker knows 0 and 1 only.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD portreeve status -c /etc/portreeve/portreeve.toml > /dev/null || exit 1

# The first process is a small one that starts the supervisor again, with all that lives, should that be killed; --keep says so
# for engines that put an init of their own in front (docker run --init).
# Stop accepting, finish what is in flight, stop the workers. Give it the time: docker stop --time 60.
STOPSIGNAL SIGTERM
ENTRYPOINT ["portreeve"]
CMD ["run", "--keep", "-c", "/etc/portreeve/portreeve.toml"]
