//! The driver's hands: gives events to machines, does what they say, and starts probes and proxies.
//!
//! No policy: each action of `lifecycle` has one arm here, and it does just that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::effects::{About, Question};
use super::settings::{plan, prepare_access_log};
use super::site::{Fixed, Server, Site, Supervised};
use super::{Awaited, Supervisor, clock, memory};
use crate::config::{self, App, Readiness};
use crate::id::{Address, AppName, Serial, Slot, WorkerId};
use crate::lifecycle::{self, Action, AppState, Health, JobEvent, Version};
use crate::link::{self, FaultKind};
use crate::sys::spawn::Exit;

impl Supervisor {
    /// Hands every queued event to its machine and does what comes of it.
    pub(super) fn run_queue(&mut self) {
        while let Some((app, event)) = self.machines.queue.pop_front() {
            let Some(Site::Supervised(site)) = self.sites.get_mut(&app) else { continue };
            site.machine.handle(clock::now(), event, &mut self.machines.todo);
            let report = site.machine.report();
            site.note_new_generation(&report);
            self.published.dirty |= site.note_leaving(&report);
            site.tell_liveness(&app, &report);
            site.tell_of_stuck(&report);
            let is_job = site.runs.is_some();
            if let Some(state) = site.new_state(&report).filter(|_| !is_job) {
                tell(&app, state);
            }
            for (reason, count) in site.new_restarts(&report) {
                (0..count).for_each(|_| self.outlook.metrics.worker_restarted(&app, reason));
            }
            for (reason, count) in site.new_recycles(&report).filter(|(_, count)| *count > 0) {
                tracing::info!(%app, %reason, "worker recycled: its successor serves");
                self.outlook.metrics.workers_recycled(&app, reason.as_str(), count);
            }
            self.follow_job(&app, &report);
            for action in self.machines.todo.take() {
                self.act(&app, action);
            }
        }
    }

    pub(super) fn act(&mut self, app: &AppName, action: Action) {
        match action {
            Action::Spawn { serial, worker } => self.spawn(app, serial, &worker),
            Action::Probe { serial } => self.probe_worker(app, serial),
            Action::WarmUp { serial } => self.warm_up(app, serial),
            Action::Cold { serial } => self.tell_cold(app, serial),
            Action::Check { serial } => self.check(app, serial),
            Action::Dump { serial } => self.dump(app, serial),
            Action::Publish { version } => self.tell_proxies(app, version),
            Action::Stop { serial } => self.with_worker(app, serial, super::workers::Worker::stop),
            Action::Kill { serial } => self.kill_worker(app, serial),
            Action::Forced { serial } => {
                tracing::warn!(%app, %serial, "a worker is stopped with exchanges in flight: its drain timeout is over");
                self.outlook.metrics.invariants().drain_forced("exchange");
                self.note_forced(app, serial);
            }
            Action::Clear { generation } => self.clear(app, generation),
            Action::Promoted { generation } => self.promoted(app, generation),
            Action::Finish { ticket, outcome } => self.reload_ended(app, ticket, outcome),
            Action::Retired { generation } => {
                if let Some(Site::Supervised(site)) = self.sites.get_mut(app) {
                    site.releases.retire(generation);
                }
                tracing::info!(%app, %generation, "generation retired");
            }
            Action::RolledBack { generation, to, reason } => self.rolled_back(app, generation, to, &reason),
            Action::Stopped => self.site_stopped(app),
        }
    }

    fn tell_proxies(&mut self, app: &AppName, version: Version) {
        match self.sites.get(app) {
            Some(Site::Supervised(site)) if site.is_task() => {
                self.machines.queue.extend(site.let_go(version).map(|event| (app.clone(), event)));
            }
            _ => {
                self.published.dirty = true;
                self.published.awaited.push(Awaited { app: app.clone(), version, epoch: None });
            }
        }
    }

