//! The admin socket's client: one method a call.
//!
//! Knows the words and the socket, not what the answers are shown as. A call waits as long as the supervisor works on it
//! (a reload may take minutes) and ends when the connection does.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::Scope;
use super::lines::Entries;
use super::words::{LogQuery, Refusal, Reloaded, Status};

/// Speaks to the supervisor behind one socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error("no supervisor answers on {}: {source}", socket.display())]
    Unreachable { socket: PathBuf, source: io::Error },
    #[error("the supervisor broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the supervisor's answer makes no sense: {0}")]
    Garbled(#[from] serde_json::Error),
    #[error("{}", .0.error)]
    Refused(Refusal),
}

impl Client {
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The socket it speaks through.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What runs.
    pub async fn status(&self) -> Result<Status, Error> {
        self.call(Method::GET, "/v1/status").await
    }

    /// Reads the configuration again and replaces the workers that are meant; returns when that has ended.
    pub async fn reload(&self, scope: &Scope) -> Result<Reloaded, Error> {
        self.call(Method::POST, &format!("/v1/reload{}", scope.query())).await
    }

    /// Asks the supervisor to end; returns when it has begun to.
    pub async fn stop(&self) -> Result<(), Error> {
        self.call(Method::POST, "/v1/stop").await
    }

    /// What all metrics say now, in Prometheus' text format.
    pub async fn metrics(&self) -> Result<String, Error> {
        self.call(Method::GET, "/v1/metrics").await
    }

    /// What workers have printed, and, where it is followed, print from now on.
    pub async fn logs(&self, query: &LogQuery) -> Result<Entries, Error> {
        Entries::open(&self.socket, query).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Error> {
        let unreachable = |source| Error::Unreachable { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "portreeve")
            .body(Empty::<Bytes>::new())
            .expect("the calls' paths are valid");
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let ok = response.status().is_success();
            let text = response.into_body().collect().await?.to_bytes();
            // The connection ends with its sender, and so does the wait below.
            drop(sender);
            Ok::<_, hyper::Error>((ok, text))
        };
        let (answer, _) = tokio::join!(exchange, async { connection.await.ok() });
        let (ok, text) = answer?;
        if ok { Ok(serde_json::from_slice(&text)?) } else { Err(Error::Refused(serde_json::from_slice(&text)?)) }
    }
}
