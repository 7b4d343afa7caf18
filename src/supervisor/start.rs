//! From a configuration to a running supervisor: the composition root of the control plane.
//!
//! Everything that can fail at the start fails here, before the first worker is started.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::adoption::{Estate, Heritage, Store, Upgrade};
use super::archive::Archive;
use super::calendar::Calendar;
use super::effects::Machine;
use super::event::{Event, Events, QUEUED_EVENTS, Signal};
use super::idle::Quiet;
use super::launch::{Logs, Preload, Sockets, Starter};
use super::listeners::{self, Listeners};
use super::memory::Gauges;
use super::orphans::Sweep;
use super::outcome::Reloads;
use super::output::{Feed, Halt, Sink, Sweeper, Writer};
use super::proxies::{Proxies, Recipe};
use super::rescue::Rescues;
use super::roster::Roster;
use super::scrape::Scrapes;
use super::settings::{prepare_access_log, read_certificates, recipe};
use super::shutdown::Phase;
use super::tickets::Tickets;
use super::watch::Watches;
use super::{Chores, Machines, Outlook, Published, Supervisor, clock, web};
use crate::certs::CertError;
use crate::config::{Config, LogFormat};
use crate::control::server::{self, BindError, Claim, Server};
use crate::control::words::Status;
use crate::id::Serial;
use crate::lifecycle::{Order, Todo};
use crate::link::Certificate;
use crate::sys::cgroup::Realm;
use crate::sys::notify::{self, Notifier};
use crate::sys::orphans::Orphans;
use crate::sys::spawn::{self, Identity};
use crate::sys::{handover, process};
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
    /// What an earlier supervisor has left, if this one is to take over.
    pub heritage: Option<Heritage>,
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
    /// It was not given back either, and all that lives goes with us.
    #[error("cannot take over: {0}")]
    TakeOver(String),
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
    handover::release_signals();
    let heritage = options.heritage.take();
    let admin = admin(&config, &mut options, heritage.as_ref())?;
    let before = heritage.as_ref().and_then(|heritage| heritage.estate.ledger.places.metrics);
    let metrics = match config.metrics.listen.map(|address| before.unwrap_or(address)) {
        Some(address) => Some(web::bind(address).await.map_err(|source| Error::Metrics { address, source })?),
        None => None,
    };
    let ends = admin.ends().map_err(|source| Error::System { step: "copy the admin socket", source })?;
    let ground = Ground {
        events: &events,
        tasks: &tasks,
        metrics_address: metrics.as_ref().map(|(_, address)| *address),
        admin: ends,
    };
    let built = catch_unwind(AssertUnwindSafe(|| build(config, options, ground, heritage.as_ref())));
    let built = built.unwrap_or_else(|_| Err(Error::TakeOver("it has a fault and panicked".to_owned())));
    let (supervisor, writer) = match (built, heritage) {
        (Ok(built), heritage) => {
            heritage.into_iter().for_each(Heritage::close);
            built
        }
        // Nothing of what is here may be dropped before: it belongs to whoever has it then.
        (Err(error), Some(heritage)) => return Err(Error::TakeOver(heritage.give_back(&error.to_string()))),
        (Err(error), None) => return Err(error),
    };
    if supervisor.outlook.store.is_open() {
        handover::die_of_panics();
    }
    let mut helpers = vec![abort_on_drop(signals), abort_on_drop(calls(admin, events.clone()))];
    if let Some((listener, _)) = metrics {
        let served = web::serve(listener, events.clone(), tasks.clone());
        helpers.push(abort_on_drop(async {
            let _ = served.await;
        }));
    }
    drop(events);
    supervisor.serve(queue).await.map_err(|source| Error::System { step: "hand over", source })?;
    drop(helpers);
    writer.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn admin(config: &Config, options: &mut Options, heritage: Option<&Heritage>) -> Result<Server, Error> {
    let ends = heritage.and_then(|heritage| {
        let take = |name| heritage.estate.take(name);
        Some(server::Ends { listener: take("admin.listener")?, lock: take("admin.lock")? })
    });
    if let Some(ends) = ends {
        return Ok(Server::adopt(&config.admin.socket, ends)?);
    }
    let claim = options.claim.take().map_or_else(|| Claim::take(&config.admin.socket), Ok)?;
    Ok(Server::bind(claim)?)
}

/// On what a supervisor is built.
struct Ground<'a> {
    events: &'a Events,
    tasks: &'a TaskTracker,
    metrics_address: Option<SocketAddr>,
    admin: server::Ends,
}

