//! Clients: HTTP/1.1 and HTTP/2, plain and over TLS, over TCP and Unix sockets, one request at a time or on one connection.
//!
//! They never retry, never follow, and take everything but a whole answer for a failure. Every wait has a limit.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderMap};
use http::{Method, Request};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use rustls::ClientConfig;

use super::connection::Connection;

/// Longest wait for one whole exchange.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A request's body.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// Where to connect, and how to speak.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// HTTP/1.1.
    Plain(SocketAddr),
    /// HTTP/1.1 over TLS.
    Tls(SocketAddr, Arc<ClientConfig>),
    /// HTTP/2 over TLS.
    Http2(SocketAddr, Arc<ClientConfig>),
    /// HTTP/1.1 on a Unix socket.
    Unix(PathBuf),
}

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no connection: {0}")]
    Connect(String),
    #[error("closed without an announcement: {0}")]
    Unannounced(String),
    #[error("no answer: {0}")]
    Unanswered(String),
    /// HTTP/2 only: the connection was over before the request was sent.
    #[error("not sent: {0}")]
    Unsent(String),
    #[error("the answer breaks off: {0}")]
    Broken(String),
    #[error("no whole answer in time")]
    TimedOut,
    #[error("status {0}")]
    Status(u16),
    #[error("not the expected answer: {0}")]
    Wrong(String),
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Target {
    /// The address behind it, for tests that speak on their own.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Plain(address) | Self::Tls(address, _) | Self::Http2(address, _) => *address,
            Self::Unix(path) => panic!("{} is a Unix socket", path.display()),
        }
    }

    /// `GET`s on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.try_get(path).unwrap_or_else(|failure| panic!("GET {path}: {failure}"))
    }

    /// `POST`s on a connection of its own.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        self.try_post(path, body).unwrap_or_else(|failure| panic!("POST {path}: {failure}"))
    }

    /// `GET`s on another thread.
    pub(crate) fn get_meanwhile(&self, path: &str) -> JoinHandle<Result<Reply, Failure>> {
        let (target, path) = (self.clone(), path.to_owned());
        std::thread::spawn(move || target.try_get(&path))
    }

    pub(crate) fn try_get(&self, path: &str) -> Result<Reply, Failure> {
        self.send(request(Method::GET, path, ""))
    }

    pub(crate) fn try_post(&self, path: &str, body: impl Into<Bytes>) -> Result<Reply, Failure> {
        self.send(request(Method::POST, path, body))
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn send(&self, request: Request<Body>) -> Result<Reply, Failure> {
        block_on(async {
            let exchange = async { Connection::open(self).await?.exchange(request).await };
            tokio::time::timeout(PATIENCE, exchange).await.unwrap_or(Err(Failure::TimedOut))
        })
    }
}

/// A request to be made complete for its connection by [`Connection::send`].
pub(crate) fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Body> {
    let body = Full::new(body.into()).boxed();
    Request::builder().method(method).uri(path).body(body).expect("paths in tests are valid")
}

/// Runs a client's future to its end on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(future)
}

impl Reply {
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the answer is text")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// A header's value; of several, the first.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The generation of the worker that answered.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.header("worker-generation")?.parse().ok()
    }

    /// The process that answered.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.header("worker-pid")?.parse().ok()
    }

    /// Was the end of the connection announced?
    pub(crate) fn is_last(&self) -> bool {
        self.header(CONNECTION.as_str()).is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The answer, unless its status is an error.
    pub(crate) fn ok(self) -> Result<Self, Failure> {
        if self.status < 400 { Ok(self) } else { Err(Failure::Status(self.status)) }
    }
}

impl Failure {
    /// One word a kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Unannounced(_) => "unannounced",
            Self::Unanswered(_) => "unanswered",
            Self::Unsent(_) => "unsent",
            Self::Broken(_) => "broken",
            Self::TimedOut => "timed out",
            Self::Status(_) => "status",
            Self::Wrong(_) => "wrong",
        }
    }
}

/// An error with its causes.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