    fn spawn(&mut self, app: &AppName, serial: Serial, id: &WorkerId) {
        let Some(Site::Supervised(site)) = self.sites.get_mut(app) else { return };
        let started = site.start(&*self.starter.effects, &self.starter, serial, id.clone());
        let event = match started {
            Ok(pid) => {
                tracing::info!(worker = %id, pid, "worker started");
                self.chores.gauges.add(serial, &memory::settings(site, serial));
                lifecycle::Event::Spawned { serial }
            }
            Err(reason) => {
                tracing::error!(worker = %id, %reason, "worker cannot be started");
                lifecycle::Event::SpawnFailed { serial, reason }
            }
        };
        self.machines.queue.push_back((app.clone(), event));
    }

    fn with_worker(&self, app: &AppName, serial: Serial, order: impl FnOnce(&super::workers::Worker)) {
        if let Some(Site::Supervised(site)) = self.sites.get(app)
            && let Some(worker) = site.workers.get(&serial)
        {
            order(worker);
        }
    }

    pub(super) fn worker_exited(&mut self, app: AppName, serial: Serial, exit: Exit) {
        let Some(Site::Supervised(site)) = self.sites.get(&app) else { return };
        if let Some(worker) = site.workers.get(&serial) {
            tracing::info!(worker = %worker.id, pid = worker.process.pid(), %exit, "worker ended");
        }
        let is_listed = site.lists(serial);
        let taken = self.explain_taken(&app, serial);
        let how = match &taken {
            Some(taken) => format!("{exit} ({})", taken.explanation),
            None => exit.to_string(),
        };
        let Some(Site::Supervised(site)) = self.sites.get_mut(&app) else { return };
        let gauge = self.chores.gauges.remove(serial);
        let max_memory = gauge.map(|gauge| gauge.watch.most()).filter(|most| *most > 0);
        if let Some((berth, ended)) = site.bury(serial, exit, max_memory) {
            self.outlook.metrics.worker_ended(&app, ended.cause.as_str(), ended.for_memory);
            // A proxy may still list the worker; another one must not inherit its place until none does.
            let epoch = link::Epoch(self.published.epoch.0 + u64::from(is_listed));
            if taken.is_some_and(|taken| taken.is_given) {
                self.published.shunned.keep(berth);
            } else if berth.address().is_some() {
                self.published.berths.push((epoch, berth));
            }
        }
        self.chores.archive.note();
        self.forget_worker(serial);
        self.machines.queue.push_back((app, lifecycle::Event::Exited { serial, how, code: exit.code() }));
    }

    fn probe_worker(&self, app: &AppName, serial: Serial) {
        let Some(Site::Supervised(site)) = self.sites.get(app) else { return };
        let Some(worker) = site.workers.get(&serial) else { return };
        if let (Some(release), Some(address)) = (site.releases.get(worker.id.generation), worker.berth.address()) {
            self.ask(app.clone(), serial, address, Arc::clone(&release.app));
        }
    }

    /// Probes the servers of a fixed upstream that are due.
    pub(super) fn probe_fixed(&mut self, app: &AppName, now: Instant) {
        let Some(Site::Fixed(site)) = self.sites.get_mut(app) else { return };
        let due = site.servers.iter_mut().filter_map(|server| {
            let is_due = server.health.wake(now);
            is_due.then(|| (server.serial, server.address.clone()))
        });
        let due: Vec<_> = due.collect();
        let settings = Arc::clone(&site.app);
        for (serial, address) in due {
            self.ask(app.clone(), serial, address, Arc::clone(&settings));
        }
    }

    fn ask(&self, app: AppName, serial: Serial, address: Address, settings: Arc<App>) {
        let about = About::Readiness;
        self.starter.effects.ask(&self.starter, Question { app, serial, address, settings, about });
    }

    pub(super) fn probed(&mut self, app: AppName, serial: Serial, outcome: Result<(), String>) {
        if outcome.is_ok() {
            self.published.watch.prove(serial);
            self.dismiss_lookout(&app, serial);
            self.open_up(&app, serial);
        }
        match self.sites.get_mut(&app) {
            Some(Site::Supervised(site)) => {
                let outcome = outcome.map_err(|complaint| match site.workers.get(&serial) {
                    Some(worker) => worker.lookout.explain(complaint),
                    None => complaint,
                });
                self.machines.queue.push_back((app, lifecycle::Event::Probed { serial, outcome }));
            }
            Some(Site::Fixed(site)) => {
                self.published.dirty |= site.probed(serial, outcome, clock::now());
            }
            None => {}
        }
    }