fn build(
    config: Config,
    options: Options,
    ground: Ground<'_>,
    heritage: Option<&Heritage>,
) -> Result<(Supervisor, Writer), Error> {
    let failed = |step| move |source| Error::System { step, source };
    let (events, tasks) = (ground.events, ground.tasks);
    let estate = heritage.map(|heritage| &heritage.estate);
    let line = estate.map_or_else(std::process::id, |estate| estate.ledger.places.mark);
    let recipe = recipe(&config, proxy_identity(&config)?, line);
    let certificates = certificates(&config, &recipe, estate)?;
    let listeners = match estate {
        Some(estate) => Listeners::adopt(&estate.ledger.listeners, estate),
        None => Listeners::open(&config, recipe.threads as usize),
    };
    let listeners = listeners.map_err(|error: listeners::Error| Error::Listen(error.to_string()))?;
    let (sink, writer) =
        Sink::open(std::io::stdout(), config.log.format == LogFormat::Json).map_err(failed("output thread"))?;
    let metrics = SupervisorMetrics::new();
    let sweeper = Sweeper::start().map_err(failed("log thread"))?;
    let logs = Logs { metrics: metrics.clone(), sweeper, writers: writer.files.clone(), halt: Halt::default() };
    let chores = chores(&config, &options, estate).map_err(failed("the supervisor's chores"))?;
    let roster = estate.map_or_else(|| Roster::new(options.is_list), |one| Roster::adopt(one.ledger.roster.clone()));
    let outlook = outlook(metrics.clone(), options, ground, heritage)?;
    let (sockets, preload) = folders(&config, recipe.identity.clone(), estate);
    let mut supervisor = Supervisor {
        roster,
        listeners,
        sites: std::collections::BTreeMap::new(),
        proxies: Proxies::new(recipe),
        starter: Starter {
            effects: Box::new(Machine),
            environment: notify::inheritable_environment().collect(),
            events: events.clone(),
            metrics,
            sink,
            feed: Feed::default(),
            tasks: tasks.clone(),
            logs,
            sockets,
            preload,
            realm: claim_realm(),
            line,
        },
        machines: machines(estate),
        reloads: Reloads::default(),
        published: Published { certificates, tickets: Tickets::of(estate), ..Published::default() },
        phase: Phase::Running,
        chores,
        outlook,
        config,
    };
    supervisor.start_all(estate)?;
    Ok((supervisor, writer))
}

/// The certificates, and a file for the access log. What has served is to serve on, whatever has become of files meanwhile.
fn certificates(config: &Config, recipe: &Recipe, estate: Option<&Estate>) -> Result<Vec<Certificate>, Error> {
    let prepared = prepare_access_log(recipe);
    if let Some(estate) = estate {
        prepared.unwrap_or_else(|reason| tracing::error!(%reason, "cannot open the access log"));
        return Ok(estate.certificates.clone());
    }
    prepared.map_err(Error::AccessLog)?;
    Ok(read_certificates(config)?)
}

impl Supervisor {
    /// Starts all apps and a proxy, but for what lives already.
    fn start_all(&mut self, estate: Option<&Estate>) -> Result<(), Error> {
        let Some(estate) = estate else { return self.bring_up().map_err(Error::Proxy) };
        self.adopt(estate);
        self.chores.watches.follow(&self.config, &self.starter.events);
        self.run_queue();
        // After an upgrade those that there are are of the version before.
        if !estate.is_of_a_crash || !self.proxies.has_heir() {
            self.start_proxy();
        }
        Ok(())
    }

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

/// Of workers' sockets, and of what Node loads.
fn folders(config: &Config, visitor: Option<Identity>, estate: Option<&Estate>) -> (Sockets, Preload) {
    match estate.map(|estate| &estate.ledger.places) {
        Some(places) => (Sockets::adopt(places.sockets.clone(), visitor), Preload::adopt(places.preload.clone())),
        None => (Sockets::beside(&config.admin.socket, visitor), Preload::default()),
    }
}

fn machines(estate: Option<&Estate>) -> Machines {
    let first = Serial(estate.map_or(1, Estate::next_serial));
    Machines {
        todo: Todo::new(first, Box::new(fastrand::f64)),
        order: Order::default(),
        queue: std::collections::VecDeque::new(),
    }
}

fn chores(config: &Config, options: &Options, estate: Option<&Estate>) -> std::io::Result<Chores> {
    // A list, and what is beside it, is nobody's but ours.
    let state = options.state.as_deref();
    let own = state.into_iter().chain(config.path.parent().filter(|_| options.is_list));
    let archive = match state {
        Some(folder) => Archive::open(folder, &config.admin.socket)?,
        None => Archive::default(),
    };
    let now = clock::now();
    let mut calendar = Calendar::default();
    calendar.look_soon(now);
    let mut scrapes = Scrapes::new(now);
    if let Some(estate) = estate {
        scrapes.carry(estate.ledger.counters.clone());
    }
    Ok(Chores {
        scrapes,
        sweep: Sweep::new(Orphans::adopt()?),
        gauges: Gauges::default(),
        calendar,
        archive,
        watches: Watches::new(own.into_iter().map(Path::to_owned).collect()),
        rescues: Rescues::default(),
        quiet: Quiet::default(),
    })
}

fn outlook(
    metrics: SupervisorMetrics,
    options: Options,
    ground: Ground<'_>,
    heritage: Option<&Heritage>,
) -> Result<Outlook, Error> {
    let failed = |source| Error::System { step: "the service manager's socket", source };
    let notifier = Notifier::from_environment().map_err(failed)?;
    let room = notifier.room_for_descriptors();
    let store = heritage.map_or_else(|| Store::open(room), |one| Store::adopt(&one.estate, room)).map_err(failed)?;
    Ok(Outlook {
        notifier,
        metrics,
        metrics_address: ground.metrics_address,
        began: clock::now(),
        announce: options.announce,
        announced: false,
        admin: Some(ground.admin),
        line: heritage.map(|one| one.line.clone()).unwrap_or_default(),
        upgrade: Upgrade::None,
        store,
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
    let mut upgrade = listen(SignalKind::user_defined2())?;
    Ok(async move {
        loop {
            let signal = tokio::select! {
                Some(()) = hangup.recv() => Signal::Reload,
                Some(()) = reopen.recv() => Signal::ReopenLogs,
                Some(()) = upgrade.recv() => Signal::Upgrade,
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
