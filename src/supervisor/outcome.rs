//! What becomes of changes that have begun, and who is told.
//!
//! A reload ends when each machine says so. Other changes end when what was hoped for is there, or will not come: that is
//! looked for whenever anything has happened. Decides nothing. Invariant: each app of a change ends once, and the caller
//! is answered when all have.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::deploy::Deploys;
use super::hooks::Hooks;
use super::past::Past;
use super::site::{Site, Supervised};
use super::{Notice, Supervisor, clock};
use crate::control::words::{AppReloaded, Order, Outcome, Refusal, Reloaded};
use crate::id::{AppName, Generation};
use crate::lifecycle::{self, AppState, RunResult, Ticket};

/// Lines of a failed worker that the caller is shown.
pub(super) const SHOWN_LINES: usize = 20;

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Result<Reloaded, Refusal>>;

/// Changes that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    pub(super) open: Vec<Reload>,
    pub(super) deploys: Deploys,
    pub(super) hooks: Hooks,
    pub(super) past: Past,
    tickets: u64,
}

#[derive(Debug)]
pub(super) struct Reload {
    /// Its number among [`Deploys`].
    deploy: u64,
    began: Instant,
    /// As the clock on the wall has it.
    began_at: Timestamp,
    pub(super) order: Order,
    /// Apps whose turn has not come.
    pub(super) later: Vec<AppName>,
    waiting: BTreeMap<Ticket, AppName>,
    hopes: BTreeMap<AppName, Hope>,
    /// How the workers of each app are replaced.
    strategies: BTreeMap<AppName, String>,
    ended: Vec<AppReloaded>,
    reply: Option<Reply>,
}

/// What an app is to come to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hope {
    /// All its workers serve, and none is of this generation or an earlier one.
    Serves { after: Generation },
    /// None of its workers is left, which is then called so.
    Gone(Outcome),
    /// More runs than these have begun.
    Ran { after: u64 },
    /// It has the second number of workers in place of the first.
    Has { from: usize, to: usize },
}

/// How an app of a change ended.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) generation: Option<Generation>,
    pub(super) reason: Option<String>,
    pub(super) lines: Vec<String>,
}

impl Reload {
    pub(super) fn new(deploy: u64, order: Order, apps: Vec<AppName>, reply: Option<Reply>) -> Self {
        let (waiting, hopes) = (BTreeMap::new(), BTreeMap::new());
        Self {
            deploy,
            began: clock::now(),
            began_at: Timestamp::now(),
            order,
            later: apps,
            waiting,
            hopes,
            strategies: BTreeMap::new(),
            ended: Vec::new(),
            reply,
        }
    }

    /// A newer change covers these apps: those whose turn has not come yet are left to it.
    pub(super) fn give_way(&mut self, apps: &[AppName]) {
        for name in self.later.extract_if(.., |name| apps.contains(name)).collect::<Vec<_>>() {
            self.end(&name, Outcome::Superseded);
        }
    }

    /// Has it begun with this app, and not come to an end?
    pub(super) fn awaits(&self, app: &AppName) -> bool {
        self.hopes.contains_key(app) || self.waiting.values().any(|other| other == app)
    }

    fn is_over(&self) -> bool {
        self.later.is_empty() && self.waiting.is_empty() && self.hopes.is_empty()
    }

    pub(super) fn await_ticket(&mut self, app: &AppName, ticket: Ticket) {
        self.waiting.insert(ticket, app.clone());
    }

    /// So the workers of an app are replaced.
    pub(super) fn note_strategy(&mut self, app: &AppName, strategy: String) {
        self.strategies.insert(app.clone(), strategy);
    }

    /// Waits for what is hoped for, but in a reload of everything: that an app comes or goes is not what its end tells of.
    pub(super) fn expect(&mut self, app: &AppName, hope: Hope) {
        match (self.order, hope) {
            (Order::Reload, Hope::Gone(outcome)) => self.end(app, outcome),
            (Order::Reload, Hope::Serves { .. } | Hope::Ran { .. } | Hope::Has { .. }) => {
                self.end(app, Outcome::Applied);
            }
            _ => self.await_hope(app, hope),
        }
    }

    /// Waits for what is hoped for, whatever the order.
    pub(super) fn await_hope(&mut self, app: &AppName, hope: Hope) {
        self.hopes.insert(app.clone(), hope);
    }

    pub(super) fn end(&mut self, app: &AppName, outcome: Outcome) {
        self.end_with(app, End { outcome, generation: None, reason: None, lines: Vec::new() });
    }

    pub(super) fn end_because(&mut self, app: &AppName, outcome: Outcome, reason: &str) {
        self.end_with(app, End { outcome, generation: None, reason: Some(reason.to_owned()), lines: Vec::new() });
    }

