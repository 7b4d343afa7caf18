//! The control plane: owns listeners, workers, proxies, certificates and the admin socket; never reads what a client sent.
//!
//! One thread, one loop: take an event, let the app's machine decide, carry out what it says, publish what changed.
//! Policy lives in `lifecycle`; this room is effects. Invariants: state has one writer, this loop; a worker is
//! signalled only when its machine says so, and that is after every proxy has let go of it.

mod act;
mod adoption;
mod archive;
mod calendar;
mod canary;
mod channel;
mod chores;
mod clock;
mod cpu;
mod deploy;
mod diff;
mod effects;
mod event;
mod exits;
mod fixed;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hooks;
mod idle;
mod info;
mod invariants;
mod jobs;
mod keeper;
mod launch;
mod listeners;
mod liveness;
mod loads;
mod lookout;
mod memory;
mod notify;
mod order;
mod orders;
mod orphans;
mod outcome;
mod output;
mod past;
mod picture;
mod primary;
mod probe;
mod process;
mod proxies;
mod publish;
mod release;
mod releases;
mod reload;
mod rescue;
mod rights;
mod rollback;
mod rollout;
mod roster;
mod scale;
mod scrape;
mod settings;
mod shutdown;
mod site;
mod start;
mod stuck;
mod taken;
mod tickets;
mod traffic;
mod warmth;
mod watch;
mod web;
mod workers;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use tokio::sync::mpsc;

pub use adoption::{Heritage, clear_service, judge};
pub use keeper::{is_kept, keep};
pub use rights::Here;
pub use start::{Announce, Error, Options, run};

use crate::config::Config;
use crate::control::{Scope, server};
use crate::id::{AppName, Serial};
use crate::lifecycle::{self, Order, Todo, Version};
use crate::link::{Certificate, Epoch, FromProxy};
use crate::sys::notify::Notifier;
use crate::sys::program_text;
use crate::telemetry::supervisor_metrics::SupervisorMetrics;
use adoption::{Store, Upgrade};
use chores::Chores;
use event::{Event, Signal};
use invariants::Watch;
use launch::{Berth, Starter};
use listeners::Listeners;
use outcome::Reloads;
use proxies::Proxies;
use roster::Roster;
use shutdown::Phase;
use site::Site;

/// Everything the supervisor knows and owns.
struct Supervisor {
    config: Config,
    roster: Roster,
    listeners: Listeners,
    sites: BTreeMap<AppName, Site>,
    proxies: Proxies,
    starter: Starter,
    machines: Machines,
    reloads: Reloads,
    published: Published,
    phase: Phase,
    chores: Chores,
    outlook: Outlook,
}

/// What all machines share.
struct Machines {
    todo: Todo,
    /// Which app starts and stops when.
    order: Order,
    /// Events that are still to be handled.
    queue: VecDeque<(AppName, lifecycle::Event)>,
}

/// What the proxies were told, and what they have not acknowledged yet.
#[derive(Debug, Default)]
struct Published {
    epoch: Epoch,
    certificates: Vec<Certificate>,
    tickets: tickets::Tickets,
    /// Does the world differ from what was last published?
    dirty: bool,
    awaited: Vec<Awaited>,
    /// People who are told once the proxies do as they said.
    owed: Vec<traffic::Owed>,
    /// Closed endpoints whose machine has been told that they are idle.
    told_idle: HashSet<Serial>,
    watch: Watch,
    /// Places of workers that have ended, each until no proxy can take another worker for its owner.
    berths: Vec<(Epoch, Berth)>,
    /// Places that turned out to be somebody else's.
    shunned: taken::Shunned,
}

/// A machine that waits for the proxies; `epoch` is set once its version has been sent.
#[derive(Debug)]
struct Awaited {
    app: AppName,
    version: Version,
    epoch: Option<Epoch>,
}

/// How the world outside is told about us.
struct Outlook {
    notifier: Notifier,
    metrics: SupervisorMetrics,
    /// Where `/metrics` really listens.
    metrics_address: Option<SocketAddr>,
    began: Instant,
    announce: start::Announce,
    announced: bool,
    /// Copies of what the admin socket has, for whoever takes over.
    admin: Option<server::Ends>,
    line: adoption::Line,
    upgrade: Upgrade,
    store: Store,
}

/// What the service manager is told.
#[derive(Clone, Copy, Debug)]
enum Notice {
    Ready,
    Reloading,
    Stopping,
}

