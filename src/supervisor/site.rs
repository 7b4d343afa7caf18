//! One app as the supervisor holds it: its machine with the workers it has started, or its fixed servers.
//!
//! Keeps what belongs together and decides nothing: decisions are the machine's, effects the driver's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::archive::Earlier;
use super::effects::{Birth, Effects};
use super::exits::{Exits, Record};
pub(super) use super::fixed::{Fixed, Server};
use super::jobs::Runs;
use super::launch::{Berth, Starter};
use super::liveness::Told;
use super::output::Files;
use super::primary::Primary;
use super::publish;
use super::releases::Releases;
use super::workers::Worker;
use crate::config::{self, App};
use crate::control::words::Footprint;
use crate::id::{AppName, Generation, Serial, Slot, WorkerId};
use crate::lifecycle::{
    self, AppState, Cause, RecycleReason, Recycles, Report, Restarts, Version, WorkerReport, WorkerState,
};
use crate::link;
use crate::sys::spawn::Exit;

/// One app.
#[derive(Debug)]
pub(super) enum Site {
    Supervised(Box<Supervised>),
    Fixed(Fixed),
}

/// An app whose workers we start.
#[derive(Debug)]
pub(super) struct Supervised {
    pub(super) machine: lifecycle::App,
    pub(super) workers: BTreeMap<Serial, Worker>,
    pub(super) releases: Releases,
    /// The settings of the next generation to be declared.
    pub(super) upcoming: Arc<App>,
    /// Opened with the first worker that writes to any.
    pub(super) files: Option<Files>,
    pub(super) exits: Exits,
    /// What was said of those who fail their probes, or cannot be killed.
    pub(super) told: Told,
    /// Of the cluster that its workers are, if they are one.
    pub(super) primary: Primary,
    /// It waits for others before it starts.
    pub(super) held: bool,
    /// It is being stopped to be started again.
    pub(super) comes_again: bool,
    /// Of a task with a schedule.
    pub(super) runs: Option<Box<Runs>>,
    noted: Noted,
}

/// What has been counted, or told, already.
#[derive(Debug)]
struct Noted {
    state: AppState,
    restarts: Restarts,
    recycles: Recycles,
    /// Restarts of each slot of a generation that are no longer counted for people.
    forgiven: BTreeMap<(Generation, Slot), u64>,
    /// Those that are closed for good, and listed still.
    leaving: BTreeSet<Serial>,
}

/// What is counted of an end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) cause: Cause,
    /// The kernel killed it because memory ran out.
    pub(super) for_memory: bool,
}

impl Site {
    /// The settings in force: those of the generation that serves, or of the next when none does.
    pub(super) fn app(&self) -> &Arc<App> {
        match self {
            Self::Supervised(site) => site.app(),
            Self::Fixed(site) => &site.app,
        }
    }

    pub(super) fn endpoints(&self) -> Vec<link::Endpoint> {
        match self {
            Self::Supervised(site) => site.endpoints(),
            Self::Fixed(site) => site.endpoints(),
        }
    }

    /// The generation that is tried on a few of the clients.
    pub(super) fn canary(&self) -> Option<link::Canary> {
        let Self::Supervised(site) = self else { return None };
        site.machine.canary().map(|(generation, share)| link::Canary { generation, share })
    }

    /// Is a server to be expected, so that a request is worth holding?
    pub(super) fn is_expected(&self) -> bool {
        match self {
            Self::Supervised(site) if site.runs.is_some() => false,
            Self::Supervised(site) => site.held || site.comes_again || site.machine.is_expected(),
            Self::Fixed(site) => site.app.enabled,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Supervised(site) => site.machine.deadline().into_iter().chain(site.job_deadline()).min(),
            Self::Fixed(site) => site.servers.iter().filter_map(|server| server.health.deadline()).min(),
        }
    }

    /// The machine's picture, when there is one.
    pub(super) fn report(&self) -> Option<lifecycle::Report> {
        match self {
            Self::Supervised(site) => Some(site.machine.report()),
            Self::Fixed(_) => None,
        }
    }

    /// The generation that serves, or is to.
    pub(super) fn live_generation(&self) -> Option<Generation> {
        match self {
            Self::Supervised(site) => site.live_generation(),
            Self::Fixed(_) => None,
        }
    }

    /// The slot of one of its workers or servers.
    pub(super) fn slot(&self, serial: Serial) -> Option<Slot> {
        match self {
            Self::Supervised(site) => site.workers.get(&serial).map(|worker| worker.id.slot),
            Self::Fixed(site) => site.servers.iter().find(|server| server.serial == serial).map(|server| server.slot),
        }
    }

    /// Is any of its workers left?
    pub(super) fn has_processes(&self) -> bool {
        matches!(self, Self::Supervised(site) if !site.workers.is_empty())
    }

