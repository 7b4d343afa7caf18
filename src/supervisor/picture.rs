//! What the supervisor shows of itself: status for people, samples for metrics, readiness for balancers.
//!
//! Only reads; the one thing it does is to tell the service manager and the caller, once, that everything is up.

use std::time::Duration;

use super::loads::Loads;
use super::proxies::State;
use super::site::{Fixed, Site, Supervised};
use super::{Supervisor, clock};
use crate::control::words::{self, Status};
use crate::id::{Address, AppName, Serial};
use crate::lifecycle::{self, AppState, GenerationState, WorkerReport, WorkerState};
use crate::telemetry::exposition::Family;
use crate::telemetry::supervisor_metrics::{Picture, Worker};

/// What the servers of a fixed upstream are called.
const UP: &str = "up";
const DOWN: &str = "down";
/// What an app is called that waits for others before it starts.
const WAITING: &str = "waiting";
/// What a task is called between its runs.
const SCHEDULED: &str = "scheduled";

impl Supervisor {
    pub(super) fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            config: self.config.path.clone(),
            is_list: self.roster.is_list(),
            uptime_seconds: clock::since(self.outlook.began).as_secs(),
            line: words::Line { before: self.outlook.line.before, refused: self.outlook.line.refused.clone() },
            listeners: self.listeners.iter().filter_map(listener).collect(),
            metrics: self.outlook.metrics_address,
            proxies: self
                .proxies
                .iter()
                .map(|(number, proxy)| words::Proxy {
                    number,
                    pid: proxy.process.pid(),
                    state: proxy.state.name().to_owned(),
                })
                .collect(),
            apps: self.sites.iter().map(|(name, site)| self.whole(name, site)).collect(),
        }
    }

    /// One app, with all that is known of it elsewhere.
    pub(super) fn whole(&self, name: &AppName, site: &Site) -> words::App {
        let seen = app(self.roster.id(name), name, site, &self.proxies.loads);
        let mut told = self.with_runs(self.with_usage(self.with_scale(seen)));
        self.roster.traffic.tell(&mut told);
        told
    }

    /// The supervisor's own metrics.
    pub(super) fn own_families(&self) -> Vec<Family> {
        let reports: Vec<_> = self.sites.iter().filter_map(|(name, site)| Some((name, site.report()?))).collect();
        let (mut workers, now) = (Vec::new(), clock::now());
        let in_flight = |serial| self.proxies.loads.of(serial, now).in_flight;
        for (app, report) in &reports {
            let all = report.generations.iter().flat_map(|one| one.workers.iter().chain(&one.beside));
            let reports = all.chain(&report.stranded);
            workers.extend(reports.map(|report| Worker {
                app,
                slot: report.worker.slot,
                state: report.state.as_str(),
                in_flight: report.serial.map_or(0, in_flight),
            }));
        }
        let mut states: Vec<_> = WorkerState::ALL.iter().map(|state| state.as_str()).collect();
        states.extend([UP, DOWN]);
        for (app, site) in &self.sites {
            if let Site::Fixed(site) = site {
                let server = |server: &super::site::Server| Worker {
                    app,
                    slot: server.slot,
                    state: condition(server.health.is_open()),
                    in_flight: in_flight(server.serial),
                };
                workers.extend(site.servers.iter().map(server));
            }
        }
        let live = self.sites.iter().filter_map(|(name, site)| Some((name, site.live_generation()?)));
        let app_states: Vec<_> =
            AppState::ALL.iter().map(|state| state.as_str()).chain([DOWN, WAITING, SCHEDULED]).collect();
        let picture = Picture {
            states: &states,
            workers,
            app_states: &app_states,
            apps: self.sites.iter().map(|(name, site)| (name, app_state(site))).collect(),
            panics: reports.iter().map(|(name, report)| (*name, report.is_panicking)).collect(),
            generations: live.collect(),
            proxies: self.proxies.iter().len(),
            jobs: self.sites.iter().filter_map(|(name, site)| self.job_sample(name, site)).collect(),
        };
        let mut families = self.outlook.metrics.gather(&picture);
        families.push(self.roster.traffic.family(self.sites.keys()));
        families.push(self.canaries());
        families
    }

    /// Ready: a proxy serves and every app has an open endpoint, or sleeps until it is asked for, but tasks, which no balancer waits for.
    pub(super) fn readiness(&self) -> Result<(), String> {
        if self.is_stopping() {
            return Err("stopping".to_owned());
        }
        if !self.is_in_force() {
            return Err("no proxy serves yet".to_owned());
        }
        let unready: Vec<_> = self
            .sites
            .iter()
            .filter(|(_, site)| site.app().enabled && !site.is_task() && !site.is_open() && !site.is_dormant())
            .map(|(name, _)| name.as_str())
            .collect();
        if unready.is_empty() { Ok(()) } else { Err(format!("no worker serves: {}", unready.join(", "))) }
    }

    /// Does a proxy serve, and have all proxies what was published last?
    fn is_in_force(&self) -> bool {
        self.proxies.is_serving() && self.proxies.floor() >= Some(self.published.epoch)
    }

    /// Tells, once, that connections are accepted and every app serves, has failed for the first time or has ended.
    pub(super) fn announce(&mut self) {
        let is_settled =
            |site: &Site| site.is_open() || site.is_dormant() || site.last_failure().is_some() || !site.is_expected();
        if self.outlook.announced || !self.is_in_force() || !self.sites.values().all(is_settled) {
            return;
        }
        self.outlook.announced = true;
        self.outlook.tell(super::Notice::Ready);
        tracing::info!(millis = clock::since(self.outlook.began).as_millis(), "serving");
        if let Some(announce) = self.outlook.announce.take() {
            announce(&self.status());
        }
    }
}

