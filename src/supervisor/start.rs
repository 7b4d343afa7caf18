//! From a configuration to a running supervisor: the composition root of the control plane.
//!
//! Everything that can fail at the start fails here, before the first worker is started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::archive::Archive;
use super::calendar::Calendar;
use super::effects::Machine;
use super::event::{Event, Events, QUEUED_EVENTS, Signal};
use super::launch::{Logs, Preload, Sockets, Starter};
use super::listeners::{self, Listeners};
use super::memory::Gauges;
use super::orphans::Sweep;
use super::outcome::Reloads;
use super::output::{Feed, Sink, Sweeper, Writer};
use super::proxies::Proxies;
use super::roster::Roster;
use super::scrape::Scrapes;
use super::settings::{prepare_access_log, read_certificates, recipe};
use super::shutdown::Phase;
use super::watch::Watches;
use super::{Chores, Machines, Outlook, Published, Supervisor, clock, web};
use crate::certs::CertError;
use crate::config::{Config, LogFormat};
use crate::control::server::{BindError, Claim, Server};
use crate::control::words::Status;
use crate::id::Serial;
use crate::lifecycle::{Order, Todo};
use crate::sys::cgroup::Realm;
use crate::sys::notify::{self, Notifier};
use crate::sys::orphans::Orphans;
use crate::sys::process;
use crate::sys::spawn::{self, Identity};
use crate::telemetry::supervisor_metrics::SupervisorMetrics;

/// Whom the proxy runs as when the supervisor is root and `[proxy] user` is not set.
const NOBODY: &str = "nobody";

/// What is told once, when everything is up.
pub type Announce = Option<Box<dyn FnOnce(&Status) + Send>>;

/// What the caller of [`run`] may choose.
#[derive(Default)]
pub struct Options {
    /// Called once, when connections are accepted and every app serves or has failed for the first time.
    pub announce: Announce,
    /// The configuration is the list of apps that `start`, `stop` and `delete` edit.
    pub is_list: bool,
    /// The admin socket, if it was claimed before the configuration was read.
    pub claim: Option<Claim>,
    /// The folder of what is to outlive us; `None`: nothing is.
    pub state: Option<PathBuf>,
}

