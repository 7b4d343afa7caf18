//! The beginning of a proxy: lock the process down, claim what the manifest names, start the threads, say so.
//!
//! Knows the process and its inheritance; what happens then is the [`Conductor`]'s. Invariant: from the first line of [`run`]
//! that can fail to its end, this process never serves a socket that was not meant for it.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Proxy;
use super::conductor::{Conductor, Outbox};
use super::door::Door;
use super::error::Error;
use super::listener;
use super::notes::Notes;
use super::thread::Threads;
use super::unread::Unread;
use super::world::{Atlas, World};
use crate::certs::{self, Store, Tickets};
use crate::link::{self, FromProxy, Manifest, ToProxy, codec};
use crate::sys::{confinement, lockdown, process, socket};
use crate::telemetry::access::{AccessLog, Format, Target};
use crate::telemetry::exchange_metrics::ExchangeMetrics;

/// Reports of faults that may wait to be passed on.
const REPORTS: usize = 256;

/// What a proxy has of its supervisor.
#[derive(Debug)]
pub struct Ends {
    /// Over which they speak.
    pub link: OwnedFd,
    /// Over which it is given another link, when another supervisor has taken over. Nobody has the other end but whom the
    /// first supervisor gave it to.
    pub relink: OwnedFd,
}

/// Runs this process as a proxy under the supervisor at the other ends, until that says it is enough.
///
/// From here on the process, whatever becomes of it, starts no program. When the supervisor goes away, the proxy serves on.
///
/// # Errors
/// When it cannot begin to serve, or a thread is lost. The supervisor then starts another proxy on the same listeners.
pub fn run(ends: Ends) -> Result<(), Error> {
    let inherited = inherited_sockets();
    lockdown::lock_down().map_err(Error::Lockdown)?;
    process::set_name("portreeve-proxy").map_err(Error::Lockdown)?;
    process::raise_descriptor_limit().map_err(Error::Lockdown)?;
    serve(ends, &inherited, confine)
}

/// From here on the process opens no file but its log. A kernel that cannot see to that is no reason not to serve.
fn confine(manifest: &Manifest) {
    let path = manifest.access_log.as_deref().filter(|path| !path.as_os_str().is_empty());
    match confinement::confine(path.and_then(Path::parent)) {
        Ok(true) => {}
        Ok(false) => tracing::debug!("this kernel cannot keep the proxy from all files"),
        Err(error) => tracing::warn!(%error, "the proxy is not kept from files"),
    }
}

/// As [`run`], in a process that keeps all its rights and has inherited nothing but what the manifest will name. For what looks
/// into a running proxy; a client's proxy is run with [`run`].
///
/// # Errors
/// As [`run`].
#[doc(hidden)]
pub fn run_unconfined(link: OwnedFd) -> Result<(), Error> {
    // Nobody will ever give it another link.
    let (_, relink) = socket::pair().map_err(Error::Link)?;
    serve(Ends { link, relink }, &[], |_| {})
}

/// As [`run`], in a process that is not locked down; `confine` is called before it has other threads.
pub(super) fn serve(ends: Ends, inherited: &[RawFd], confine: fn(&Manifest)) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
    runtime.block_on(async {
        let relink = open(ends.relink).map_err(Error::Link)?;
        let (mut main, reader) = begin(open(ends.link).map_err(Error::Link)?, inherited, confine).await?;
        let outcome = main.listen(reader, relink).await;
        main.stop();
        outcome
    })
}

/// The sockets that this process was started with, its standard streams and its ends aside. Where `/proc` is not mounted
/// nothing is found, and nothing can be missed.
fn inherited_sockets() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let is_socket =
        |path: &PathBuf| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
    let sockets = entries.flatten().map(|entry| entry.path()).filter(is_socket);
    let numbers = sockets.filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    numbers.filter(|number| *number >= link::FIRST_LISTENER).collect()
}

/// Claims what the manifest names, starts the threads and says so.
async fn begin(
    link: UnixStream,
    inherited: &[RawFd],
    confine: fn(&Manifest),
) -> Result<(Conductor, OwnedReadHalf), Error> {
    let (mut reader, writer) = link.into_split();
    let Some(ToProxy::Manifest(manifest)) = codec::read(&mut reader).await.map_err(Error::Link)? else {
        return Err(Error::NoManifest);
    };
    confine(&manifest);
    let listeners = listener::claim(&manifest.listeners, inherited)?;
    let count = manifest.threads.max(1) as usize;
    let tls = (Arc::new(Store::build(Vec::new())), Arc::<Tickets>::default());
    let (sender, reports) = mpsc::channel(REPORTS);
    let proxy = Arc::new(proxy(&manifest, &tls, sender)?);
    let threads =
        listener::deal(listeners, count).and_then(|hands| Threads::start(&proxy, hands)).map_err(Error::Start)?;
    let notes = Arc::<Notes>::default();
    let atlas = Atlas::new(tls, proxy.metrics.clone(), count, Arc::clone(&notes));
    let mut conductor = Conductor::new(proxy, atlas, threads, Outbox { writer: Some(writer), reports, notes });
    conductor.ready().await;
    Ok((conductor, reader))
}

pub(super) fn open(end: OwnedFd) -> io::Result<UnixStream> {
    let end = std::os::unix::net::UnixStream::from(end);
    end.set_nonblocking(true)?;
    UnixStream::from_std(end)
}

/// Opens the access log, if there is to be one. Without it we serve all the same: to serve is worth more than to log it.
fn access_log(manifest: &Manifest, metrics: &ExchangeMetrics) -> Option<AccessLog> {
    let path = manifest.access_log.as_ref()?;
    let target = if path.as_os_str().is_empty() { Target::Stdout } else { Target::File(path.clone()) };
    let format = if manifest.access_json { Format::Json } else { Format::Text };
    let opened = AccessLog::start(target, format, metrics.access_log_dropped());
    opened.inspect_err(|error| tracing::error!(%error, "serving without an access log")).ok()
}

/// What the threads are to share, without a world as yet.
fn proxy(
    manifest: &Manifest,
    (store, tickets): &(Arc<Store>, Arc<Tickets>),
    reports: mpsc::Sender<FromProxy>,
) -> Result<Proxy, Error> {
    let metrics = ExchangeMetrics::new();
    let access = access_log(manifest, &metrics);
    let tls = certs::server_config(Arc::clone(store), Arc::clone(tickets), &[b"h2", b"http/1.1"])?;
    Ok(Proxy {
        world: ArcSwap::from_pointee(World::empty()),
        tls: TlsAcceptor::from(Arc::new(tls)),
        certificates: Arc::clone(store),
        door: Door::closed(),
        no_app: metrics.no_app(),
        metrics,
        access,
        unread: Unread::default(),
        work: TaskTracker::new(),
        retiring: CancellationToken::new(),
        retirement: OnceLock::new(),
        reports,
    })
}