    /// Does any of its workers or servers serve, or run, if it is a task?
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Supervised(site) => site.machine.endpoints().iter().any(|endpoint| endpoint.open),
            Self::Fixed(site) => site.endpoints().iter().any(|endpoint| endpoint.open),
        }
    }

    /// Does it run at its times?
    pub(super) fn is_job(&self) -> bool {
        matches!(self, Self::Supervised(site) if site.runs.is_some())
    }

    /// Is no request for it?
    pub(super) fn is_task(&self) -> bool {
        matches!(self, Self::Supervised(site) if site.is_task())
    }

    /// Why a worker last ended or failed, or a server last failed its probe.
    pub(super) fn last_failure(&self) -> Option<String> {
        match self {
            Self::Supervised(site) => site.last_failure(),
            Self::Fixed(site) => site.servers.iter().find_map(|server| server.health.last_failure().map(str::to_owned)),
        }
    }

    /// Serials that take no new claim and are still listed.
    pub(super) fn closing(&self) -> Vec<Serial> {
        self.endpoints().iter().filter(|endpoint| !endpoint.open).map(|endpoint| endpoint.serial).collect()
    }
}

impl Supervised {
    pub(super) fn new(name: AppName, app: Arc<App>, earlier: Earlier) -> Self {
        Self {
            machine: lifecycle::App::new(name),
            workers: BTreeMap::new(),
            releases: Releases::default(),
            files: None,
            runs: Runs::of(&app, &earlier),
            exits: Exits::after(earlier.exits),
            told: Told::default(),
            primary: Primary::default(),
            held: false,
            comes_again: false,
            noted: Noted {
                state: AppState::Stopped,
                restarts: Restarts::default(),
                recycles: Recycles::default(),
                forgiven: BTreeMap::new(),
                leaving: BTreeSet::new(),
            },
            upcoming: app,
        }
    }

    fn app(&self) -> &Arc<App> {
        let live = self.live_generation().and_then(|generation| self.releases.get(generation));
        live.map_or(&self.upcoming, |release| &release.app)
    }

    /// When its run has taken too long, if it is a job's.
    pub(super) fn job_deadline(&self) -> Option<Instant> {
        self.runs.as_ref()?.job.deadline()
    }

    pub(super) fn live_generation(&self) -> Option<Generation> {
        let mut generations = self.machine.report().generations.into_iter();
        generations.find(lifecycle::GenerationReport::is_live).map(|generation| generation.number)
    }

    /// Of all its workers, the failure that came last.
    pub(super) fn last_failure(&self) -> Option<String> {
        let report = self.machine.report();
        let workers = report.generations.into_iter().flat_map(|generation| generation.workers);
        let failed = workers.filter_map(|worker| Some((worker.since, worker.last_failure?)));
        failed.max_by_key(|(since, _)| *since).map(|(_, failure)| failure)
    }

    fn endpoints(&self) -> Vec<link::Endpoint> {
        publish::endpoints(self, &self.noted.leaving)
    }

    /// Is no request for it? An app stays what it is for as long as its site is there.
    pub(super) fn is_task(&self) -> bool {
        self.upcoming.kind.is_task()
    }

    /// What proxies would say of this version, had they anything to do with it: they let go of a task at once.
    pub(super) fn let_go(&self, version: Version) -> impl Iterator<Item = lifecycle::Event> + use<> {
        let closed = self.machine.endpoints().into_iter().filter(|endpoint| !endpoint.open);
        let idle = closed.map(|endpoint| lifecycle::Event::Idle { serial: endpoint.serial });
        idle.chain([lifecycle::Event::Published { version }])
    }

    /// Is it one that the proxies are to know?
    pub(super) fn lists(&self, serial: Serial) -> bool {
        self.machine.endpoints().iter().any(|view| view.serial == serial)
    }

    /// From the next stop on, these settings hold, and they say that nothing is to run.
    pub(super) fn switch_off(&mut self, app: &Arc<App>) {
        self.upcoming = Arc::clone(app);
        self.comes_again = false;
        self.held = false;
    }

    /// Restarts of a slot as people are told them.
    pub(super) fn told_restarts(&self, report: &WorkerReport) -> u64 {
        let forgiven = self.noted.forgiven.get(&(report.worker.generation, report.worker.slot));
        restarts(report).saturating_sub(forgiven.copied().unwrap_or(0))
    }

    /// Begins to count the restarts of all slots anew; gives how many slots that were.
    pub(super) fn forgive(&mut self) -> usize {
        let report = self.machine.report();
        let workers = report.generations.iter().flat_map(|generation| &generation.workers);
        self.noted.forgiven =
            workers.map(|report| ((report.worker.generation, report.worker.slot), restarts(report))).collect();
        self.noted.forgiven.len()
    }

    /// Slots from this one on come anew, if they come.
    pub(super) fn renew_slots(&mut self, first: usize) {
        self.noted.forgiven.retain(|(_, slot), _| (slot.0 as usize) < first);
    }

    /// A generation that the machine has just declared runs what was upcoming then.
    pub(super) fn note_new_generation(&mut self, report: &Report) {
        if let Some(newest) = report.generations.last() {
            self.releases.declare(newest.number, &self.upcoming);
        }
        let live = report.generations.iter().find(|generation| generation.is_live());
        self.releases.note_live(live.map(|live| live.number));
    }

