//! The admin socket's server: who may speak, what was asked, and the answer.
//!
//! It turns a request into a [`Call`] on a channel and waits for the reply; it decides nothing. Invariants: the socket is
//! `0600`; a peer that is neither root nor our own user is turned away before a byte of it is read; at most
//! [`MAX_CALLS`] calls are open at once.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::lines::{self, Body};
use super::scope::Scope;
use super::words::{LogEntry, LogQuery, Refusal, RefusalKind, Reloaded, Status};

/// Calls that may be open at once; a reload stays open until it has ended.
pub const MAX_CALLS: usize = 64;

/// How long a client may take over the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a caller wants. The answer goes into `reply`; a dropped one tells the caller that the supervisor is gone.
#[derive(Debug)]
pub enum Call {
    Status {
        reply: oneshot::Sender<Status>,
    },
    Reload {
        scope: Scope,
        reply: oneshot::Sender<Result<Reloaded, Refusal>>,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
    /// What all metrics say, as text.
    Metrics {
        reply: oneshot::Sender<String>,
    },
    /// The answer ends by being dropped; whoever asked ends it by closing their side.
    Logs {
        query: LogQuery,
        reply: oneshot::Sender<Result<mpsc::Receiver<LogEntry>, Refusal>>,
    },
}

/// The bound socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    own_uid: u32,
}

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("another supervisor answers on {}; stop it, or give this one its own [admin] socket", .0.display())]
    InUse(PathBuf),
    #[error("admin socket {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Server {
    /// Binds the socket, replacing a file that a dead supervisor left behind. Needs a tokio runtime.
    ///
    /// # Errors
    /// When somebody answers on the socket, or the file cannot be made.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            make_folder(parent).map_err(failed)?;
        }
        if path.exists() {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(BindError::InUse(path.to_owned()));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let own_uid = std::fs::metadata(path).map_err(failed)?.uid();
        Ok(Self { listener, path: path.to_owned(), own_uid })
    }

    /// Serves until dropped, handing every call up the channel.
    pub async fn serve(self, calls: mpsc::Sender<Call>) -> Infallible {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            if connections.len() >= MAX_CALLS {
                connections.join_next().await;
            }
            match self.listener.accept().await {
                Ok((stream, _)) if self.may_speak(&stream) => {
                    connections.spawn(speak(stream, calls.clone()));
                }
                Ok(_) => tracing::warn!("turned a stranger away from the admin socket"),
                Err(error) => {
                    tracing::warn!(%error, "admin socket: accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn may_speak(&self, stream: &UnixStream) -> bool {
        stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == self.own_uid)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody is left to tell when this fails, and the next supervisor replaces a dead file.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes the folder, for its owner only. One that is there already has to belong to us or to root: in a folder of somebody
/// else, such as one prepared in `/tmp`, another program could take the socket's place.
fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let owner = std::fs::metadata(path)?.uid();
    if owner == 0 || owner == std::fs::metadata("/proc/self")?.uid() {
        return Ok(());
    }
    let reason = format!("{} belongs to user {owner}, who could take the socket's place", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

async fn speak(stream: UnixStream, calls: mpsc::Sender<Call>) {
    let service = service_fn(move |request: Request<Incoming>| answer(request, calls.clone()));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "admin connection");
    }
}

async fn answer(request: Request<Incoming>, calls: mpsc::Sender<Call>) -> Result<Response<Body>, Infallible> {
    let route = (request.method().clone(), request.uri().path().to_owned());
    let response = match (&route.0, route.1.as_str()) {
        (&Method::GET, "/v1/status") => ask(&calls, |reply| Call::Status { reply }).await.map(|status| json(&status)),
        (&Method::POST, "/v1/stop") => ask(&calls, |reply| Call::Stop { reply }).await.map(|()| json(&())),
        (&Method::GET, "/v1/metrics") => ask(&calls, |reply| Call::Metrics { reply }).await.map(|text| json(&text)),
        (&Method::GET, "/v1/logs") => logs(&request, &calls).await,
        (&Method::POST, "/v1/reload") => reload(&request, &calls).await,
        _ => Err(Refusal::new(RefusalKind::NotFound, format!("no such call: {} {}", route.0, route.1))),
    };
    Ok(response.unwrap_or_else(|refusal| refuse(&refusal)))
}

async fn logs(request: &Request<Incoming>, calls: &mpsc::Sender<Call>) -> Result<Response<Body>, Refusal> {
    let query = LogQuery::read(request.uri().query().unwrap_or_default());
    let query = query.map_err(|error| Refusal::new(RefusalKind::NotFound, error))?;
    ask(calls, |reply| Call::Logs { query, reply }).await?.map(lines::answer)
}

async fn reload(request: &Request<Incoming>, calls: &mpsc::Sender<Call>) -> Result<Response<Body>, Refusal> {
    let scope = Scope::parse(request.uri().query().unwrap_or(""))
        .map_err(|error| Refusal::new(RefusalKind::UnknownApp, error))?;
    ask(calls, |reply| Call::Reload { scope, reply }).await?.map(|reloaded| json(&reloaded))
}

async fn ask<T>(calls: &mpsc::Sender<Call>, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Result<T, Refusal> {
    let gone = || Refusal::new(RefusalKind::Stopping, "the supervisor is stopping");
    let (reply, answer) = oneshot::channel();
    calls.send(call(reply)).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())
}

fn json(value: &impl Serialize) -> Response<Body> {
    let mut text = serde_json::to_vec_pretty(value).expect("the words have string keys only and always serialise");
    text.push(b'\n');
    let mut response = Response::new(Body::Left(Full::new(text.into())));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let mut response = json(refusal);
    *response.status_mut() = match refusal.kind {
        RefusalKind::InvalidConfig => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalKind::UnknownApp | RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        RefusalKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::client::{self, Client};
    use crate::id::AppName;

    async fn answering(mut calls: mpsc::Receiver<Call>) {
        while let Some(call) = calls.recv().await {
            match call {
                Call::Stop { reply } => drop(reply.send(())),
                Call::Reload { scope: Scope { app: Some(app), .. }, reply } => {
                    let refusal = Refusal::new(RefusalKind::UnknownApp, format!("no app {app}"));
                    drop(reply.send(Err(refusal)));
                }
                Call::Reload { reply, .. } => drop(reply.send(Ok(Reloaded { apps: Vec::new() }))),
                Call::Status { reply } => drop(reply),
                Call::Metrics { reply } => drop(reply),
                Call::Logs { reply, .. } => drop(reply),
            }
        }
    }

    async fn with_server<T>(check: impl AsyncFnOnce(Client) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/admin.sock");
        let server = Server::bind(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let (sender, receiver) = mpsc::channel(8);
        let tasks = [
            tokio::spawn(async move {
                let _ = server.serve(sender).await;
            }),
            tokio::spawn(answering(receiver)),
        ];
        let result = check(Client::new(path)).await;
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        result
    }

    #[tokio::test]
    async fn calls_reach_the_channel_and_answers_come_back() {
        with_server(async |client| {
            client.stop().await.unwrap();
            assert_eq!(client.reload(&Scope::default()).await.unwrap(), Reloaded { apps: Vec::new() });
        })
        .await;
    }

    #[tokio::test]
    async fn refusals_arrive_as_refusals() {
        with_server(async |client| {
            let app: AppName = "ghost".parse().unwrap();
            let Err(client::Error::Refused(refusal)) = client.reload(&Scope::app(app.clone())).await else {
                panic!("not refused")
            };
            assert_eq!(refusal, Refusal::new(RefusalKind::UnknownApp, "no app ghost"));
            let Err(client::Error::Refused(refusal)) = client.status().await else { panic!("not refused") };
            assert_eq!(refusal.kind, RefusalKind::Stopping);
        })
        .await;
    }

    #[tokio::test]
    async fn a_live_socket_is_not_taken_but_a_dead_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let server = Server::bind(&path).unwrap();
        assert!(matches!(Server::bind(&path), Err(BindError::InUse(_))));
        drop(server);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a dead supervisor leaves its file");
        Server::bind(&path).unwrap();
    }
}