    /// A worker listens: before it is published, the proxies must be able to connect.
    fn open_up(&self, app: &AppName, serial: Serial) {
        self.with_worker(app, serial, |worker| {
            if let Err(reason) = worker.berth.open_up() {
                tracing::warn!(worker = %worker.id, %reason);
            }
        });
    }

    /// Takes in a worker's own word. Where readiness is asked for it is no news, and no proof.
    pub(super) fn declared(&mut self, app: AppName, serial: Serial, by: Readiness) {
        let Some(Site::Supervised(site)) = self.sites.get(&app) else { return };
        if site.readiness(serial) == Some(by) {
            self.open_up(&app, serial);
            self.published.watch.prove(serial);
            self.dismiss_lookout(&app, serial);
            self.machines.queue.push_back((app, lifecycle::Event::Declared { serial }));
        }
    }

    /// Adds an app and starts it.
    pub(super) fn add_site(&mut self, name: &AppName, app: Arc<App>) {
        let site = match &app.server {
            config::Server::Command(_) => {
                let earlier = self.chores.archive.take(name);
                Site::Supervised(Box::new(Supervised::new(name.clone(), app, earlier)))
            }
            config::Server::Fixed(_) => {
                let mut site = Fixed { app: Arc::clone(&app), servers: Vec::new() };
                site.update(&app, |address, slot| self.fresh_server(&app, address, slot));
                Site::Fixed(site)
            }
        };
        self.roster.enrol(name);
        self.sites.insert(name.clone(), site);
        self.start_site(name);
        self.published.dirty = true;
    }

    /// Gives a fixed upstream its new settings.
    pub(super) fn update_fixed(&mut self, name: &AppName, app: &Arc<App>) {
        let Some(Site::Fixed(mut site)) = self.sites.remove(name) else { return };
        site.update(app, |address, slot| self.fresh_server(app, address, slot));
        self.sites.insert(name.clone(), Site::Fixed(site));
        self.published.dirty = true;
    }

    /// Stops an app that is no longer configured; it is forgotten when its last worker is gone.
    pub(super) fn remove_site(&mut self, name: &AppName) {
        self.machines.order.forget(name);
        match self.sites.get_mut(name) {
            Some(Site::Supervised(site)) => {
                site.held = false;
                self.machines.queue.push_back((name.clone(), lifecycle::Event::Stop));
            }
            Some(Site::Fixed(_)) => self.forget(name),
            None => {}
        }
        self.published.dirty = true;
    }

    fn site_stopped(&mut self, app: &AppName) {
        self.watch_leak(app);
        self.drive_job(app, JobEvent::Gone);
        if !self.sites.get(app).is_some_and(Site::is_job) {
            tracing::info!(%app, "app stopped");
        }
        if self.is_stopping() {
            return;
        }
        match self.sites.get_mut(app) {
            _ if !self.config.apps.contains_key(app) => self.forget(app),
            Some(Site::Supervised(site)) if site.comes_again => {
                site.comes_again = false;
                let plan = plan(&site.upcoming, self.roster.scaled(&site.upcoming));
                self.machines.queue.push_back((app.clone(), lifecycle::Event::Start(plan)));
            }
            _ => {}
        }
    }

    fn forget_worker(&mut self, serial: Serial) {
        self.proxies.forget(serial);
        self.published.told_idle.remove(&serial);
        self.published.watch.forget(serial);
    }

    fn forget(&mut self, app: &AppName) {
        if let Some(Site::Supervised(site)) = self.sites.remove(app) {
            // Killed and still there: of their end nobody hears any more.
            for serial in site.workers.into_keys() {
                self.chores.gauges.remove(serial);
                self.forget_worker(serial);
            }
        }
        self.chores.quiet.end(app);
        self.roster.strike(app);
        self.starter.feed.forget(app);
        self.published.dirty = true;
    }

    fn fresh_server(&mut self, app: &App, address: Address, slot: Slot) -> Server {
        let now = clock::now();
        let health = Health::new(now, app.probe.interval, app.probe.failures.get());
        Server { serial: self.machines.todo.fresh_serial(), slot, address, health, since: now }
    }

