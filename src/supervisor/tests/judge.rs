//! What must hold after every step, and in the end: one requirement per promise of the house.
//!
//! It looks at the world, at what was published, and at the books of the supervisor, never at what a machine means to do.

use std::collections::{BTreeMap, BTreeSet};

use super::fronts::endpoints;
use super::simulation::Simulation;
use super::town::{CALM, Kind, name};
use crate::id::{AppName, Generation, Serial, Slot};
use crate::lifecycle::{AppState, GenerationState, Report};
use crate::link::Epoch;
use crate::supervisor::clock;
use crate::supervisor::idle::idle_timeout;
use crate::supervisor::shutdown::Phase;
use crate::supervisor::site::{Site, Supervised};

/// What every machine says of itself.
type Reports = BTreeMap<AppName, Report>;

/// What the judge has seen before.
#[derive(Debug, Default)]
pub(super) struct Seen {
    epoch: Epoch,
    /// The calm app was whole.
    calm_is_up: bool,
    /// Apps that have been started once.
    started: BTreeSet<AppName>,
    told_to_stop: BTreeSet<AppName>,
}

impl Simulation {
    pub(super) fn judge(&mut self) {
        let reports = self.supervised().map(|(app, site)| (app.clone(), site.machine.report())).collect();
        self.judge_books(&reports);
        self.judge_snapshot(&reports);
        self.judge_slots(&reports);
        self.judge_starts();
        self.judge_stops();
        self.judge_answers();
        let faults = std::mem::take(&mut self.world.borrow_mut().faults);
        if let Some(fault) = faults.first() {
            self.fail(fault);
        }
    }

    /// No worker is lost: whoever lives is known, by the books and by its machine.
    fn judge_books(&self, reports: &Reports) {
        let world = self.world.borrow();
        let known: BTreeSet<Serial> = reports.values().flat_map(serials).collect();
        for (serial, process) in world.processes.iter().filter(|(_, one)| one.is_alive && !one.is_given_up()) {
            let site = self.site(&process.id.app);
            let is_known = known.contains(serial) && site.is_some_and(|site| site.workers.contains_key(serial));
            self.require(is_known, || format!("{} ({serial}) is lost", process.id));
        }
        for (app, site) in self.supervised() {
            for serial in site.workers.keys() {
                let is_there = world.processes.get(serial).is_some_and(|process| process.id.app == *app);
                self.require(is_there, || format!("{app} has a worker {serial} that never was"));
            }
            let is_there = |number| reports[app].generations.iter().any(|one| one.number == number);
            let stale = site.releases.keys().find(|number| !is_there(**number));
            self.require(stale.is_none(), || format!("{app}: the release of generation {stale:?} is kept"));
        }
    }

    /// What was published last: one worker serves in a slot, and the calm app is whole.
    fn judge_snapshot(&mut self, reports: &Reports) {
        if self.seen.epoch == self.supervisor.published.epoch {
            return;
        }
        self.seen.epoch = self.supervisor.published.epoch;
        let snapshot = self.supervisor.snapshot();
        for app in &snapshot.apps {
            let mut slots = BTreeMap::<(Option<Generation>, Slot), u32>::new();
            // Two generations serve at once only while one takes over in steps, or gives back.
            let in_steps = |state| {
                use GenerationState::{Canary, Rolling, Yielding};
                matches!(state, Canary | Rolling | Yielding)
            };
            let rolls = reports.get(&app.name).is_some_and(|one| one.generations.iter().any(|one| in_steps(one.state)));
            self.world.borrow_mut().tally.rolls += u64::from(rolls);
            for one in app.endpoints.iter().filter(|one| one.open) {
                *slots.entry((Some(one.generation).filter(|_| rolls), one.slot)).or_default() += 1;
            }
            let twice = slots.iter().find(|(_, count)| **count > 1);
            self.require(twice.is_none(), || format!("{}: two workers serve in slot {twice:?}", app.name));
            let open = slots.len();
            if app.name.as_str() == CALM && !self.supervisor.is_stopping() {
                let is_up = self.seen.calm_is_up;
                self.require(!is_up || open == 2, || format!("{CALM} has {open} workers for no fault of its own"));
                self.seen.calm_is_up |= open == 2;
            }
        }
        if let Some(site) = self.site(&name(CALM)) {
            let restarts = site.machine.report().restarts;
            let none = restarts.by_reason().iter().all(|(_, count)| *count == 0);
            self.require(none, || format!("{CALM} was restarted: {restarts:?}"));
        }
    }