fn listener(group: &super::listeners::Group) -> Option<words::Listener> {
    let first = group.sockets.first()?;
    let app = group.app.clone();
    Some(words::Listener { address: first.address, tls: group.tls, inherited: group.inherited, app })
}

fn app(id: u32, name: &AppName, site: &Site, loads: &Loads) -> words::App {
    let workers = match site {
        Site::Supervised(site) => supervised(site, loads),
        Site::Fixed(site) => fixed(site, loads),
    };
    let last_failure = site.last_failure();
    let state = app_state(site).to_owned();
    let exits = match site {
        Site::Supervised(site) => site.exits.told(),
        Site::Fixed(_) => Vec::new(),
    };
    let report = site.report();
    let recycling = report.as_ref().map(recycling).unwrap_or_default();
    let of = |report: &lifecycle::Report| report.generations.iter().map(|one| progress(one, loads)).collect();
    let generations = report.as_ref().map(of).unwrap_or_default();
    words::App {
        id,
        name: name.clone(),
        purpose: words::Purpose { kind: if site.is_task() { words::TASK } else { words::WEB }.to_owned(), job: None },
        state,
        by_hand: words::ByHand::default(),
        panic_routing: report.is_some_and(|report| report.is_panicking),
        generation: site.live_generation(),
        generations,
        workers,
        last_failure,
        exits,
        recycling,
    }
}

/// How far a generation has come, or how much of it is left.
fn progress(generation: &lifecycle::GenerationReport, loads: &Loads) -> words::GenerationProgress {
    let all = || generation.workers.iter().chain(&generation.beside);
    let can_serve = |worker: &&WorkerReport| matches!(worker.state, WorkerState::Ready | WorkerState::Serving);
    words::GenerationProgress {
        number: generation.number,
        state: generation.state.as_str().to_owned(),
        slots: generation.workers.len(),
        ready: generation.workers.iter().filter(can_serve).count(),
        running: all().filter(|worker| worker.serial.is_some()).count(),
        inflight: all().filter_map(|worker| worker.serial).map(|serial| load(serial, loads).inflight).sum(),
        share: generation.share,
    }
}

/// Whom there is a wish to replace.
fn recycling(report: &lifecycle::Report) -> Vec<words::Recycling> {
    let told = |generation: &lifecycle::GenerationReport, worker: &WorkerReport| {
        let is_leaving = !matches!(worker.state, WorkerState::Serving | WorkerState::Unready);
        let begun = is_leaving || generation.beside.iter().any(|other| other.worker == worker.worker);
        let (worker, serial, reason) = (worker.worker.to_string(), worker.serial?, worker.recycle?.to_string());
        Some(words::Recycling { worker, serial, reason, begun })
    };
    let of = |generation: &lifecycle::GenerationReport| -> Vec<_> {
        generation.workers.iter().filter_map(|worker| told(generation, worker)).collect()
    };
    report.generations.iter().flat_map(of).collect()
}

