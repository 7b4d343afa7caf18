//! Asks a server whether it is ready: a TCP connection, or a `GET` answered with a status below 400.
//!
//! One question, one answer, within a limit. What an answer leads to is decided elsewhere.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::config::{Probe, ProbeKind};
use crate::id::Address;

/// What probes call themselves.
const USER_AGENT: &str = concat!("portreeve/", env!("CARGO_PKG_VERSION"), " (probe)");

/// The header of a connection that is for no client: command LOCAL of version 2 (haproxy's proxy-protocol.txt, section 2.2).
const LOCAL: [u8; 16] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Asks once, behind a header of the PROXY protocol if the server wants one; an error says in one clause what happened.
///
/// Cancellation safe: nothing is left behind but a closed connection.
pub(super) async fn ask(address: &Address, probe: &Probe, proxy_protocol: bool) -> Result<(), String> {
    let header: &[u8] = if proxy_protocol { &LOCAL } else { &[] };
    let asked = async {
        match address {
            Address::Tcp(address) => answer(TcpStream::connect(address).await, header, &probe.kind, false).await,
            Address::Unix(path) => answer(UnixStream::connect(path).await, header, &probe.kind, false).await,
        }
    };
    let Limit(limit) = Limit(probe.timeout);
    tokio::time::timeout(limit, asked)
        .await
        .unwrap_or_else(|_| Err(format!("{} had no answer within {}", Asked(&probe.kind), Limit(limit))))
}

/// Asks for a path by a name, once, and reads the answer to its end; an error as above. It is the caller who sets a limit.
///
/// Cancellation safe, as [`ask`] is.
pub(super) async fn fetch(address: &Address, (path, host): (&str, &str), proxy_protocol: bool) -> Result<(), String> {
    let header: &[u8] = if proxy_protocol { &LOCAL } else { &[] };
    let kind = ProbeKind::Http { path: path.to_owned(), host: host.to_owned() };
    match address {
        Address::Tcp(address) => answer(TcpStream::connect(address).await, header, &kind, true).await,
        Address::Unix(path) => answer(UnixStream::connect(path).await, header, &kind, true).await,
    }
}

async fn answer<S>(connected: std::io::Result<S>, header: &[u8], kind: &ProbeKind, is_read: bool) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut stream = connected.map_err(|error| format!("connect: {error}"))?;
    stream.write_all(header).await.map_err(|error| format!("{}: {error}", Asked(kind)))?;
    let ProbeKind::Http { path, host } = kind else { return Ok(()) };
    let request = Request::get(path)
        .header(http::header::HOST, host)
        .header(http::header::USER_AGENT, USER_AGENT)
        // Apps that send plain HTTP elsewhere would otherwise answer the probe with a redirect to themselves.
        .header("x-forwarded-proto", "https")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("{}: {error}", Asked(kind)))?;
    let failed = |error: hyper::Error| format!("{}: {error}", Asked(kind));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let response = async move {
        // A body that nobody reads would hold up the end of the connection: it is dropped with the rest.
        let (head, mut body) = sender.send_request(request).await?.into_parts();
        while is_read && let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(head.status)
    };
    let (status, _) = tokio::join!(response, async { connection.await.ok() });
    let status: StatusCode = status.map_err(failed)?;
    if status.as_u16() < 400 { Ok(()) } else { Err(format!("{} answered {}", Asked(kind), status.as_u16())) }
}

/// The question, for messages.
struct Asked<'a>(&'a ProbeKind);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ProbeKind::Tcp => f.write_str("a TCP connection"),
            ProbeKind::Http { path, .. } => write!(f, "GET {path}"),
        }
    }
}

/// A duration, for messages.
struct Limit(Duration);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn probe(kind: ProbeKind, timeout: u64) -> Probe {
        let one = NonZeroU32::MIN;
        let interval = Duration::from_millis(1);
        Probe { kind, interval, timeout: Duration::from_millis(timeout), successes: one, failures: one }
    }

    fn http() -> ProbeKind {
        ProbeKind::Http { path: "/health".into(), host: "example.com".into() }
    }

    /// Answers one request with the given text, or with silence, and returns what was asked.
    async fn asked_of(answer: Option<&'static str>, timeout: u64) -> (Result<(), String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let length = stream.read(&mut head).await.unwrap();
            match answer {
                // Whoever has read enough closes the connection.
                Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                None => drop(stream.read(&mut [0; 1]).await),
            }
            String::from_utf8_lossy(&head[..length]).into_owned()
        };
        let probe = probe(http(), timeout);
        tokio::join!(ask(&address, &probe, false), server)
    }

    #[tokio::test]
    async fn a_status_below_400_is_ready() {
        let (result, asked) = asked_of(Some("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n"), 5000).await;
        assert_eq!(result, Ok(()));
        assert!(asked.starts_with("GET /health HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("host: example.com\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn a_server_that_wants_to_be_told_for_whom_a_connection_is_gets_the_header_for_nobody() {
        let yes = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        for (kind, more, answer) in [(http(), "GET /health HTTP/1.1\r\n", yes), (ProbeKind::Tcp, "", "")] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = Address::Tcp(listener.local_addr().unwrap());
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut said = vec![0; LOCAL.len() + more.len()];
                stream.read_exact(&mut said).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                said
            };
            let probe = probe(kind, 5000);
            let (result, said) = tokio::join!(ask(&address, &probe, true), server);
            assert_eq!((result, said), (Ok(()), [&b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..], more.as_bytes()].concat()));
        }
    }

    #[tokio::test]
    async fn a_page_that_nobody_would_read_to_its_end_is_ready() {
        for head in ["content-length: 4000000", "connection: close"] {
            let body = "x".repeat(2_000_000);
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").leak();
            let (result, _) = asked_of(Some(answer), 5000).await;
            assert_eq!(result, Ok(()), "{head}");
        }
    }

    #[tokio::test]
    async fn other_answers_are_told_apart() {
        let (result, _) = asked_of(Some("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"), 5000).await;
        assert_eq!(result, Err("GET /health answered 500".into()));
        let (result, _) = asked_of(None, 50).await;
        assert_eq!(result, Err("GET /health had no answer within 50ms".into()));
        let (result, _) = asked_of(Some("nonsense\r\n\r\n"), 5000).await;
        assert!(result.unwrap_err().starts_with("GET /health: "));
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = ask(&Address::Tcp(free), &probe(ProbeKind::Tcp, 1000), false).await.unwrap_err();
        assert!(error.starts_with("connect: "), "{error}");
    }
}