    /// No more slots have two workers than there are permits for planned replacements, and some none at all.
    fn judge_slots(&mut self, reports: &Reports) {
        let mut overlaps = 0;
        let world = self.world.borrow();
        for (app, report) in reports {
            let alive =
                || world.processes.values().filter(|one| one.is_alive && !one.is_given_up() && one.id.app == *app);
            let lonely: Vec<_> = alive().filter(|one| !one.overlaps).map(|one| one.id.slot).collect();
            let slots: BTreeSet<_> = lonely.iter().copied().collect();
            self.require(slots.len() == lonely.len(), || format!("{app}: workers that must not meet do: {lonely:?}"));
            for generation in report.generations.iter().filter(|one| one.is_live()) {
                let mut taken = BTreeMap::<Slot, u32>::new();
                let own = alive().filter(|one| one.id.generation == generation.number);
                own.for_each(|one| *taken.entry(one.id.slot).or_default() += 1);
                let shared = taken.values().filter(|count| **count > 1).count();
                let permits = (generation.workers.len() / 10).max(1);
                // Whoever is woken in the last moment comes beside those who go.
                let sleeps = self.site(app).is_some_and(|site| idle_timeout(&site.upcoming.server).is_some());
                self.require(shared <= permits || sleeps, || {
                    format!("{app}: {shared} planned replacements for {permits} permits")
                });
                self.require(taken.values().all(|count| *count <= 2), || format!("{app}: three workers in a slot"));
                overlaps += shared as u64;
            }
        }
        drop(world);
        self.world.borrow_mut().tally.overlaps += overlaps;
    }

    /// Who depends on others starts after them, unless they do not come up in their time, or will not come at all.
    fn judge_starts(&mut self) {
        let births = self.world.borrow().first_births.clone();
        let new: Vec<_> = births.keys().filter(|app| !self.seen.started.contains(*app)).cloned().collect();
        for app in new {
            self.seen.started.insert(app.clone());
            let Some(site) = self.site(&app).filter(|_| self.is_first_start) else { continue };
            for on in &site.upcoming.depends_on {
                let Some(Site::Supervised(other)) = self.supervisor.sites.get(on) else { continue };
                let is_coming = other.held || other.machine.is_expected();
                let is_due = !is_coming
                    || self.supervisor.sites[on].is_open()
                    || other.machine.is_dormant()
                    || !other.upcoming.enabled
                    || other.runs.is_some();
                let is_late = births.get(on).is_some_and(|born| clock::since(*born).as_secs() >= 8);
                self.require(is_due || is_late, || format!("{app} starts before {on}, on which it depends"));
            }
        }
    }

    /// At the end nobody is told to stop on whom somebody depends who is still there.
    fn judge_stops(&mut self) {
        if self.supervisor.phase != Phase::Stopping || self.is_hasty {
            return;
        }
        let told: BTreeSet<_> =
            self.supervisor.sites.keys().filter(|app| self.supervisor.machines.order.has_told(app)).cloned().collect();
        for app in told.difference(&self.seen.told_to_stop) {
            for (other, site) in self.supervised().filter(|(other, site)| *other != app && depends(site, app)) {
                let is_gone = told.contains(other) && site.workers.is_empty();
                self.require(is_gone, || format!("{app} is told to stop, and {other} depends on it"));
            }
        }
        self.seen.told_to_stop = told;
    }

    /// Nobody who asked is left without an answer.
    fn judge_answers(&mut self) {
        let lost = self.hear_answers();
        self.require(lost.is_none(), || format!("nobody answers: {lost:?}"));
    }

