//! The admin socket's server: who may have it, and who may speak.
//!
//! What is asked and answered is in [`super::calls`]. Invariants: one supervisor at a time has a socket, which a lock
//! beside it decides; the socket is `0600`; a peer that is neither root nor our own user is turned away before a byte of
//! it is read; at most [`MAX_CALLS`] calls are open at once.

use std::convert::Infallible;
use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::calls::{self, Call};

/// Calls that may be open at once; a reload stays open until it has ended.
pub const MAX_CALLS: usize = 64;

/// How long a client may take over the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The right to bind a socket, held until this is dropped. Two supervisors that start at once decide here, and neither
/// has touched anything of the other by then.
#[derive(Debug)]
pub struct Claim {
    socket: PathBuf,
    /// Locked; the kernel lets go of it with the last who has it, so that a dead supervisor leaves nothing to be cleaned up.
    lock: File,
}

/// What whoever takes over from us is handed: the listening socket, and the lock.
#[derive(Debug)]
pub struct Ends {
    pub listener: OwnedFd,
    pub lock: OwnedFd,
}

/// The bound socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    own_uid: u32,
    claim: Claim,
}

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("another supervisor answers on {}; stop it, or give this one its own [admin] socket", .0.display())]
    InUse(PathBuf),
    #[error("admin socket {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Claim {
    /// Claims a socket for this process.
    ///
    /// # Errors
    /// When another supervisor has it, or the folder cannot be made or is somebody else's.
    pub fn take(socket: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: socket.to_owned(), source };
        if let Some(parent) = socket.parent() {
            make_folder(parent).map_err(failed)?;
        }
        let path = lock_of(socket);
        let lock = File::options().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { socket: socket.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(BindError::InUse(socket.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Goes on with a lock, if it is still that of the socket.
    fn renew(socket: &Path, lock: File) -> Result<Self, BindError> {
        let is = |file: io::Result<Metadata>| file.ok().map(|file| (file.dev(), file.ino()));
        if is(lock.metadata()) == is(std::fs::metadata(lock_of(socket))) {
            return Ok(Self { socket: socket.to_owned(), lock });
        }
        drop(lock);
        Self::take(socket)
    }
}

/// The file beside the socket that is locked.
fn lock_of(socket: &Path) -> PathBuf {
    let mut name = socket.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    socket.with_file_name(name)
}

impl Server {
    /// Binds the socket, replacing a file that a dead supervisor left behind. Needs a tokio runtime.
    ///
    /// # Errors
    /// When somebody answers on the socket, or the file cannot be made.
    pub fn bind(claim: Claim) -> Result<Self, BindError> {
        let path = &claim.socket;
        let failed = |source| BindError::Io { path: path.clone(), source };
        if path.exists() {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(BindError::InUse(path.clone()));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let own_uid = std::fs::metadata(path).map_err(failed)?.uid();
        Ok(Self { listener, own_uid, claim })
    }

    /// The bound socket of whoever was before us, with their lock. One whose file is gone (a service manager may clear the
    /// folder away in between) reaches nobody, and is made anew. Needs a tokio runtime.
    ///
    /// # Errors
    /// When it is no listening socket, or cannot be made anew.
    pub fn adopt(socket: &Path, ends: Ends) -> Result<Self, BindError> {
        if !socket.exists() {
            return Self::bind(Claim::renew(socket, ends.lock.into())?);
        }
        let failed = |source| BindError::Io { path: socket.to_owned(), source };
        let listener = std::os::unix::net::UnixListener::from(ends.listener);
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        let own_uid = std::fs::metadata(socket).map_err(failed)?.uid();
        Ok(Self { listener, own_uid, claim: Claim { socket: socket.to_owned(), lock: ends.lock.into() } })
    }

    /// Copies of what whoever takes over is to be handed.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub fn ends(&self) -> io::Result<Ends> {
        let listener = self.listener.as_fd().try_clone_to_owned()?;
        Ok(Ends { listener, lock: self.claim.lock.try_clone()?.into() })
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
        let _ = std::fs::remove_file(&self.claim.socket);
    }
}

/// Makes the folder; others may pass through it, for workers' sockets are below, but not look. One that is there already has to belong to us or to root: in a folder of somebody
/// else, such as one prepared in `/tmp`, another program could take the socket's place.
fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(path)?;
    let owner = std::fs::metadata(path)?.uid();
    if owner == 0 || owner == std::fs::metadata("/proc/self")?.uid() {
        return Ok(());
    }
    let reason = format!("{} belongs to user {owner}, who could take the socket's place", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

async fn speak(stream: UnixStream, calls: mpsc::Sender<Call>) {
    let service = service_fn(move |request: Request<Incoming>| calls::answer(request, calls.clone()));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "admin connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Scope;
    use crate::control::client::{self, Client};
    use crate::control::words::{Order, Reached, Refusal, RefusalKind, Reloaded};

    async fn answering(mut calls: mpsc::Receiver<Call>) {
        while let Some(call) = calls.recv().await {
            match call {
                Call::Kill { reply } => drop(reply.send(())),
                Call::Upgrade { reply, .. } => drop(reply.send(Ok(()))),
                Call::Order { scope, reply, .. } if !scope.apps.is_empty() => {
                    let refusal = Refusal::new(RefusalKind::UnknownApp, format!("no app {}", scope.apps[0]));
                    drop(reply.send(Err(refusal)));
                }
                Call::Order { reply, .. } => {
                    drop(reply.send(Ok(Reloaded { apps: Vec::new(), deploy: None, report: None })));
                }
                Call::Add { list, reply, .. } => {
                    drop(reply.send(Err(Refusal::new(RefusalKind::InvalidConfig, list))));
                }
                Call::Renew { apps, variables, reply, .. } => {
                    drop(reply.send(Err(Refusal::new(RefusalKind::Conflict, format!("{variables} {apps:?}")))));
                }
                Call::Signal { apps, signal, reply } => {
                    drop(reply.send(Err(Refusal::new(RefusalKind::BadRequest, format!("{signal} {apps:?}")))));
                }
                Call::Scale { apps, scaling, reply } => {
                    drop(reply.send(Err(Refusal::new(RefusalKind::BadRequest, format!("{scaling} {apps:?}")))));
                }
                Call::Reset { apps, reply } => drop(reply.send(Ok(Reached { workers: apps.len() }))),
                Call::Env { reply, .. } => drop(reply),
                Call::Info { reply, .. } => drop(reply),
                Call::Flush { reply, .. } => drop(reply),
                Call::Report { reply, .. } => drop(reply),
                Call::Diff { reply, .. } => drop(reply),
                Call::Divert { reply, .. } => drop(reply),
                Call::Status { reply } => drop(reply),
                Call::Metrics { reply } => drop(reply),
                Call::Logs { reply, .. } => drop(reply),
            }
        }
    }

    async fn with_server<T>(check: impl AsyncFnOnce(Client) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/admin.sock");
        let server = Server::bind(Claim::take(&path).unwrap()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o711));
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
            client.kill().await.unwrap();
            assert_eq!(
                client.reload(&Scope::default()).await.unwrap(),
                Reloaded { apps: Vec::new(), deploy: None, report: None }
            );
        })
        .await;
    }

    #[tokio::test]
    async fn refusals_arrive_as_refusals() {
        with_server(async |client| {
            let apps = ["ghost", "other"].map(|name| name.parse().unwrap());
            let Err(client::Error::Refused(refusal)) = client.order(Order::Stop, &apps).await else { panic!() };
            assert_eq!(refusal, Refusal::new(RefusalKind::UnknownApp, "no app ghost"));
            let list = "[app.web]\ncommand = 'ä'\n";
            let Err(client::Error::Refused(refusal)) = client.add(list, Order::Start).await else {
                panic!("not refused")
            };
            assert_eq!(refusal, Refusal::new(RefusalKind::InvalidConfig, list));
            assert_eq!(client.reset(&apps).await.unwrap().workers, 2);
            let Err(client::Error::Refused(refusal)) = client.signal(&apps[..1], "SIGUSR2").await else { panic!() };
            assert!(refusal.error.starts_with("SIGUSR2 ") && refusal.error.contains("ghost"), "{refusal:?}");
            for scaling in ["4", "+2", "-1"] {
                let error = client.scale(&apps[..1], scaling.parse().unwrap()).await.unwrap_err();
                assert!(error.to_string().starts_with(&format!("{scaling} ")), "{error}");
            }
            let Err(client::Error::Refused(refusal)) = client.status().await else { panic!("not refused") };
            assert_eq!(refusal.kind, RefusalKind::Stopping);
        })
        .await;
    }

    #[tokio::test]
    async fn an_order_without_apps_is_never_one_for_all_of_them() {
        let orders = Order::PLAIN.into_iter().filter(|order| *order != Order::Reload);
        for order in orders {
            let answer = with_server(async |client| client.order(order, &[]).await).await;
            let Err(client::Error::Refused(refusal)) = answer else { panic!("{order:?}: {answer:?}") };
            assert_eq!(refusal.kind, RefusalKind::BadRequest, "{order:?}");
        }
    }

    #[tokio::test]
    async fn a_live_socket_is_not_taken_but_a_dead_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let server = Server::bind(Claim::take(&path).unwrap()).unwrap();
        assert!(matches!(Claim::take(&path), Err(BindError::InUse(_))));
        drop(server);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a dead supervisor leaves its file");
        Server::bind(Claim::take(&path).unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_socket_whose_file_is_gone_is_made_anew_under_the_same_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/admin.sock");
        let server = Server::bind(Claim::take(&path).unwrap()).unwrap();
        // Whoever keeps them has them as long as we do.
        let (ends, _kept) = (server.ends().unwrap(), server.ends().unwrap());
        drop(server);
        let server = Server::adopt(&path, ends).unwrap();
        assert!(path.exists() && matches!(Claim::take(&path), Err(BindError::InUse(_))));
        let ends = server.ends().unwrap();
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        let _server = Server::adopt(&path, ends).unwrap();
        assert!(path.exists() && matches!(Claim::take(&path), Err(BindError::InUse(_))));
    }
}
