//! The admin socket's client: one method a call.
//!
//! Knows the words and the socket, not what the answers are shown as. A call waits as long as the supervisor works on it
//! (a reload may take minutes) and ends when the connection does.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::lines::Entries;
use super::words::{
    Diff, Diversion, Environment, Flushed, Info, LogQuery, Order, Reached, Refusal, Reloaded, Report, Status,
};
use super::{Scaling, Scope};
use crate::id::AppName;

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
        self.call(Method::GET, "/v1/status", "").await
    }

    /// Carries out an order on these apps; returns when that has ended.
    pub async fn order(&self, order: Order, apps: &[AppName]) -> Result<Reloaded, Error> {
        self.order_with(order, &Scope::apps(apps)).await
    }

    /// Reads the configuration again and replaces the workers that are meant; returns when that has ended.
    pub async fn reload(&self, scope: &Scope) -> Result<Reloaded, Error> {
        self.order_with(Order::Reload, scope).await
    }

    async fn order_with(&self, order: Order, scope: &Scope) -> Result<Reloaded, Error> {
        self.call(Method::POST, &format!("/v1/{}{}", order.word(), scope.query()), "").await
    }

    /// Puts the apps of a configuration, as TOML, into the supervisor's list, and starts, reloads or restarts them; returns
    /// when that has ended.
    pub async fn add(&self, list: &str, order: Order) -> Result<Reloaded, Error> {
        self.call(Method::POST, &format!("/v1/add?order={}", order.word()), list).await
    }

    /// Gives these apps other variables to inherit, as a table of TOML, and reloads or restarts them; returns when that has
    /// ended.
    pub async fn renew(&self, apps: &[AppName], variables: &str, order: Order) -> Result<Reloaded, Error> {
        self.call(Method::POST, &format!("/v1/renew?order={}&{}", order.word(), query(apps)), variables).await
    }

    /// Has these apps run another number of workers; returns when they do, or when that has failed.
    pub async fn scale(&self, apps: &[AppName], scaling: Scaling) -> Result<Reloaded, Error> {
        let workers = scaling.to_string().replace('+', "%2B");
        self.call(Method::POST, &format!("/v1/scale?workers={workers}&{}", query(apps)), "").await
    }

    /// What came of a change; returns when the last worker that it replaced is gone.
    pub async fn report(&self, deploy: u64) -> Result<Report, Error> {
        self.call(Method::GET, &format!("/v1/report?deploy={deploy}"), "").await
    }

    /// What a reload would change, under another profile if one is named.
    pub async fn diff(&self, profile: Option<&str>) -> Result<Diff, Error> {
        let query = profile.map(|profile| format!("?env={profile}")).unwrap_or_default();
        self.call(Method::GET, &format!("/v1/diff{query}"), "").await
    }

    /// Changes what becomes of the requests for these apps; gives how many workers that is about.
    pub async fn divert(&self, apps: &[AppName], diversion: &Diversion) -> Result<Reached, Error> {
        let (word, slots, page) = match diversion {
            Diversion::Drain(slots) => ("drain", &slots[..], ""),
            Diversion::Undrain(slots) => ("undrain", &slots[..], ""),
            Diversion::Pause => ("pause", &[][..], ""),
            Diversion::Resume => ("resume", &[][..], ""),
            Diversion::Maintenance(page) => ("maintenance", &[][..], page.as_deref().unwrap_or_default()),
            Diversion::Open => ("open", &[][..], ""),
        };
        let slots = slots.iter().map(|slot| format!("slot={slot}"));
        let parts: Vec<_> = std::iter::once(query(apps)).chain(slots).collect();
        self.call(Method::POST, &format!("/v1/{word}?{}", parts.join("&")), page).await
    }

    /// Sends a signal to every worker of these apps.
    pub async fn signal(&self, apps: &[AppName], signal: &str) -> Result<Reached, Error> {
        self.call(Method::POST, &format!("/v1/signal?signal={signal}&{}", query(apps)), "").await
    }

    /// Begins to count the restarts of these apps anew.
    pub async fn reset(&self, apps: &[AppName]) -> Result<Reached, Error> {
        self.call(Method::POST, &format!("/v1/reset?{}", query(apps)), "").await
    }

    /// What a worker of an app finds in its environment.
    pub async fn env(&self, app: &AppName) -> Result<Environment, Error> {
        self.call(Method::GET, &format!("/v1/env?app={app}"), "").await
    }

    /// All there is to say of an app.
    pub async fn info(&self, app: &AppName) -> Result<Info, Error> {
        self.call(Method::GET, &format!("/v1/info?app={app}"), "").await
    }

    /// Empties the log files of these apps.
    pub async fn flush(&self, apps: &[AppName]) -> Result<Flushed, Error> {
        self.call(Method::POST, &format!("/v1/flush?{}", query(apps)), "").await
    }

    /// Has the supervisor become another program, or the one that stands at its own path by now; returns when it is about to.
    pub async fn upgrade(&self, program: Option<&Path>) -> Result<(), Error> {
        let program = program.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        self.call(Method::POST, "/v1/upgrade", &program).await
    }

    /// Asks the supervisor to stop everything and itself; returns when it has begun to.
    pub async fn kill(&self) -> Result<(), Error> {
        self.call(Method::POST, "/v1/kill", "").await
    }

    /// What all metrics say now, in Prometheus' text format.
    pub async fn metrics(&self) -> Result<String, Error> {
        self.call(Method::GET, "/v1/metrics", "").await
    }

    /// What workers have printed, and, where it is followed, print from now on.
    pub async fn logs(&self, query: &LogQuery) -> Result<Entries, Error> {
        Entries::open(&self.socket, query).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: &str) -> Result<T, Error> {
        let unreachable = |source| Error::Unreachable { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "portreeve")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
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

/// Names have no character that would mean something in a query.
fn query(apps: &[AppName]) -> String {
    let pairs: Vec<_> = apps.iter().map(|app| format!("app={app}")).collect();
    pairs.join("&")
}