impl Outlook {
    /// Tells the service manager where we stand; a manager that does not listen changes nothing for us.
    fn tell(&self, notice: Notice) {
        let (told, status) = match notice {
            Notice::Ready => (self.notifier.ready(), "serving"),
            Notice::Reloading => (self.notifier.reloading(), "reloading"),
            Notice::Stopping => (self.notifier.stopping(), "stopping"),
        };
        if let Err(error) = told.and_then(|()| self.notifier.status(status)) {
            tracing::warn!(%error, "cannot tell the service manager");
        }
    }
}

impl Supervisor {
    /// Runs until everything has been stopped; gives why, if another program was to take over and nobody could.
    async fn serve(mut self, mut events: mpsc::Receiver<Event>) -> std::io::Result<()> {
        let mut has_started = false;
        loop {
            self.settle();
            if self.outlook.announced && !std::mem::replace(&mut has_started, true) {
                program_text::give_back();
            }
            if self.is_done() {
                self.close_archive();
                self.end_orphans().await;
                self.leave_nothing();
                return Ok(());
            }
            if let Some(next) = self.outlook.upgrade.take_due() {
                return Err(self.hand_over(next, events).await);
            }
            let deadline = self.deadline();
            tokio::select! {
                Some(event) = events.recv() => self.handle(event),
                () = clock::sleep_until(deadline) => self.wake(clock::now()),
            }
        }
    }

    fn handle(&mut self, event: Event) {
        self.outlook.store.note(event.is_of_figures());
        match event {
            Event::Signal(Signal::Reload) => self.reload(Scope::default(), None),
            Event::Signal(Signal::Stop) => self.stop(),
            Event::Signal(Signal::Upgrade) => self.upgrade(None, None),
            Event::UpgradeChecked(checked) => self.upgrade_checked(checked),
            Event::Signal(Signal::ReopenLogs) => self.reopen_logs(),
            Event::Signal(Signal::ChildEnded) => self.chores.sweep.look_soon(),
            Event::Call(call) => self.take_order(call),
            Event::Exited { app, serial, exit } => self.worker_exited(app, serial, exit),
            Event::Probed { app, serial, outcome } => self.probed(app, serial, outcome),
            Event::Warmed { app, serial, complaints } => self.warmed(app, serial, &complaints),
            Event::Checked { app, serial, outcome } => self.checked(app, serial, outcome),
            Event::Declared { app, serial, by } => self.declared(app, serial, by),
            Event::HookEnded { serial, exit } => self.hook_ended(serial, exit),
            Event::Told { app, serial, word } => self.told(app, serial, word),
            Event::Cluster { app, serial, said } => self.cluster_said(&app, serial, said),
            Event::Sighted { app, serial, sight } => self.sighted(&app, serial, sight),
            Event::LeftChannel { app, serial } => self.left_channel(&app, serial),
            Event::Said { proxy, message } => self.proxy_said(proxy, message),
            Event::ProxyExited { proxy, exit } => self.proxy_exited(proxy, exit),
            Event::Stands { app, serial, unread } => self.stands(app, serial, &unread),
            Event::FilesChanged { app, path } => self.files_changed(&app, &path),
            Event::Measured(measurements) => self.measured(measurements),
            Event::Scrape { reply } => self.scrape(reply),
            Event::AskReady { reply } => drop(reply.send(self.readiness())),
        }
    }

    /// Carries everything on until nothing is left to do but wait.
    ///
    /// It ends: each round hands over acknowledgements that no machine gets twice, and what a machine publishes in
    /// answer moves one of its workers to a later state.
    fn settle(&mut self) {
        loop {
            self.run_queue();
            self.release_held(clock::now());
            self.begin_due();
            self.run_queue();
            if self.published.dirty {
                self.publish();
            }
            if !self.deliver_acknowledgements() {
                break;
            }
        }
        self.retire_predecessors();
        self.answer_reloads();
        self.close_deploys();
        self.announce();
        self.note_quiet(clock::now());
        self.resume_upgrade(clock::now());
        self.advance_shutdown();
        self.keep_current();
    }

    fn publish(&mut self) {
        self.watch_invariants();
        self.forget_drained();
        self.published.dirty = false;
        self.published.epoch = Epoch(self.published.epoch.0 + 1);
        for awaited in &mut self.published.awaited {
            awaited.epoch.get_or_insert(self.published.epoch);
        }
        for owed in &mut self.published.owed {
            owed.epoch.get_or_insert(self.published.epoch);
        }
        self.note_open();
        let sites = &self.sites;
        self.proxies.loads.retain(|serial| sites.values().any(|site| site.slot(serial).is_some()));
        self.proxies.publish(&self.snapshot());
    }