    fn end_with(&mut self, app: &AppName, end: End) {
        let millis = clock::since(self.began).as_millis().try_into().unwrap_or(u64::MAX);
        let End { outcome, generation, reason, lines } = end;
        let strategy = self.strategies.remove(app);
        self.ended.push(AppReloaded { app: app.clone(), outcome, generation, reason, lines, millis, strategy });
    }
}

impl Reloads {
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.deploys.deadline(), self.hooks.deadline()].into_iter().flatten().min()
    }

    pub(super) fn fresh_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}

impl Supervisor {
    /// That an app serves, by workers that are not there yet; or that it is gone, if that is how it is configured.
    pub(super) fn hope(&self, app: &AppName) -> Hope {
        if self.config.apps.get(app).is_some_and(|app| !app.enabled) {
            return Hope::Gone(Outcome::Stopped);
        }
        if self.sites.get(app).is_some_and(Site::is_job) {
            return Hope::Gone(Outcome::Scheduled);
        }
        let newest = |site: &Supervised| site.machine.report().generations.last().map(|newest| newest.number);
        let newest = match self.sites.get(app) {
            Some(Site::Supervised(site)) => newest(site),
            _ => None,
        };
        Hope::Serves { after: newest.unwrap_or(Generation(0)) }
    }

    /// That an app serves, by the workers that it has or is about to have.
    pub(super) fn hope_of_present(&self, app: &AppName) -> Hope {
        let live = self.sites.get(app).and_then(Site::live_generation);
        Hope::Serves { after: Generation(live.map_or(0, |live| live.0.saturating_sub(1))) }
    }

    /// Notes how the reload of one app ended; [`Supervisor::answer_reloads`] tells.
    pub(super) fn finish(&mut self, name: &AppName, ticket: Ticket, outcome: lifecycle::Outcome) {
        let lines = match (&outcome, self.sites.get(name)) {
            (
                lifecycle::Outcome::Aborted { worker: Some(worker), .. }
                | lifecycle::Outcome::RolledBack { worker: Some(worker), .. },
                Some(Site::Supervised(site)),
            ) => site.last_lines(*worker, SHOWN_LINES),
            _ => Vec::new(),
        };
        let Some(reload) = self.reloads.open.iter_mut().find(|reload| reload.waiting.contains_key(&ticket)) else {
            return;
        };
        reload.waiting.remove(&ticket);
        let (outcome, generation, reason) = told(outcome);
        let (reason, lines) = match self.reloads.hooks.take_complaint(name) {
            Some(complaint) if lines.is_empty() => (reason.or(Some(complaint.reason)), complaint.lines),
            _ => (reason, lines),
        };
        let took = clock::since(reload.began);
        match &reason {
            None => tracing::info!(app = %name, ?outcome, ?took, "reload ended"),
            Some(reason) => tracing::error!(app = %name, ?outcome, %reason, "reload ended"),
        }
        match outcome {
            Outcome::Live => self.outlook.metrics.reload_live(name, "live", took),
            Outcome::Superseded => self.outlook.metrics.reload_failed(name, "superseded"),
            Outcome::RolledBack => self.outlook.metrics.reload_failed(name, "rolled_back"),
            _ => self.outlook.metrics.reload_failed(name, "aborted"),
        }
        reload.end_with(name, End { outcome, generation, reason, lines });
    }

    /// Answers those who wait for a change that has ended for every app.
    pub(super) fn answer_reloads(&mut self) {
        let sites = &self.sites;
        for reload in &mut self.reloads.open {
            let ended = |app: &AppName, hope: &mut Hope| Some((app.clone(), end(sites.get(app), *hope)?));
            let ends: Vec<_> = reload.hopes.iter_mut().filter_map(|(app, hope)| ended(app, hope)).collect();
            for (app, end) in ends {
                reload.hopes.remove(&app);
                if reload.order == Order::Reload {
                    let (metrics, took) = (&self.outlook.metrics, clock::since(reload.began));
                    match end.outcome {
                        Outcome::Started => metrics.reload_live(&app, "live", took),
                        Outcome::Superseded => metrics.reload_failed(&app, "superseded"),
                        _ => metrics.reload_failed(&app, "failed"),
                    }
                }
                reload.end_with(&app, end);
            }
        }
        let ended: Vec<_> = self.reloads.open.extract_if(.., |reload| reload.is_over()).collect();
        if ended.is_empty() {
            return;
        }
        for reload in ended {
            self.reloads.deploys.await_leavers(reload.deploy, &self.sites);
            self.reloads.past.note((reload.deploy, reload.began_at), reload.order, &reload.ended);
            if let Some(reply) = reload.reply {
                let _ = reply.send(Ok(Reloaded { apps: reload.ended, deploy: Some(reload.deploy), report: None }));
            }
        }
        self.reloads.past.retain(|app| self.sites.contains_key(app));
        if self.reloads.open.is_empty() && !self.is_stopping() {
            self.outlook.tell(Notice::Ready);
        }
    }
}