/// Why the supervisor did not come up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Listen(String),
    #[error(transparent)]
    Certificate(#[from] CertError),
    #[error(transparent)]
    Admin(#[from] BindError),
    #[error("metrics listener {address}: {source}")]
    Metrics { address: SocketAddr, source: std::io::Error },
    #[error("[proxy] user {user}: {source}")]
    User { user: String, source: std::io::Error },
    #[error("{0}")]
    AccessLog(String),
    #[error("proxy: {0}")]
    Proxy(String),
    #[error("{step}: {source}")]
    System { step: &'static str, source: std::io::Error },
}

/// Runs until told to stop by SIGTERM, SIGINT or the admin socket; every process that it started is gone then.
///
/// # Errors
/// When something fails before the first worker is started; nothing is left behind then.
pub fn run(config: Config, options: Options) -> Result<(), Error> {
    let failed = |step| move |source| Error::System { step, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("runtime"))?;
    let result = runtime.block_on(supervise(config, options));
    // A lookup that hangs in the background must not hold the exit up.
    runtime.shutdown_background();
    result
}

async fn supervise(config: Config, mut options: Options) -> Result<(), Error> {
    let (events, queue) = mpsc::channel(QUEUED_EVENTS);
    let tasks = TaskTracker::new();
    // First of all, as a PID 1 without a handler is not reached by a signal.
    let signals = signals(events.clone())?;
    let claim = options.claim.take().map_or_else(|| Claim::take(&config.admin.socket), Ok)?;
    let admin = Server::bind(claim)?;
    let metrics = match config.metrics.listen {
        Some(address) => Some(web::bind(address).await.map_err(|source| Error::Metrics { address, source })?),
        None => None,
    };
    let metrics_address = metrics.as_ref().map(|(_, address)| *address);
    let (supervisor, writer) = build(config, options, metrics_address, (&events, &tasks))?;
    let mut helpers = vec![abort_on_drop(signals), abort_on_drop(calls(admin, events.clone()))];
    if let Some((listener, _)) = metrics {
        let served = web::serve(listener, events.clone(), tasks.clone());
        helpers.push(abort_on_drop(async {
            let _ = served.await;
        }));
    }
    drop(events);
    supervisor.serve(queue).await;
    drop(helpers);
    writer.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn build(
    config: Config,
    options: Options,
    metrics_address: Option<SocketAddr>,
    (events, tasks): (&Events, &TaskTracker),
) -> Result<(Supervisor, Writer), Error> {
    let failed = |step| move |source| Error::System { step, source };
    let certificates = read_certificates(&config)?;
    let recipe = recipe(&config, proxy_identity(&config)?);
    prepare_access_log(&recipe).map_err(Error::AccessLog)?;
    let listeners = Listeners::open(&config, recipe.threads as usize)
        .map_err(|error: listeners::Error| Error::Listen(error.to_string()))?;
    let (sink, writer) =
        Sink::open(std::io::stdout(), config.log.format == LogFormat::Json).map_err(failed("output thread"))?;
    let metrics = SupervisorMetrics::new();
    let sweeper = Sweeper::start().map_err(failed("log thread"))?;
    let logs = Logs { metrics: metrics.clone(), sweeper, writers: writer.files.clone() };
    let sockets = Sockets::beside(&config.admin.socket, recipe.identity.clone());
    let mut supervisor = Supervisor {
        roster: Roster::new(options.is_list),
        listeners,
        sites: std::collections::BTreeMap::new(),
        proxies: Proxies::new(recipe),
        starter: Starter {
            effects: Box::new(Machine),
            environment: notify::inheritable_environment().collect(),
            events: events.clone(),
            metrics: metrics.clone(),
            sink,
            feed: Feed::default(),
            tasks: tasks.clone(),
            logs,
            sockets,
            preload: Preload::default(),
            realm: claim_realm(),
        },
        machines: machines(),
        reloads: Reloads::default(),
        published: Published { certificates, ..Published::default() },
        phase: Phase::Running,
        chores: chores(&config, options.state.as_deref(), options.is_list)
            .map_err(failed("the supervisor's chores"))?,
        outlook: outlook(metrics, metrics_address, options)?,
        config,
    };
    supervisor.bring_up().map_err(Error::Proxy)?;
    Ok((supervisor, writer))
}

impl Supervisor {
    /// Starts what the configuration says, and the first proxy.
    pub(super) fn bring_up(&mut self) -> Result<(), String> {
        for (name, app) in self.config.apps.clone() {
            self.add_site(&name, Arc::new(app));
        }
        self.chores.watches.follow(&self.config, &self.starter.events);
        // Before the first snapshot, so that the first request of all is held for the workers and not refused.
        self.run_queue();
        let snapshot = self.snapshot();
        self.proxies.start(&*self.starter.effects, &self.starter, &self.listeners, &snapshot)
    }
}

fn machines() -> Machines {
    Machines {
        todo: Todo::new(Serial(1), Box::new(fastrand::f64)),
        order: Order::default(),
        queue: std::collections::VecDeque::new(),
    }
}

fn chores(config: &Config, state: Option<&Path>, is_list: bool) -> std::io::Result<Chores> {
    // A list, and what is beside it, is nobody's but ours.
    let own = state.into_iter().chain(config.path.parent().filter(|_| is_list));
    let archive = match state {
        Some(folder) => Archive::open(folder, &config.admin.socket)?,
        None => Archive::default(),
    };
    let now = clock::now();
    let mut calendar = Calendar::default();
    calendar.look_soon(now);
    Ok(Chores {
        scrapes: Scrapes::new(now),
        sweep: Sweep::new(Orphans::adopt()?),
        gauges: Gauges::default(),
        calendar,
        archive,
        watches: Watches::new(own.into_iter().map(Path::to_owned).collect()),
    })
}

fn outlook(
    metrics: SupervisorMetrics,
    metrics_address: Option<SocketAddr>,
    options: Options,
) -> Result<Outlook, Error> {
    let failed = |source| Error::System { step: "the service manager's socket", source };
    Ok(Outlook {
        notifier: Notifier::from_environment().map_err(failed)?,
        metrics,
        metrics_address,
        began: clock::now(),
        announce: options.announce,
        announced: false,
    })
}

fn proxy_identity(config: &Config) -> Result<Option<Identity>, Error> {
    if !process::is_root() {
        return Ok(None);
    }
    let user = config.proxy.user.as_deref().unwrap_or(NOBODY);
    spawn::identity(user).map(Some).map_err(|source| Error::User { user: user.to_owned(), source })
}

/// Control groups are used where they are ours; where that fails everything works without.
fn claim_realm() -> Option<Realm> {
    match Realm::claim() {
        Ok(realm) => realm,
        Err(error) => {
            tracing::warn!(%error, "workers get no control groups");
            None
        }
    }
}

/// Listens for the signals that mean something to us.
fn signals(events: Events) -> Result<impl Future<Output = ()>, Error> {
    let listen = |kind| signal(kind).map_err(|source| Error::System { step: "signal handler", source });
    let (mut hangup, mut reopen) = (listen(SignalKind::hangup())?, listen(SignalKind::user_defined1())?);
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let (mut quit, mut child) = (listen(SignalKind::quit())?, listen(SignalKind::child())?);
    Ok(async move {
        loop {
            let signal = tokio::select! {
                Some(()) = hangup.recv() => Signal::Reload,
                Some(()) = reopen.recv() => Signal::ReopenLogs,
                Some(()) = terminate.recv() => Signal::Stop,
                Some(()) = interrupt.recv() => Signal::Stop,
                Some(()) = quit.recv() => Signal::Stop,
                Some(()) = child.recv() => Signal::ChildEnded,
                else => return,
            };
            if events.send(Event::Signal(signal)).await.is_err() {
                return;
            }
        }
    })
}

/// Serves the admin socket and passes its calls on as events.
async fn calls(admin: Server, events: Events) {
    let (sender, mut calls) = mpsc::channel(1);
    let _serving = AbortOnDropHandle::new(tokio::spawn(async move {
        let _ = admin.serve(sender).await;
    }));
    while let Some(call) = calls.recv().await {
        if events.send(Event::Call(call)).await.is_err() {
            return;
        }
    }
}

fn abort_on_drop(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}