    /// Workers that are open, maybe again, are idle no more.
    fn note_open(&mut self) {
        let supervised = self.sites.iter().filter(|(_, site)| matches!(site, Site::Supervised(_)));
        let endpoints =
            supervised.flat_map(|(app, site)| site.endpoints().into_iter().map(move |endpoint| (app, endpoint)));
        let traffic = &self.roster.traffic;
        for (_, endpoint) in endpoints.filter(|(app, one)| one.open && !traffic.masks(app, one.serial)) {
            self.published.told_idle.remove(&endpoint.serial);
            self.proxies.note_open(endpoint.serial, self.published.epoch);
        }
    }

    fn snapshot(&self) -> crate::link::Snapshot {
        let Published { epoch, certificates, .. } = &self.published;
        let mut snapshot = publish::snapshot(*epoch, &self.sites, &self.listeners, certificates, &self.config);
        snapshot.tickets = self.published.tickets.keys();
        self.roster.traffic.apply(&mut snapshot);
        snapshot
    }

    /// Queues what the proxies have acknowledged since; says whether there was anything.
    fn deliver_acknowledgements(&mut self) -> bool {
        let floor = self.proxies.floor();
        let reached =
            |awaited: &mut Awaited| awaited.epoch.is_some_and(|epoch| floor.is_none_or(|floor| epoch <= floor));
        for Awaited { app, version, .. } in self.published.awaited.extract_if(.., reached) {
            self.machines.queue.push_back((app, lifecycle::Event::Published { version }));
        }
        for owed in self.published.owed.extract_if(.., |owed| owed.is_due(floor)) {
            owed.pay();
        }
        self.published.berths.retain(|(epoch, _)| floor.is_some_and(|floor| floor < *epoch));
        for (app, site) in &self.sites {
            for serial in site.closing() {
                let is_news = self.proxies.is_idle(serial) && !self.published.told_idle.contains(&serial);
                if is_news && matches!(site, Site::Supervised(_)) {
                    self.published.told_idle.insert(serial);
                    self.machines.queue.push_back((app.clone(), lifecycle::Event::Idle { serial }));
                }
            }
        }
        !self.machines.queue.is_empty()
    }

    fn deadline(&self) -> Option<Instant> {
        let sites = self.sites.values().filter_map(Site::deadline);
        let own = [self.proxies.deadline(), self.chores.deadline(), self.phase.deadline()];
        let others = [self.machines.order.deadline(), self.reloads.deadline(), self.outlook.upgrade.deadline()];
        sites.chain(own.into_iter().chain(others).chain([self.published.tickets.deadline()]).flatten()).min()
    }

    fn wake(&mut self, now: Instant) {
        self.outlook.store.note(false);
        let due = |site: &&Site| site.deadline().is_some_and(|deadline| deadline <= now);
        let apps: Vec<_> = self.sites.iter().filter(|(_, site)| due(site)).map(|(name, _)| name.clone()).collect();
        for app in apps {
            match self.sites.get(&app) {
                Some(Site::Supervised(_)) => self.machines.queue.push_back((app, lifecycle::Event::Wake)),
                Some(Site::Fixed(_)) => self.probe_fixed(&app, now),
                None => {}
            }
        }
        if self.proxies.wake(now) && !self.is_stopping() {
            self.start_proxy();
        }
        self.published.dirty |= self.published.tickets.rotate(now);
        self.end_scrapes(now);
        self.look_for_orphans(now);
        self.consult_calendar(now);
        self.wake_jobs(now);
        self.look_at_memory(now);
        self.keep_exits(now);
        self.send_to_sleep(now);
        self.end_rescues(now);
        self.end_late_hooks(now);
        self.hasten(now);
    }

    fn proxy_said(&mut self, proxy: u64, message: FromProxy) {
        match message {
            FromProxy::Ready => {}
            FromProxy::Published { epoch } => self.proxies.acknowledge(proxy, epoch),
            FromProxy::Rejected { epoch, reason } => {
                tracing::error!(proxy, epoch = epoch.0, %reason, "a proxy cannot use what was published");
                self.proxies.excuse(proxy);
            }
            FromProxy::Idle { serial } => self.proxies.note_idle(proxy, serial),
            FromProxy::Wanted { app } => self.wanted(app),
            FromProxy::Noted { serial } => self.noted(proxy, serial),
            FromProxy::Fault { app, serial, kind } => self.note_fault(&app, serial, kind),
            FromProxy::Load(news) => self.note_loads(proxy, news),
            FromProxy::Metrics { ticket, families, longest_holds } => {
                self.reloads.deploys.note_holds(&longest_holds);
                self.scraped(proxy, ticket, families);
            }
        }
    }
}

#[cfg(test)]
mod tests;
