//! One generation of an app: its workers from the first start to the last exit, and the reload that it came from.
//!
//! Does not know other generations; `app` says when it may be promoted and when it has to go. Invariants: a ticket is
//! finished exactly once, when its generation leaves the stages that carry it; a live generation tries to fill every
//! place as its restart policy wants it, in a crash loop one at a time; a staging one gives up at the first failure, a
//! leaving one starts nothing.
//!
//! ```text
//!   reload              first worker ready            all ready, or nobody serves            acknowledged
//!  ────────► Staging ─────────────────────► Verified ─────────────────────────► Promoting ─────────────► Live ◄── start
//!               │  failure, no progress, superseded, stop │               replaced, stop │   replaced, stop │
//!               └──────────────► Aborted ◄────────────────┘                              └──► Draining ◄────┘
//!                                   └──────── last worker gone ──► (retired) ◄─────────────────────┘
//!
//!   Promoting ─ acknowledged, somebody is retained ─► Baking ─ time is over, nobody is retained ─► Live
//!   (Promoting | Baking | Live) ─ replaced by one that goes on trial ─► Retained ─ it was bad, or asked for ─► Live
//!                                                                          └─ not needed any more, stop ─► Draining
//! ```
//! Later states have their place: Canary between Verified and Promoting. How a generation gets another number of slots is
//! in [`resize`], how workers are replaced as planned in [`planned`], how it is tried and kept in [`trial`].

mod planned;
mod record;
mod resize;
mod said;
mod trial;

use std::time::Instant;

use super::circuit::{Circuit, Mode};
use super::liveness;
use super::place::Place;
use super::recycle::Recycles;
use super::report::Restarts;
use super::state::State;
use super::todo::{Step, after};
use super::worker::{End, Failure, Worker};
use super::{Action, EndpointView, Outcome, Plan, Ticket, Version};
use crate::id::{AppName, Generation as Number, Serial, Slot, WorkerId};

#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) number: Number,
    pub(super) plan: Plan,
    pub(super) stage: Stage,
    pub(super) places: Vec<Place>,
    pub(super) circuit: Circuit,
    removed: resize::Removed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The first worker starts, alone: a broken build costs one process. `progressed` is when it last came further.
    Staging { ticket: Ticket, progressed: Instant },
    /// The first worker is ready, the others start.
    Verified { ticket: Ticket, progressed: Instant },
    /// Published in this version; some proxy may not act on it yet.
    Promoting { ticket: Ticket, version: Version },
    /// It serves, and is watched: the one before it could still take its place.
    Baking { ticket: Ticket, until: Instant },
    /// It serves, or does what it can to.
    Live,
    /// It was live and could be again: its workers get no requests and stay.
    Retained { until: Option<Instant> },
    /// It was live; its workers walk the stop order.
    Draining,
    /// It never was live; its workers stop.
    Aborted,
}

impl Generation {
    pub(super) fn new(app: &AppName, number: Number, plan: &Plan, stage: Stage, now: Instant) -> Self {
        let place = |slot| Place::new(WorkerId { app: app.clone(), generation: number, slot: Slot(slot) }, now);
        let places = (0..plan.workers.max(1)).map(place).collect();
        let (circuit, removed) = (Circuit::new(), resize::Removed::default());
        Self { number, plan: *plan, stage, places, circuit, removed }
    }

