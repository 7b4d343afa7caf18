//! `/metrics`, `/healthz` and `/readyz`, on a loopback listener of their own.
//!
//! Read-only; turns a request into an event and writes the answer. Invariant: at most [`MOST`] requests are open at
//! once and each ends within [`LIMIT`].

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::task::TaskTracker;
use tower::{BoxError, ServiceBuilder, service_fn};

use super::event::{Event, Events};
use crate::telemetry::exposition;

/// Connections open at once.
const MOST: usize = 64;

/// Time for one request.
const LIMIT: Duration = Duration::from_secs(5);

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Answer = Response<Full<Bytes>>;

/// Binds the listener; the returned address has the real port.
pub(super) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until cancelled.
pub(super) async fn serve(listener: TcpListener, events: Events, tasks: TaskTracker) -> Infallible {
    let permits = std::sync::Arc::new(Semaphore::new(MOST));
    loop {
        let permit = std::sync::Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => drop(tasks.spawn(speak(stream, events.clone(), permit))),
            Err(error) => {
                tracing::warn!(%error, "metrics listener: accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn speak(stream: TcpStream, events: Events, permit: OwnedSemaphorePermit) {
    let is_local = stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    let inner = service_fn(move |request: Request<Incoming>| {
        let events = events.clone();
        async move { Ok::<_, Infallible>(answer(&request, is_local, &events).await) }
    });
    let service = ServiceBuilder::new().map_result(rescue).timeout(LIMIT).service(inner);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Ok(Err(error)) = tokio::time::timeout(LIMIT * 2, connection).await {
        tracing::debug!(%error, "metrics connection");
    }
    drop(permit);
}

#[allow(clippy::unnecessary_wraps, reason = "the shape that tower's map_result asks for")]
fn rescue(result: Result<Answer, BoxError>) -> Result<Answer, BoxError> {
    Ok(result.unwrap_or_else(|_| plain(StatusCode::GATEWAY_TIMEOUT, "the supervisor took too long\n")))
}

async fn answer(request: &Request<Incoming>, is_local: bool, events: &Events) -> Answer {
    if is_local && !request.headers().get(http::header::HOST).is_none_or(names_this_machine) {
        return plain(StatusCode::MISDIRECTED_REQUEST, "on loopback ask for localhost or an address\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    let gone = || plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    match request.uri().path() {
        "/metrics" => ask(events, |reply| Event::Scrape { reply }).await.map_or_else(gone, metrics),
        // Whoever answers is alive: the question goes through the loop.
        "/healthz" => {
            ask(events, |reply| Event::AskReady { reply }).await.map_or_else(gone, |_| plain(StatusCode::OK, "alive\n"))
        }
        "/readyz" => match ask(events, |reply| Event::AskReady { reply }).await {
            Some(Ok(())) => plain(StatusCode::OK, "ready\n"),
            Some(Err(reason)) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            None => gone(),
        },
        _ => plain(StatusCode::NOT_FOUND, "there is /metrics, /healthz and /readyz\n"),
    }
}

/// Is it `localhost`, or an address? A page in a browser on this machine that has made a name of its own lead here has that
/// name in `Host`, and is not to read what we say (DNS rebinding).
fn names_this_machine(host: &http::HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

async fn ask<T>(events: &Events, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    events.send(event(reply)).await.ok()?;
    answer.await.ok()
}

fn metrics(text: String) -> Answer {
    let mut answer = plain(StatusCode::OK, text);
    let kind = http::HeaderValue::from_static(exposition::CONTENT_TYPE);
    answer.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    answer
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_lead_here_by_trickery_are_refused() {
        let is_ours = |host: &str| names_this_machine(&host.parse().unwrap());
        for host in ["localhost", "LOCALHOST:9900", "127.0.0.1:9900", "127.0.0.1", "[::1]:9900", "[::1]", "10.0.0.7"] {
            assert!(is_ours(host), "{host}");
        }
        for host in ["evil.example", "evil.example:9900", "localhost.evil.example", "127.0.0.1.evil.example:80", ""] {
            assert!(!is_ours(host), "{host}");
        }
    }
}