    /// Starts a proxy on the listeners as they are; a failure is tried again after a pause.
    pub(super) fn start_proxy(&mut self) {
        // What has changed gets an epoch of its own first: by its number it is known what a proxy has heard of.
        if self.published.dirty {
            self.publish();
        }
        let snapshot = self.snapshot();
        if let Err(reason) = self.proxies.start(&*self.starter.effects, &self.starter, &self.listeners, &snapshot) {
            tracing::error!(%reason, "proxy cannot be started");
            self.proxies.plan_restart(clock::now() + Duration::from_secs(1));
        }
    }

    pub(super) fn proxy_exited(&mut self, proxy: u64, exit: Exit) {
        self.keep_counters_of(proxy);
        self.forget_in_rescues(proxy);
        if self.proxies.exited(proxy, exit, clock::now()) {
            self.outlook.metrics.proxy_restarted();
            if self.is_stopping() {
                self.proxies.cancel_restart();
            }
        }
    }

    /// Takes in what a proxy says of the load on workers, of those that there still are.
    pub(super) fn note_loads(&mut self, proxy: u64, news: Vec<link::Load>) {
        let now = clock::now();
        for load in news {
            let serial = load.serial;
            let mut sites = self.sites.iter_mut();
            if let Some((app, slot, site)) = sites.find_map(|(app, site)| Some((app, site.slot(serial)?, site))) {
                let answers = self.proxies.loads.note(proxy, load, now);
                self.outlook.metrics.worker_finished(app, slot, answers.given);
                if answers.given > 0 {
                    self.chores.quiet.end(app);
                }
                let Site::Supervised(site) = site else { continue };
                if let Some(fault) = site.note_answers(serial, now, answers) {
                    self.machines.queue.push_back((app.clone(), fault));
                }
                if answers.given > 0 {
                    let exchanges = self.proxies.loads.of(serial, now).finished;
                    self.machines.queue.push_back((app.clone(), lifecycle::Event::Served { serial, exchanges }));
                }
            }
        }
    }

    /// A worker's end is known from its process. Of a server that something else runs, a proxy may know more than our own
    /// probes: it runs as another user.
    pub(super) fn note_fault(&self, app: &AppName, serial: Serial, kind: FaultKind) {
        let fixed = match self.sites.get(app) {
            Some(Site::Fixed(site)) => site.servers.iter().find(|server| server.serial == serial),
            _ => None,
        };
        match fixed {
            Some(server) if kind == FaultKind::Connect && server.health.is_open() => {
                let address = &server.address;
                tracing::warn!(%app, %address, "a proxy cannot connect to a server that answers our probes; may its user?");
            }
            _ => tracing::debug!(%app, %serial, ?kind, "a worker failed an exchange"),
        }
    }

    /// Once a newer proxy serves, the older ones are told to finish.
    pub(super) fn retire_predecessors(&mut self) {
        if self.proxies.has_successor() {
            self.proxies.retire(true, self.config.proxy.drain_timeout);
        }
    }

    pub(super) fn reopen_logs(&mut self) {
        if let Err(reason) = prepare_access_log(&self.proxies.recipe) {
            tracing::error!(%reason, "cannot reopen");
        }
        self.proxies.broadcast(&link::ToProxy::Reopen);
        for site in self.sites.values() {
            if let Site::Supervised(site) = site {
                site.files.iter().for_each(super::output::Files::reopen);
            }
        }
    }
}

/// What operators should know of an app's state when it changes.
fn tell(app: &AppName, state: AppState) {
    match state {
        AppState::CrashLooping => {
            tracing::error!(%app, "workers end again and again: one is tried now and then, no request waits for it");
        }
        AppState::GivenUp => {
            tracing::error!(%app, "workers end again and again: given up, nothing is tried until the next reload");
        }
        AppState::Asleep => tracing::info!(%app, "asleep: nobody asks for anything, and the next request wakes it"),
        AppState::Exited => tracing::warn!(%app, "all workers have ended and none is to be started again"),
        _ => tracing::debug!(%app, %state, "state of the app"),
    }
}