    /// What its machine was taken over with was counted by others.
    pub(super) fn note_adopted(&mut self) {
        let report = self.machine.report();
        self.noted = Noted {
            state: report.state,
            restarts: report.restarts,
            recycles: report.recycles,
            forgiven: BTreeMap::new(),
            leaving: leaving(&report),
        };
    }

    /// The state of the app, if it is another one than when this was last asked.
    pub(super) fn new_state(&mut self, report: &Report) -> Option<AppState> {
        let before = std::mem::replace(&mut self.noted.state, report.state);
        (before != report.state).then_some(report.state)
    }

    /// Takes note of who leaves; says whether that is anybody of whom the proxies have not been told.
    pub(super) fn note_leaving(&mut self, report: &Report) -> bool {
        let before = std::mem::replace(&mut self.noted.leaving, leaving(report));
        !self.noted.leaving.is_subset(&before)
    }

    /// How many workers were started again since this was last asked, by reason.
    pub(super) fn new_restarts(&mut self, report: &Report) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let before = std::mem::replace(&mut self.noted.restarts, report.restarts).by_reason();
        let now = report.restarts.by_reason();
        now.into_iter().zip(before).map(|((reason, now), (_, before))| (reason, now.saturating_sub(before)))
    }

    /// The same of those that were replaced as planned.
    pub(super) fn new_recycles(&mut self, report: &Report) -> impl Iterator<Item = (RecycleReason, u64)> + use<> {
        let before = std::mem::replace(&mut self.noted.recycles, report.recycles).by_reason();
        report.recycles.by_reason().zip(before).map(|((reason, now), (_, before))| (reason, now.saturating_sub(before)))
    }

    /// Those of the generation that serves that do.
    pub(super) fn serving(&self) -> Vec<Serial> {
        let live = self.live_generation();
        let endpoints = self.machine.endpoints().into_iter();
        endpoints.filter(|one| one.open && Some(one.generation) == live).map(|one| one.serial).collect()
    }

    /// Starts a worker of a declared generation; gives its pid.
    pub(super) fn start(
        &mut self,
        effects: &dyn Effects,
        starter: &Starter,
        serial: Serial,
        id: WorkerId,
    ) -> Result<u32, String> {
        let release = self.releases.get_mut(id.generation).expect("a worker is spawned only in a declared generation");
        let worker = effects.start_worker(starter, Birth { serial, id, release, files: &mut self.files })?;
        let pid = worker.process.pid();
        self.workers.insert(serial, worker);
        Ok(pid)
    }

    /// How it is known that this worker can serve; `None` when it does not run.
    pub(super) fn readiness(&self, serial: Serial) -> Option<config::Readiness> {
        let generation = self.workers.get(&serial)?.id.generation;
        match &self.releases.get(generation)?.app.server {
            config::Server::Command(command) => Some(command.contract.ready),
            config::Server::Fixed(_) => None,
        }
    }

    /// Takes a worker that has ended out of the books; a record of it stays at hand for a while.
    /// Gives its place. Say it before the machine hears of the end.
    pub(super) fn bury(&mut self, serial: Serial, exit: Exit, max_memory: Option<u64>) -> Option<(Berth, Ended)> {
        let worker = self.workers.remove(&serial)?;
        self.primary.forget(serial);
        let parting = self.machine.parting(serial, exit.code());
        let oom = worker.tree.group().and_then(|group| group.killed_for_memory()).map(|killed| killed > 0);
        let footprint = Footprint { max_memory, oom };
        let (id, pid, started) = (worker.id, worker.process.pid(), worker.started_at);
        let ended = Timestamp::now();
        self.exits.add(Record { serial, id, pid, started, ended, exit, parting, footprint, tail: worker.tail });
        let cause = parting.map_or(Cause::Stopped, |parting| parting.cause);
        Some((worker.berth, Ended { cause, for_memory: oom == Some(true) }))
    }

    /// The last lines of whoever ended last.
    pub(super) fn last_words(&self, count: usize) -> Vec<String> {
        self.exits.last().map(|record| record.tail.last(count)).unwrap_or_default()
    }

    /// The last lines of a worker, alive or ended not long ago.
    pub(super) fn last_lines(&self, serial: Serial, count: usize) -> Vec<String> {
        let alive = self.workers.get(&serial).map(|worker| &worker.tail);
        let ended = self.exits.find(serial).map(|record| &record.tail);
        alive.or(ended).map(|tail| tail.last(count)).unwrap_or_default()
    }
}

/// Those that are closed for good, and listed still.
fn leaving(report: &Report) -> BTreeSet<Serial> {
    let is_leaving = |worker: &&WorkerReport| matches!(worker.state, WorkerState::Quiescing | WorkerState::Draining);
    let workers = report.generations.iter().flat_map(|generation| generation.workers.iter().chain(&generation.beside));
    workers.filter(is_leaving).filter_map(|worker| worker.serial).collect()
}

fn restarts(report: &WorkerReport) -> u64 {
    report.restarts.by_reason().iter().map(|(_, count)| count).sum()
}
