//! The proxy on its own, in one process that is not locked down: what valgrind and other instruments can look into.
//!
//! Its supervisor is a few lines of this program that tell it, over the same link, what the real one would tell it of fixed
//! servers. What is measured here is all that a request costs the proxy; see the README beside it.

use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use portreeve::config::defaults;
use portreeve::id::{Address, Generation, Serial, Slot};
use portreeve::link::{
    App, Certificate, Clients, Condition, Crowd, Endpoint, Epoch, FromProxy, Hold, Http2, Limits, Listener, Manifest,
    ManifestEntry, Requests, Snapshot, Streams, TicketKey, ToProxy, codec,
};
use portreeve::{proxy, sys};
use socket2::SockRef;
use tokio::net::UnixStream;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Longer than any measurement.
const AGES: Duration = Duration::from_hours(1);

/// Serves until it is killed.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    http: SocketAddr,
    #[arg(long)]
    https: SocketAddr,
    /// Certificate chain, PEM.
    #[arg(long)]
    cert: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// Write JSON access lines there.
    #[arg(long)]
    access_log: Option<PathBuf>,
    /// Serve so many other apps beside the one that is asked for.
    #[arg(long, default_value_t = 0)]
    apps: u32,
    /// List the servers so many times, as if each time they were others.
    #[arg(long, default_value_t = 1)]
    times: u32,
    /// The servers, joined by commas.
    #[arg(value_delimiter = ',')]
    servers: Vec<SocketAddr>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (near, far) = sys::socket::pair().context("make the link")?;
    let listeners = [listen(arguments.http, false)?, listen(arguments.https, true)?];
    let snapshot = snapshot(&arguments, &listeners)?;
    let access_log = arguments.access_log.clone();
    let manifest = Manifest { threads: 1, listeners: listeners.into(), access_log, access_json: true };
    let proxy = std::thread::spawn(move || proxy::run_unconfined(far));
    supervise(near, [ToProxy::Manifest(manifest), ToProxy::Publish(Box::new(snapshot))])?;
    match proxy.join() {
        Ok(outcome) => Ok(outcome?),
        Err(_) => bail!("the proxy has panicked"),
    }
}

/// Says what is to be said, and listens until the proxy has ended.
#[tokio::main(flavor = "current_thread")]
async fn supervise(link: OwnedFd, orders: [ToProxy; 2]) -> Result<()> {
    let link = std::os::unix::net::UnixStream::from(link);
    link.set_nonblocking(true)?;
    let mut link = UnixStream::from_std(link)?;
    for order in orders {
        codec::write(&mut link, &order).await?;
    }
    while let Some(message) = codec::read::<FromProxy>(&mut link).await? {
        if let FromProxy::Rejected { reason, .. } = message {
            bail!("rejected: {reason}");
        }
    }
    Ok(())
}

/// A listening socket that looks as if it were inherited.
fn listen(address: SocketAddr, tls: bool) -> Result<ManifestEntry> {
    let sockets = sys::listener::bind(address, 1).with_context(|| format!("listen at {address}"))?;
    let socket = sockets.into_iter().next().context("no socket")?;
    SockRef::from(&socket.socket).set_cloexec(false)?;
    let (address, cookie) = (socket.address, socket.cookie);
    Ok(ManifestEntry { descriptor: socket.socket.into_raw_fd(), address, tls, cookie })
}

fn snapshot(arguments: &Arguments, listeners: &[ManifestEntry]) -> Result<Snapshot> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
    let others =
        (1..=arguments.apps).map(|number| app(arguments, &format!("app{number}"), &format!("{number}.example")));
    let own = app(arguments, "web", "127.0.0.1");
    Ok(Snapshot {
        epoch: Epoch(1),
        listeners: listeners.iter().map(|entry| Listener { address: entry.address, app: None }).collect(),
        apps: others.chain([own]).collect::<Result<_>>()?,
        certificates: vec![Certificate { chain: read(&arguments.cert)?, key: read(&arguments.key)? }],
        ends_alone: false,
        tickets: vec![TicketKey { name: [1; 16], secret: [1; 32] }],
        clients: Clients { start_traces: true, ..Clients::default() },
        limits: limits(),
    })
}

fn app(arguments: &Arguments, name: &str, host: &str) -> Result<App> {
    let servers = (0..arguments.times).flat_map(|_| &arguments.servers);
    Ok(App {
        name: name.parse().context("the name of an app")?,
        hosts: Some(vec![host.to_owned()]),
        path: "/".into(),
        condition: Condition::Expected,
        endpoints: (0..).zip(servers).map(|(number, server)| endpoint(number, *server)).collect(),
        max_inflight: None,
        requests: Requests {
            body_bytes: None,
            retry_idempotency_key: false,
            request_start: false,
            canary: None,
            consistent: false,
        },
        hold: Hold { requests: 1000, time: AGES, shed_after: None, wakes: false },
        connect_timeout: defaults::CONNECT_TIMEOUT.default,
        response_timeout: Some(AGES),
        keepalive: AGES,
        maintenance: None,
    })
}

fn endpoint(number: u32, server: SocketAddr) -> Endpoint {
    let (serial, slot) = (Serial(u64::from(number) + 1), Slot(number));
    Endpoint {
        serial,
        slot,
        generation: Generation(1),
        address: Address::Tcp(server),
        open: true,
        proxy_protocol: false,
        leaving: false,
        streams: Streams::Wait,
        slow_start: None,
    }
}

/// As they come, but for the number of requests on a connection and their pace: under an instrument everything is slow.
fn limits() -> Limits {
    Limits {
        connections: 10_000,
        header_bytes: defaults::HEADER_BYTES.default as u32,
        header_count: defaults::HEADER_COUNT.default,
        handshake_timeout: AGES,
        header_timeout: AGES,
        body_idle: AGES,
        body_rate: Some(defaults::BODY_RATE.default),
        write_stall: AGES,
        keepalive_idle: AGES,
        http2: Http2 { streams: defaults::H2_STREAMS.default, requests: u32::MAX },
        crowd: Crowd {
            handshakes: defaults::HANDSHAKES.default,
            connections_per_ip: None,
            connects_per_ip: None,
            requests_per_ip: None,
            exempt: Vec::new(),
        },
    }
}
