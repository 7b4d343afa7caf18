//! What the world does when the app asks, and what it will not stand for: one requirement per rule of the house.
//!
//! Restarts, health, sizes, sleep, sets and reloads in steps have accounts of their own beside this one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Health, Process, World};
use crate::id::{Generation as Number, Serial, WorkerId};
use crate::lifecycle::generation::{Generation, Stage};
use crate::lifecycle::place::Place;
use crate::lifecycle::place::relay::{Role, Shift};
use crate::lifecycle::state::State;
use crate::lifecycle::{Action, Outcome, Plan, Readiness, Rollout, Ticket, Version};

impl World {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { serial, worker } => self.spawn(serial, worker),
            Action::Probe { serial } => self.probe(serial),
            Action::WarmUp { serial } => self.warm_up(serial),
            Action::Cold { serial } => self.let_be(serial),
            Action::Check { serial } => self.check(serial),
            Action::Dump { serial } => self.dump(serial),
            Action::Publish { version } => self.publish(version),
            Action::Stop { serial } => self.stop(serial),
            Action::Kill { serial } => self.kill(serial),
            Action::Forced { serial } => self.force(serial),
            Action::Clear { generation } => self.note_asked(generation),
            Action::Promoted { generation } => self.note_promoted(generation),
            Action::Finish { ticket, outcome } => self.finish(ticket, outcome),
            Action::RolledBack { generation, to, .. } => {
                let is_kept = |process: &Process| process.worker.generation == to && process.is_kept;
                let is_there = generation != to && self.processes.values().any(is_kept);
                self.require(is_there, "somebody to go back to");
            }
            Action::Retired { generation } => {
                let left = self.awaited().any(|process| process.worker.generation == generation);
                self.require(!left, "a generation is retired with a process left");
            }
            Action::Stopped => {
                self.require(self.stop_owed, "an app stops because it was asked to, and says so once");
                self.require(self.awaited().next().is_none(), "an app is stopped with a process left");
                self.stop_owed = false;
            }
        }
    }

    fn spawn(&mut self, serial: Serial, worker: WorkerId) {
        self.note_dismissed();
        let present: Vec<_> = self.in_slot(&worker).collect();
        self.require(present.len() <= 1, "three processes in one slot");
        let leavers =
            self.app.generations.iter().flat_map(|one| &one.places).filter_map(|place| place.relay.beside.as_ref());
        let leavers = leavers.filter(|beside| matches!(beside.role, Role::Leaver(_)));
        let leavers: BTreeSet<_> = leavers.map(|beside| beside.worker.serial).collect();
        let is_seated = |serial: &Serial| !self.beside.contains(serial) && !leavers.contains(serial);
        let replaced = present.iter().copied().find(is_seated);
        let overlaps = self.settings_of(worker.generation).is_none_or(|plan| plan.overlaps);
        self.require(overlaps || present.is_empty(), "two processes in one slot where one may run");
        if let Some(replaced) = replaced {
            self.require_replaceable(replaced);
            self.beside.insert(serial);
        }
        self.require(self.app.is_wanted(), "a process is started for an app that is to stop");
        self.require_asked(worker.generation);
        self.require_room(worker.generation);
        self.enter(&worker, replaced.is_some());
        let process = Process {
            is_trial: self.is_in_loop(worker.generation),
            worker,
            runs: false,
            probed: false,
            warms: false,
            was_warmed: false,
            began: None,
            declared: false,
            health: Health::default(),
            streak: 0,
            stopped: None,
            killed: None,
            leaves: false,
            forced: false,
            idle: false,
            is_kept: false,
            listed: Version(0),
            closed: None,
        };
        let fresh = self.processes.insert(serial, process).is_none();
        self.require(fresh, "a serial is used twice");
    }

    pub(super) fn in_slot(&self, slot: &WorkerId) -> impl Iterator<Item = Serial> {
        self.processes.iter().filter(move |(_, process)| process.worker == *slot).map(|(serial, _)| *serial)
    }

    /// Notes who has a slot to itself now.
    pub(super) fn reseat(&mut self) {
        let is_over = |(one, process): (&Serial, &Process)| {
            let is_alone = self.in_slot(&process.worker).count() == 1;
            let leaves = process.is_told_to_end() || matches!(self.state(*one), Some(State::Cancelled { .. }));
            let is_successor = is_alone && !leaves && process.closed.is_none();
            (is_successor && self.beside.contains(one)).then_some(*one)
        };
        let seated: Vec<_> = self.processes.iter().filter_map(is_over).collect();
        self.beside.retain(|serial| !seated.contains(serial));
    }

    /// Another process is started in its slot: it has to serve, and somebody has to have wished for that.
    fn require_replaceable(&self, serial: Serial) {
        let ages = self.plan.recycling.max_age.is_some();
        let Health { is_condemned, is_aside, .. } = self.processes[&serial].health;
        let wanted = ages || is_condemned || self.wished.contains(&serial);
        self.require(wanted, "a replacement that nobody wants");
        let serves = self.latest().iter().any(|one| one.open && one.serial == serial);
        self.require(serves || is_aside, "two processes in one slot, and the first does not serve");
        let staging = self.app.generations.iter().any(|one| one.is_coming() && !one.is_canary());
        let loops = self.is_in_loop(self.processes[&serial].worker.generation);
        self.require(!staging && !loops, "a planned replacement at a bad time");
    }

    fn probe(&mut self, serial: Serial) {
        let Process { runs, probed, stopped, .. } = self.processes[&serial];
        let is_asked = self.readiness(&self.processes[&serial]) == Some(Readiness::Probed);
        self.require(is_asked, "a probe of a worker that nobody is to ask");
        self.require(runs && !probed && stopped.is_none(), "a probe of a worker that cannot take one");
        self.process(serial).probed = true;
    }

    fn warm_up(&mut self, serial: Serial) {
        let Process { runs, warms, was_warmed, stopped, .. } = self.processes[&serial];
        let is_warmed = self.settings_of(self.processes[&serial].worker.generation).map(|plan| plan.timeouts.warmup);
        self.require(is_warmed.flatten().is_some(), "a worker is warmed up that nobody wants to be");
        self.require(
            runs && !warms && !was_warmed && stopped.is_none(),
            "a worker is warmed up once, and while it runs",
        );
        let process = self.process(serial);
        (process.warms, process.was_warmed) = (true, true);
    }

    /// Its time to become warm is over.
    fn let_be(&mut self, serial: Serial) {
        let is_awaited = self.processes[&serial].warms;
        self.require(is_awaited, "a worker is called cold that is warm");
        self.process(serial).warms = self.mischief.late_answers;
    }

    fn stop(&mut self, serial: Serial) {
        self.require_unlisted(serial);
        let Process { runs, stopped, .. } = self.processes[&serial];
        self.require(runs && stopped.is_none(), "a stop signal for a worker that cannot take one");
        let now = self.now;
        let answers = self.mischief.late_answers;
        let process = self.process(serial);
        process.stopped = Some(now);
        process.probed &= answers;
        process.warms &= answers;
    }

    fn kill(&mut self, serial: Serial) {
        self.require_unlisted(serial);
        let Process { runs, stopped, killed, .. } = self.processes[&serial];
        // One that hangs is given less.
        let mut workers = self.app.generations.iter().flat_map(Generation::workers).chain(&self.app.stranded);
        let timeouts = workers.find(|worker| worker.serial == serial).map_or(self.plan, |worker| worker.plan).timeouts;
        drop(workers);
        let patience = timeouts.kill;
        let patient = stopped.is_none_or(|at| self.now >= at + patience);
        self.require(patient && (stopped.is_some() || !runs || killed.is_some()), "a kill without a stop before it");
        let now = self.now;
        let process = self.process(serial);
        process.killed = process.killed.or(Some(now));
    }

    fn force(&mut self, serial: Serial) {
        let Process { forced, idle, closed, .. } = self.processes[&serial];
        self.require(!forced && !idle, "a drain is forced once, and with work in flight");
        let quiesced = closed.is_some_and(|version| version <= self.in_force());
        // The published set is the one before this step; where it is two that begin to drain, two do in it.
        let draining: BTreeSet<_> = self.latest().iter().filter(|one| !one.open).map(|one| one.generation).collect();
        // Or more than two at once, of whom three may.
        let others = self.app.generations.iter().filter(|one| one.is_draining()).count();
        self.require(quiesced || draining.len() >= 2 || others >= 3, "a drain is forced before it began");
        self.process(serial).forced = true;
    }

    fn finish(&mut self, ticket: Ticket, outcome: Outcome) {
        let open = self.tickets.len();
        self.tickets.retain(|open| *open != ticket);
        self.require(self.tickets.len() + 1 == open, "a ticket is finished once");
        if let Outcome::Live { generation } = outcome {
            let opened = self.opened.get(&generation).is_some_and(|version| *version <= self.in_force());
            self.require(opened, "a reload is called live before the proxies know");
        }
        self.outcomes.push((ticket, outcome));
    }

    pub(super) fn judge(&mut self) {
        self.judge_sizes();
        let generations = &self.app.generations;
        let staging = generations.iter().filter(|generation| generation.is_coming()).count();
        let newest = generations.last().is_none_or(|newest| staging == 0 || newest.is_coming());
        self.require(staging <= 1 && newest, "one generation is on its way to take over, the newest");
        self.judge_rolls();
        self.require(generations.iter().filter(|one| one.is_live()).count() <= 1, "one generation is live");
        let draining = generations.iter().filter(|one| one.is_draining()).count();
        self.require(draining <= 3 || !self.app.is_wanted(), "three generations drain");
        self.judge_trial();
        self.judge_canary();
        for generation in generations {
            let starting = generation.workers().filter(|worker| worker.state.is_starting()).count();
            let alone = generation.workers().filter(|one| !one.state.is_leaving()).count() <= 1
                || !matches!(generation.stage, Stage::Staging { .. });
            self.require(alone, "a generation that is not verified costs more than one process");
            self.require(starting <= generation.plan.concurrent_starts as usize, "too many starts at once");
            // Whoever is waited for comes alone.
            let most = if generation.stage == Stage::Waking { 1 } else { generation.plan.concurrent_starts as usize };
            let permits = starting < most;
            let waiting = generation.places.iter().any(Place::is_waiting);
            // The first that goes in steps, and has taken over from nobody, waits for those that it has replaced.
            let is_bounded = self.is_rolling() || (generation.plan.rollout.is_stepwise() && generations.len() > 1);
            let is_waiting = waiting && permits && generation.is_live() && !is_bounded;
            self.require(!is_waiting, "nobody waits while there are permits");
            // As long as others make way, there may be no room.
            let is_bounded = self.is_rolling() || generations.iter().any(Generation::is_yielding);
            self.judge_recycles(generation, staging > 0 || is_bounded, permits);
        }
        self.require(!self.stop_owed || !generations.is_empty() || self.app.is_wanted(), "a stop is not confirmed");
        self.require(self.app.endpoints() == self.latest(), "the published set is the present one");
        self.judge_health();
        self.require(self.is_at_rest() || self.is_going_on(), "it is stuck");
    }

    /// One generation is kept at most, for one that serves; and nobody stays on trial with a fault who need not.
    fn judge_trial(&self) {
        let generations = &self.app.generations;
        let kept: Vec<_> = generations.iter().filter(|one| one.is_retained()).collect();
        let live = generations.iter().find(|one| one.is_live());
        self.require(
            kept.len() <= 1 && (kept.is_empty() || live.is_some()),
            "one generation is kept, for one that serves",
        );
        let could = kept.iter().any(|one| one.could_serve_again());
        self.require(could || kept.is_empty(), "a generation is kept that could not serve");
        let is_at_fault = live.is_some_and(|live| live.is_on_trial() && live.fault().is_some());
        self.require(!(could && is_at_fault), "a bad generation serves although there is another one");
        let bakes = live.is_some_and(|live| matches!(live.stage, Stage::Baking { .. }));
        self.require(could || !bakes, "a bake goes on without anybody to go back to");
    }

    /// Whoever is tried on a few is well, and the others are all there to serve the rest.
    fn judge_canary(&self) {
        for canary in self.app.generations.iter().filter(|one| one.is_canary()) {
            self.require(canary.fault().is_none(), "a bad generation is tried on");
            let serving = canary.workers().filter(|one| one.state.is_open()).count();
            let needed = canary.plan.trial.canary.map(|one| (canary.plan.size() * one.share as usize).div_ceil(10_000));
            // It may have had its share before memory was short.
            let Rollout { surge, unavailable } = canary.plan.rollout;
            let is_alone =
                canary.plan.rollout.is_stepwise() && (surge as usize + 1 < canary.plan.size() || unavailable > 0);
            let most = if is_alone { 1 } else { needed.unwrap_or(0).max(1) };
            // Another number of workers has come to be wanted meanwhile.
            let is_resized = self.mischief.resizes < super::super::chance::WILD.resizes && self.mischief.resizes > 0;
            self.require(serving <= most || is_resized, "more serve than the share needs");
            self.require(self.app.canary().map(|one| one.0) == Some(canary.number), "its share is told");
        }
    }

    fn judge_recycles(&self, generation: &Generation, staging: bool, may_start: bool) {
        let is_there = |(serial, process): &(&Serial, &Process)| {
            process.worker.generation == generation.number && self.state(**serial) != Some(State::Unkillable)
        };
        let beside = self.processes.iter().filter(|(serial, _)| self.beside.contains(serial));
        let beside: Vec<_> = beside.filter(is_there).collect();
        let planned = beside.iter().filter(|(_, process)| !process.leaves).count();
        let permits = (generation.places.len() / 10).max(1);
        let replaced = generation.is_live();
        self.require(!replaced || planned <= permits, "more planned replacements at once than there are permits");
        let wished = generation.places[..generation.kept()].iter().any(|place| place.wished_since(self.now).is_some());
        let is_free =
            replaced && !staging && may_start && generation.changing() < permits && generation.circuit.is_closed();
        self.require(!(wished && is_free), "nobody waits for a permit that there is");
    }

    /// Is it to be replaced, and may nobody run beside it?
    pub(super) fn may_make_way(&self, serial: Serial) -> bool {
        let plan = self.settings_of(self.processes[&serial].worker.generation);
        let Health { is_condemned, hangs, .. } = self.processes[&serial].health;
        let ages = plan.is_some_and(|plan| plan.recycling.max_age.is_some());
        let is_wanted = ages || is_condemned || hangs || self.wished.contains(&serial);
        plan.is_some_and(|plan| !plan.overlaps) && is_wanted
    }

    /// Notes who has been sent away so that another one can have its slot: somebody has to have wished for that.
    pub(super) fn note_shifts(&mut self) {
        let leaves = |place: &&Place| matches!(place.relay.shift, Some(Shift::Leaving(_)));
        let sent_away = |generation: &Generation| -> Vec<_> {
            let sitters = generation.places.iter().filter(leaves);
            // In a crash loop whoever hangs goes at once, also in the step in which the loop ends.
            let loops = !generation.circuit.is_closed() || self.had_looped(generation);
            let is_bounded = loops || changing(generation) <= (generation.places.len() / 10).max(1);
            sitters.filter_map(|place| Some((place.worker()?.serial, is_bounded))).collect()
        };
        for (serial, is_bounded) in self.app.generations.iter().flat_map(sent_away).collect::<Vec<_>>() {
            if self.making_way.insert(serial) {
                self.require(self.may_make_way(serial), "a worker is sent away that nobody wants to replace");
                self.require(is_bounded, "more workers are sent away at once than there are permits");
            }
        }
    }

    fn settings_of(&self, generation: Number) -> Option<Plan> {
        self.app.generations.iter().find(|one| one.number == generation).map(|one| one.plan)
    }

    /// Something will happen, without anybody's doing.
    fn is_going_on(&self) -> bool {
        let awaited = |process: &Process| {
            !process.runs || process.probed || process.warms || process.health.asked || process.is_told_to_end()
        };
        let is_asked = self.unanswered().next().is_some();
        self.app.deadline().is_some() || is_asked || self.sets.len() > 1 || self.processes.values().any(awaited)
    }

    /// Processes but those that were killed and given up.
    fn awaited(&self) -> impl Iterator<Item = &Process> {
        let patient = |process: &Process| process.killed.is_none_or(|at| self.now < at + Duration::from_secs(5));
        let awaited = move |(serial, process): &(&Serial, &Process)| {
            patient(process) || self.state(**serial) != Some(State::Unkillable)
        };
        self.processes.iter().filter(awaited).map(|(_, process)| process)
    }
}

/// Slots whose worker was sent away so that another one can come, and that nobody serves yet.
fn changing(generation: &Generation) -> usize {
    let is_changing = |place: &&Place| place.relay.shift.is_some() && place.is_changing();
    generation.places.iter().filter(is_changing).count()
}