/// Is what was hoped for there, or will it not come? `None`: not yet.
fn end(site: Option<&Site>, hope: Hope) -> Option<End> {
    let plain = |outcome| Some(End { outcome, generation: None, reason: None, lines: Vec::new() });
    match (hope, site) {
        (Hope::Gone(outcome), None | Some(Site::Fixed(_))) => plain(outcome),
        (Hope::Gone(_), Some(Site::Supervised(site))) if site.machine.is_wanted() => plain(Outcome::Superseded),
        (Hope::Gone(outcome), Some(Site::Supervised(site))) if site.workers.is_empty() => plain(outcome),
        (Hope::Gone(_), _) => None,
        (Hope::Serves { .. } | Hope::Ran { .. }, Some(Site::Fixed(_))) => plain(Outcome::Started),
        (Hope::Serves { .. } | Hope::Ran { .. } | Hope::Has { .. }, None) => plain(Outcome::Superseded),
        (Hope::Has { .. }, Some(Site::Fixed(_))) => plain(Outcome::Unchanged),
        (Hope::Has { from, to }, Some(Site::Supervised(site))) => super::scale::end(site, from, to),
        (Hope::Ran { after }, Some(Site::Supervised(site))) => ran(site, after),
        (Hope::Serves { after }, Some(Site::Supervised(site))) => serves(site, after),
    }
}

fn serves(site: &Supervised, after: Generation) -> Option<End> {
    let report = site.machine.report();
    let Some(live) = report.generations.iter().find(|generation| generation.is_live()) else {
        // It is on its way, or was stopped meanwhile.
        let stopped = End { outcome: Outcome::Superseded, generation: None, reason: None, lines: Vec::new() };
        return (!site.upcoming.enabled).then_some(stopped);
    };
    if live.number <= after {
        return None;
    }
    let end = |outcome, reason, lines| Some(End { outcome, generation: Some(live.number), reason, lines });
    if let Some((worker, failure)) = live.workers.iter().find_map(|worker| Some((worker, worker.last_failure.clone()?)))
    {
        let lines = worker.last.map(|last| site.last_lines(last, SHOWN_LINES)).unwrap_or_default();
        return end(Outcome::Failed, Some(failure), lines);
    }
    match report.state {
        AppState::Running | AppState::Asleep => end(Outcome::Started, None, Vec::new()),
        AppState::Exited => {
            let ended = live.workers.iter().find(|worker| worker.last_exit.is_some());
            let how = ended.and_then(|worker| worker.last_exit.clone()).unwrap_or_default();
            let lines = ended.and_then(|worker| worker.last).map(|last| site.last_lines(last, SHOWN_LINES));
            end(Outcome::Failed, Some(format!("its workers have ended ({how})")), lines.unwrap_or_default())
        }
        _ => None,
    }
}

/// Has the run begun, or has it failed already? What becomes of it is not waited for.
fn ran(site: &Supervised, after: u64) -> Option<End> {
    let runs = site.runs.as_ref()?;
    let end = |outcome, reason, lines| Some(End { outcome, generation: site.live_generation(), reason, lines });
    if runs.job.begun() <= after {
        return if site.upcoming.enabled { None } else { end(Outcome::Superseded, None, Vec::new()) };
    }
    let over = runs.job.last().filter(|_| runs.job.running_since().is_none());
    let failed = over.filter(|run| run.result == RunResult::Failed).and_then(|run| run.reason.clone());
    match failed.or_else(|| site.last_failure()) {
        Some(reason) => end(Outcome::Failed, Some(reason), site.last_words(SHOWN_LINES)),
        None if over.is_none() && site.workers.is_empty() => None,
        None => end(Outcome::Started, None, Vec::new()),
    }
}

fn told(outcome: lifecycle::Outcome) -> (Outcome, Option<Generation>, Option<String>) {
    match outcome {
        lifecycle::Outcome::Live { generation } => (Outcome::Live, Some(generation), None),
        lifecycle::Outcome::Aborted { generation, reason, .. } => (Outcome::Aborted, Some(generation), Some(reason)),
        lifecycle::Outcome::RolledBack { generation, reason, .. } => {
            (Outcome::RolledBack, Some(generation), Some(reason))
        }
        lifecycle::Outcome::Superseded => (Outcome::Superseded, None, None),
    }
}