    /// Is everything as it was last asked for? If not, what is not.
    pub(super) fn unrest(&self) -> Option<String> {
        for app in self.operator.in_force.0.keys().chain(self.supervisor.sites.keys()) {
            if let Some(unrest) = self.unrest_of(app) {
                return Some(format!("{app} {unrest}"));
            }
        }
        let world = self.world.borrow();
        let mut fronts = world.fronts.iter().filter(|(_, front)| front.is_alive);
        let (Some((number, front)), None) = (fronts.next(), fronts.next()) else {
            return Some("has not one proxy".to_owned());
        };
        let epoch = front.in_force.as_ref().map(|snapshot| snapshot.epoch);
        if epoch != Some(self.supervisor.published.epoch) {
            return Some(format!("proxy {number} has not heard all"));
        }
        let open = front.in_force.iter().flat_map(endpoints).filter(|one| one.open);
        let dead = open.filter(|one| !world.processes[&one.serial].is_alive).count();
        if dead > 0 {
            return Some(format!("proxy {number} has {dead} dead workers"));
        }
        let waiting = self.operator.waiting.first();
        waiting.map(|waiting| format!("an answer is awaited: {}", waiting.what))
    }

    fn unrest_of(&self, app: &AppName) -> Option<String> {
        let world = self.world.borrow();
        let alive =
            world.processes.values().filter(|one| one.is_alive && !one.is_given_up() && one.id.app == *app).count();
        if !self.operator.is_on(app) {
            return (alive > 0).then(|| format!("is off and has {alive} workers"));
        }
        let Some(site) = self.site(app) else { return Some("is not there".to_owned()) };
        if self.operator.in_force.0[app].kind == Kind::Job {
            let is_between = site.runs.as_ref().is_some_and(|runs| runs.job.running_since().is_none());
            return (!is_between || alive > 0).then(|| "runs, and should have ended".to_owned());
        }
        let (wanted, report) = (self.operator.workers(app) as usize, site.machine.report());
        let open = site.machine.endpoints().iter().filter(|one| one.open).count();
        // Some are always being replaced.
        let are_there = (wanted..=wanted + (wanted / 10).max(1)).contains(&alive);
        let is_well = report.state == AppState::Running && open == wanted && are_there;
        // Nobody asks for anything any more.
        let is_well = is_well || (report.state == AppState::Asleep && open == 0 && alive == 0);
        (!is_well).then(|| format!("is {}, {open} of {wanted} serve, {alive} live", report.state))
    }

    /// Nothing is left of anything.
    pub(super) fn judge_end(&self) {
        let world = self.world.borrow();
        for (serial, process) in world.processes.iter().filter(|(_, one)| one.is_alive) {
            self.require(process.is_given_up(), || format!("{} ({serial}) outlives its supervisor", process.id));
        }
        let front = world.fronts.iter().find(|(_, front)| front.is_alive);
        self.require(front.is_none(), || {
            format!("proxy {:?} outlives its supervisor", front.map(|(number, _)| number))
        });
        let promises = self.supervisor.outlook.metrics.invariants();
        let broken =
            [&promises.self_emptied, &promises.promote_ungated, &promises.fd_unclaimed, &promises.generation_leaked];
        let broken = broken.map(prometheus::IntCounter::get);
        self.require(broken == [0; 4], || format!("broken promises, as the supervisor counts them: {broken:?}"));
        let published = &self.supervisor.published;
        let kept = (published.told_idle.len(), published.berths.len(), published.awaited.len(), published.owed.len());
        self.require(kept == (0, 0, 0, 0), || format!("kept though nothing is left: {kept:?}"));
    }

    pub(super) fn supervised(&self) -> impl Iterator<Item = (&AppName, &Supervised)> {
        self.supervisor.sites.iter().filter_map(|(app, site)| match site {
            Site::Supervised(site) => Some((app, &**site)),
            Site::Fixed(_) => None,
        })
    }

    pub(super) fn site(&self, app: &AppName) -> Option<&Supervised> {
        self.supervised().find(|(other, _)| *other == app).map(|(_, site)| site)
    }
}

fn depends(site: &Supervised, on: &AppName) -> bool {
    let live = site.live_generation().and_then(|generation| site.releases.get(generation));
    live.map_or(&site.upcoming, |release| &release.app).depends_on.contains(on)
}

/// All workers that its machine knows.
fn serials(report: &Report) -> impl Iterator<Item = Serial> {
    let seated = report.generations.iter().flat_map(|one| one.workers.iter().chain(&one.beside));
    seated.chain(&report.stranded).filter_map(|worker| worker.serial)
}