fn supervised(site: &Supervised, loads: &Loads) -> Vec<words::Worker> {
    let report = site.machine.report();
    let mut workers = Vec::new();
    let rolls = report.generations.iter().any(|one| one.state == GenerationState::Rolling);
    for generation in &report.generations {
        // Where the live generation has a slot without a worker, somebody is missing; in one that makes way that is the aim.
        let is_live = generation.is_live() && !rolls;
        let shown = generation.workers.iter().filter(|worker| is_live || worker.serial.is_some());
        let shown = shown.chain(&generation.beside);
        workers.extend(shown.filter_map(|report| worker(site, report, loads)));
    }
    workers.extend(report.stranded.iter().filter_map(|report| worker(site, report, loads)));
    workers
}

/// The worker in a slot, or the last one there; `None` when there was none yet.
fn worker(site: &Supervised, report: &WorkerReport, loads: &Loads) -> Option<words::Worker> {
    let running = report.serial.and_then(|serial| site.workers.get(&serial));
    let pid = running.map(|worker| worker.process.pid());
    let uptime = running.map_or(Duration::ZERO, |worker| clock::since(worker.started));
    Some(words::Worker {
        id: report.worker.to_string(),
        serial: report.last?,
        slot: report.worker.slot,
        generation: report.worker.generation,
        state: report.state.to_string(),
        pid,
        place: place(running.and_then(|worker| worker.berth.address())),
        uptime_seconds: uptime.as_secs(),
        restarts: site.told_restarts(report),
        usage: words::Usage::default(),
        says: running.and_then(|worker| worker.notify.as_ref()?.status()),
        load: report.serial.map(|serial| load(serial, loads)).unwrap_or_default(),
    })
}

/// What is said of an app: all its states have a name here.
fn app_state(site: &Site) -> &'static str {
    match site {
        Site::Supervised(site) if site.held => WAITING,
        Site::Supervised(site) if site.is_between_runs() => SCHEDULED,
        Site::Supervised(site) => site.machine.report().state.as_str(),
        Site::Fixed(site) => fixed_state(site),
    }
}

fn fixed_state(site: &Fixed) -> &'static str {
    if !site.app.enabled {
        return AppState::Stopped.as_str();
    }
    let up = site.servers.iter().filter(|server| server.health.is_open()).count();
    match up {
        0 => DOWN,
        up if up < site.servers.len() => AppState::Degraded.as_str(),
        _ => AppState::Running.as_str(),
    }
}

fn fixed(site: &Fixed, loads: &Loads) -> Vec<words::Worker> {
    let server = |server: &super::site::Server| words::Worker {
        id: format!("{} {}", site.app.name, server.slot),
        serial: server.serial,
        slot: server.slot,
        generation: crate::id::Generation(0),
        state: condition(server.health.is_open()).to_owned(),
        pid: None,
        place: place(Some(server.address.clone())),
        uptime_seconds: clock::since(server.since).as_secs(),
        restarts: 0,
        usage: words::Usage::default(),
        says: None,
        load: load(server.serial, loads),
    };
    site.servers.iter().map(server).collect()
}

fn load(serial: Serial, loads: &Loads) -> words::Load {
    let load = loads.of(serial, clock::now());
    words::Load {
        inflight: load.in_flight,
        requests: load.finished,
        failed: load.failed,
        // Tenths are all that there is to say of it.
        req_per_second: (load.per_second * 10.0).round() / 10.0,
        oldest_ms: load.oldest.map(|oldest| oldest.as_millis().try_into().unwrap_or(u64::MAX)),
    }
}

fn condition(open: bool) -> &'static str {
    if open { UP } else { DOWN }
}

fn place(address: Option<Address>) -> words::Place {
    let port = match &address {
        Some(Address::Tcp(address)) => Some(address.port()),
        Some(Address::Unix(_)) | None => None,
    };
    words::Place { address, port }
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Retiring => "retiring",
        }
    }
}