    pub(super) fn is_staging(&self) -> bool {
        matches!(self.stage, Stage::Staging { .. } | Stage::Verified { .. })
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Promoting { .. } | Stage::Baking { .. } | Stage::Live)
    }

    /// Does it bring up workers, as fast as it may?
    pub(super) fn is_expected(&self) -> bool {
        self.is_live() && self.circuit.is_closed() && !self.is_spent()
    }

    pub(super) fn is_over(&self) -> bool {
        !self.is_staging() && !self.is_live() && self.places.iter().all(Place::is_abandoned)
    }

    /// Is it on its way out, with work in flight?
    pub(super) fn is_draining(&self) -> bool {
        !self.is_live() && self.workers().any(|worker| worker.state.is_draining())
    }

    pub(super) fn serving(&self) -> usize {
        self.workers().filter(|worker| worker.state == State::Serving).count()
    }

    /// Can requests go to it?
    pub(super) fn is_routed(&self) -> bool {
        self.workers().any(|worker| worker.state.is_open())
    }

    /// Is it routed past its probes, because too many fail them?
    pub(super) fn is_panicking(&self) -> bool {
        self.workers().any(|worker| worker.state.is_open() && worker.state != State::Serving)
    }

    /// Takes those out of routing who are surplus, and those who fail their probes, unless they are too many.
    pub(super) fn steer(&mut self, step: &mut Step<'_>) {
        loop {
            self.gate(step);
            // Whoever goes leaves other shares of those who serve and those who do not.
            if !self.let_go(step) {
                return;
            }
        }
    }

    fn gate(&mut self, step: &Step<'_>) {
        let unready = self.workers().filter(|worker| matches!(worker.state, State::Unready { .. })).count();
        let is_panic = liveness::is_panic(unready, self.serving());
        self.workers_mut().for_each(|worker| worker.steer(is_panic, step));
    }

    /// Takes in who has answered `needed` probes in a row: in staging to wait for the others, when live to serve.
    pub(super) fn admit(&mut self, needed: u32, step: &mut Step<'_>) {
        let sitters = self.places.iter_mut().filter_map(Place::worker_mut);
        let admitted = sitters.filter_map(|worker| worker.admit(needed, step).then_some(())).count();
        match self.stage {
            // (Staging | Verified) => Verified
            Stage::Staging { ticket, .. } | Stage::Verified { ticket, .. } if admitted > 0 => {
                self.stage = Stage::Verified { ticket, progressed: step.now };
            }
            Stage::Promoting { .. } | Stage::Baking { .. } | Stage::Live => {
                self.serve(step);
                let full = self.plan.probing.successes;
                self.places.iter_mut().for_each(|place| place.relieve(full, step));
            }
            _ => {}
        }
    }

    /// May it take over, given whether anybody serves now?
    pub(super) fn may_be_promoted(&self, somebody_serves: bool) -> bool {
        let ready = self.workers().filter(|worker| worker.state == State::Ready).count();
        let needed = if somebody_serves { self.plan.size() } else { 1 };
        matches!(self.stage, Stage::Verified { .. }) && ready >= needed
    }

    /// Serves with who is ready.
    pub(super) fn promote(&mut self, step: &mut Step<'_>) {
        // Verified => Promoting
        if let Stage::Verified { ticket, .. } = self.stage {
            self.stage = Stage::Promoting { ticket, version: step.version };
            self.serve(step);
        }
    }

    /// Sends everybody away; who waits for it to be live is told `outcome`. No change if it is leaving already.
    pub(super) fn dismiss(&mut self, outcome: Outcome, step: &mut Step<'_>) {
        let ticket = self.ticket();
        self.stage = match self.stage {
            // (Staging | Verified) => Aborted
            Stage::Staging { .. } | Stage::Verified { .. } => Stage::Aborted,
            // (Promoting | Baking | Live | Retained) => Draining
            Stage::Promoting { .. } | Stage::Baking { .. } | Stage::Live | Stage::Retained { .. } => Stage::Draining,
            Stage::Draining | Stage::Aborted => return,
        };
        self.places.iter_mut().for_each(|place| place.leave(step));
        if let Some(ticket) = ticket {
            step.push(Action::Finish { ticket, outcome });
        }
    }

    /// Starts who waits and may; in staging the first place goes alone until it is verified.
    pub(super) fn start_waiting(&mut self, step: &mut Step<'_>) {
        let starting = self.workers().filter(|worker| worker.state.is_starting()).count();
        let permits = (self.plan.concurrent_starts.max(1) as usize).saturating_sub(starting);
        let reach = if matches!(self.stage, Stage::Staging { .. }) { 1 } else { self.places.len() };
        for place in self.places.iter_mut().take(reach).filter(|place| place.is_waiting()).take(permits) {
            place.start(&self.plan, step);
        }
    }

    /// A process is gone, or never came; false when there is none of this serial that could be.
    pub(super) fn ended(&mut self, serial: Serial, end: &End, step: &mut Step<'_>) -> bool {
        let Some(index) = self.places.iter().position(|place| place.holds(serial)) else { return false };
        if let Some(possible) = self.places[index].part(serial, end, step) {
            return possible;
        }
        let was_let_go = self.places[index].is_let_go();
        let Some(failure) = self.places[index].vacate(end, step.now) else { return false };
        if self.places[index].refill(step.now) {
            self.hold_back_at(index, step.now);
        } else if self.is_retained() {
            self.leave_for_later(index, was_let_go, &failure, step.now);
        } else if was_let_go && (self.is_live() || self.is_staging()) {
            self.vacated(index, step.now);
        } else {
            self.replace(index, &failure, step);
        }
        true
    }

    /// All proxies act on `version` or a later one.
    pub(super) fn published(&mut self, version: Version, step: &mut Step<'_>) {
        self.workers_mut().for_each(|worker| worker.published(version, step));
        match self.stage {
            // Promoting => Baking
            Stage::Promoting { ticket, version: promoted } if promoted <= version => {
                self.stage = Stage::Baking { ticket, until: step.after(self.plan.trial.bake) };
            }
            _ => {}
        }
    }

    /// Acts on what is due.
    pub(super) fn wake(&mut self, step: &mut Step<'_>) {
        for index in 0..self.places.len() {
            if let Some(failure) = self.places[index].wake(step) {
                self.late(index, failure, step);
            }
        }
        self.dismiss_silent(step);
        self.try_again(step);
        self.give_up_if_stalled(step);
    }

    /// Ends all drains with work in flight.
    pub(super) fn force(&mut self, step: &mut Step<'_>) {
        self.workers_mut().for_each(|worker| worker.force(step));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let places = self.places.iter().filter_map(Place::deadline);
        let stage = self.stalled_at().into_iter().chain(self.trial_ends_at());
        places.chain(stage).chain(self.recovers_at()).chain(self.next_trial_at()).min()
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = EndpointView> {
        self.workers().filter(|worker| worker.is_listed()).map(|worker| EndpointView {
            serial: worker.serial,
            slot: worker.id.slot,
            generation: self.number,
            open: worker.state.is_open(),
        })
    }

    /// Who is left when it is over.
    pub(super) fn into_workers(self) -> impl Iterator<Item = Worker> {
        self.places.into_iter().flat_map(Place::into_workers)
    }

    pub(super) fn restarts(&self) -> Restarts {
        self.places.iter().map(|place| place.restarts).fold(self.removed.restarts, Restarts::plus)
    }

    pub(super) fn recycles(&self) -> Recycles {
        self.places.iter().map(|place| place.relay.recycles).fold(self.removed.recycles, Recycles::plus)
    }

    /// Who waits to hear how it goes.
    fn ticket(&self) -> Option<Ticket> {
        match self.stage {
            Stage::Staging { ticket, .. }
            | Stage::Verified { ticket, .. }
            | Stage::Promoting { ticket, .. }
            | Stage::Baking { ticket, .. } => Some(ticket),
            Stage::Live | Stage::Retained { .. } | Stage::Draining | Stage::Aborted => None,
        }
    }

    fn serve(&mut self, step: &mut Step<'_>) {
        self.workers_mut().for_each(|worker| worker.serve(step));
    }

    fn late(&mut self, index: usize, failure: Failure, step: &mut Step<'_>) {
        self.places[index].note(&failure);
        if self.is_staging() {
            self.abort(failure, step);
        } else {
            self.circuit.put_off(&self.plan.restart, step.now);
        }
    }

    /// The place is empty after a failure: what follows from it?
    fn replace(&mut self, index: usize, failure: &Failure, step: &mut Step<'_>) {
        if self.is_live() {
            self.restart(index, failure, step);
        } else if self.is_staging() {
            self.places[index].note(failure);
            self.abort(failure.clone(), step);
        }
    }

    /// A worker of the live generation has ended; without another one its place stays empty.
    fn restart(&mut self, index: usize, failure: &Failure, step: &mut Step<'_>) {
        let restart = self.plan.restart;
        if restart.is_fine(failure) {
            self.places[index].note_success();
        } else {
            self.places[index].note(failure);
        }
        self.circuit.put_off(&restart, step.now);
        if restart.counts(failure) && self.circuit.count(&restart, step.now) {
            self.hold_back(step.now);
        }
        let place = &mut self.places[index];
        if !restart.wants_another(failure) {
            return place.call_off(step);
        }
        match self.circuit.mode {
            _ if place.succeed(failure, step.now) => {}
            Mode::Closed => place.retry(failure, &restart, step),
            Mode::Looping { .. } => place.park(failure, step.now),
            Mode::GivenUp => {}
        }
    }

    /// A crash loop has begun: whoever was to start soon is not to.
    fn hold_back(&mut self, now: Instant) {
        (0..self.places.len()).for_each(|index| self.hold_back_at(index, now));
    }

    fn hold_back_at(&mut self, index: usize, now: Instant) {
        match self.circuit.mode {
            Mode::Looping { .. } => self.places[index].suspend(now),
            Mode::GivenUp => self.places[index].give_up(now),
            Mode::Closed => {}
        }
    }

    /// In a crash loop: ends it, or tries one worker, if it is time to.
    fn try_again(&mut self, step: &Step<'_>) {
        if self.recovers_at().is_some_and(|at| step.is_due(at)) {
            self.circuit.close();
            self.places.iter_mut().for_each(|place| place.resume(step.now));
        } else if self.next_trial_at().is_some_and(|at| step.is_due(at))
            && let Some(place) = self.places.iter_mut().find(|place| place.is_parked())
        {
            place.resume(step.now);
        }
    }

    /// When a worker will have served for long enough to end the crash loop, if none fails.
    fn recovers_at(&self) -> Option<Instant> {
        let Mode::Looping { since, .. } = self.circuit.mode else { return None };
        let serving = self.workers().filter(|worker| worker.state == State::Serving);
        serving.map(|worker| after(worker.since.max(since), self.plan.restart.backoff.reset)).min()
    }

    /// When one more worker may be tried in the crash loop; `None` while one is being tried.
    fn next_trial_at(&self) -> Option<Instant> {
        let Mode::Looping { since, next } = self.circuit.mode else { return None };
        let is_new = |worker: &Worker| worker.state.is_in_service() && worker.since >= since;
        let is_tried = self.workers().any(|worker| worker.state.is_starting() || is_new(worker));
        let is_coming = self.places.iter().any(Place::is_waiting);
        (!is_tried && !is_coming && self.places.iter().any(Place::is_parked)).then_some(next)
    }

    fn abort(&mut self, failure: Failure, step: &mut Step<'_>) {
        let worker = Some(failure.serial);
        self.dismiss(Outcome::Aborted { generation: self.number, reason: failure.sentence, worker }, step);
    }

    fn give_up_if_stalled(&mut self, step: &mut Step<'_>) {
        if self.stalled_at().is_some_and(|at| step.is_due(at)) {
            let reason = format!("no worker became ready within {:?}", self.plan.timeouts.progress);
            self.dismiss(Outcome::Aborted { generation: self.number, reason, worker: None }, step);
        }
    }

    fn stalled_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Staging { progressed, .. } | Stage::Verified { progressed, .. } => {
                let stretched = self.workers().filter_map(Worker::stretched);
                stretched.chain([after(progressed, self.plan.timeouts.progress)]).max()
            }
            _ => None,
        }
    }

    pub(super) fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.places.iter().flat_map(Place::workers)
    }

    pub(super) fn workers_mut(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.places.iter_mut().flat_map(Place::workers_mut)
    }
}
