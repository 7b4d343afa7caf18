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
//!
//!   Verified ─ no room for all, the first is ready ─► Rolling ─ all serve ─► Promoting
//!                                                       └─ failure, no progress, superseded ─► Yielding ─ others serve ─► Draining
//! ```
//! How it goes to sleep and wakes is in [`sleep`]. Between Verified and what follows there may be a Canary, see [`canary`]. How a
//! generation gets another number of slots is in [`resize`], how workers are replaced as planned in [`planned`], how it is tried
//! and kept in [`trial`], how it takes over in steps in [`rolling`], who else has a say in that in [`clearance`], what follows
//! when one ends by itself in [`restarts`].

mod canary;
mod clearance;
mod planned;
mod record;
mod resize;
mod restarts;
mod rolling;
mod said;
mod sleep;
mod trial;

use std::time::Instant;

pub(super) use canary::Watch;
pub(super) use clearance::Clearance;

use super::circuit::{Circuit, Mode};
use super::liveness;
use super::place::Place;
use super::recycle::Recycles;
use super::report::Restarts;
use super::state::State;
use super::todo::{Step, after};
use super::worker::{End, Failure, Worker};
use super::{EndpointView, Outcome, Plan, Ticket, Version};
use crate::id::{AppName, Generation as Number, Serial, Slot, WorkerId};

#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub(super) number: Number,
    pub(super) plan: Plan,
    pub(super) stage: Stage,
    pub(super) places: Vec<Place>,
    pub(super) circuit: Circuit,
    /// The one that was live when it was declared: from there on processes count as beside its own.
    pub(super) base: Number,
    pub(super) clearance: Clearance,
    removed: resize::Removed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The first worker starts, alone: a broken build costs one process. `progressed` is when it last came further.
    Staging { ticket: Ticket, progressed: Instant },
    /// The first worker is ready, the others start.
    Verified { ticket: Ticket, progressed: Instant },
    /// A few are served by it, to see how it does.
    Canary { ticket: Ticket, watch: Watch },
    /// It takes over in steps: who is ready serves, beside those of the live one that are still there.
    Rolling { ticket: Ticket, progressed: Instant },
    /// Published in this version; some proxy may not act on it yet.
    Promoting { ticket: Ticket, version: Version },
    /// It serves, and is watched: the one before it could still take its place.
    Baking { ticket: Ticket, until: Instant },
    /// It serves, or does what it can to.
    Live,
    /// It was live and nobody asks for it: its workers get no requests, and are there until then.
    Dozing { until: Instant },
    /// It is live and has no workers, until somebody asks for it.
    Asleep,
    /// Somebody has asked for it, and nobody serves yet.
    Waking,
    /// It was live and could be again: its workers get no requests and stay.
    Retained { until: Option<Instant> },
    /// It was live; its workers walk the stop order.
    Draining,
    /// It was on its way to take over in steps: who serves does so until others do in its place.
    Yielding,
    /// It never was live; its workers stop.
    Aborted,
}

impl Generation {
    pub(super) fn new(app: &AppName, number: Number, plan: &Plan, stage: Stage, now: Instant) -> Self {
        let place = |slot| Place::new(WorkerId { app: app.clone(), generation: number, slot: Slot(slot) }, now);
        let places = (0..plan.workers.max(1)).map(place).collect();
        let (circuit, removed) = (Circuit::new(), resize::Removed::default());
        let plan = Plan { rollout: plan.rollout.of(plan.size()), ..*plan };
        let clearance = Clearance::of(&plan, stage);
        Self { number, plan, stage, places, circuit, base: number, clearance, removed }
    }

    pub(super) fn is_staging(&self) -> bool {
        matches!(self.stage, Stage::Staging { .. } | Stage::Verified { .. })
    }

    /// Is it on its way to take over?
    pub(super) fn is_coming(&self) -> bool {
        self.is_staging() || matches!(self.stage, Stage::Canary { .. } | Stage::Rolling { .. })
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(
            self.stage,
            Stage::Promoting { .. }
                | Stage::Baking { .. }
                | Stage::Live
                | Stage::Dozing { .. }
                | Stage::Asleep
                | Stage::Waking
        )
    }

    /// Does it bring up workers, as fast as it may?
    pub(super) fn is_expected(&self) -> bool {
        self.is_live() && self.circuit.is_closed() && !self.is_spent()
    }

    pub(super) fn is_over(&self) -> bool {
        !self.is_coming() && !self.is_live() && self.places.iter().all(Place::is_abandoned)
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

    /// Takes in who has answered enough probes in a row, which is one unless they replace somebody: in staging to wait for the
    /// others, when live to serve.
    pub(super) fn admit(&mut self, is_replacing: bool, step: &mut Step<'_>) {
        let needed = if is_replacing { self.plan.probing.successes } else { 1 };
        let sitters = self.places.iter_mut().filter_map(Place::worker_mut);
        let admitted = sitters.filter_map(|worker| worker.admit(needed, step).then_some(())).count();
        match self.stage {
            // (Staging | Verified) => Verified
            Stage::Staging { ticket, .. } | Stage::Verified { ticket, .. } if admitted > 0 => {
                self.stage = Stage::Verified { ticket, progressed: step.now };
            }
            // Those that its share needs not wait for the others.
            Stage::Canary { watch: Watch::Published(_) | Watch::Until(_), .. } => self.serve(step),
            Stage::Canary { .. } if admitted > 0 => self.note_progress(step.now),
            Stage::Rolling { ticket, .. } if admitted > 0 => {
                self.stage = Stage::Rolling { ticket, progressed: step.now };
                self.serve(step);
            }
            Stage::Promoting { .. } | Stage::Baking { .. } | Stage::Live | Stage::Waking => {
                self.serve(step);
                let full = self.plan.probing.successes;
                self.places.iter_mut().for_each(|place| place.relieve(full, step));
            }
            _ => {}
        }
    }

    /// Is it ready to take over, all at once, given whether anybody serves now?
    pub(super) fn is_due(&self, somebody_serves: bool) -> bool {
        let is_tried_first = self.plan.trial.canary.is_some();
        match self.stage {
            Stage::Verified { .. } if !somebody_serves => self.ready() >= 1,
            _ if self.plan.rollout.is_stepwise() => false,
            Stage::Verified { .. } => !is_tried_first && self.ready() >= self.plan.size(),
            _ => self.has_passed(),
        }
    }

    fn ready(&self) -> usize {
        self.workers().filter(|worker| worker.state == State::Ready).count()
    }

    /// Serves with who is ready.
    pub(super) fn promote(&mut self, step: &mut Step<'_>) {
        // (Verified | Canary | Rolling) => Promoting
        if let Stage::Verified { ticket, .. } | Stage::Canary { ticket, .. } | Stage::Rolling { ticket, .. } =
            self.stage
        {
            self.stage = Stage::Promoting { ticket, version: step.version };
            self.serve(step);
        }
    }

    /// Sends everybody away; who waits for it to be live is told `outcome`. No change if it is leaving already.
    pub(super) fn dismiss(&mut self, outcome: Outcome, step: &mut Step<'_>) {
        let ticket = self.ticket();
        self.stage = match self.stage {
            // (Staging | Verified | Canary) => Aborted
            Stage::Staging { .. } | Stage::Verified { .. } | Stage::Canary { .. } => Stage::Aborted,
            // (Rolling | Promoting | Baking | Live | Dozing | Asleep | Waking | Retained | Yielding) => Draining
            Stage::Rolling { .. }
            | Stage::Promoting { .. }
            | Stage::Baking { .. }
            | Stage::Live
            | Stage::Dozing { .. }
            | Stage::Asleep
            | Stage::Waking
            | Stage::Retained { .. }
            | Stage::Yielding => Stage::Draining,
            Stage::Draining | Stage::Aborted => return,
        };
        self.places.iter_mut().for_each(|place| place.leave(step));
        step.finish(ticket, outcome);
    }

    /// Starts who waits and may, no more than there is room for; in staging the first place goes alone until it is verified, and
    /// whoever is waited for by requests, alone until it serves; those that a canary needs, alone until it has done well.
    pub(super) fn start_waiting(&mut self, room: usize, step: &mut Step<'_>) {
        let starting = self.workers().filter(|worker| worker.state.is_starting()).count();
        let most = if self.stage == Stage::Waking { 1 } else { self.plan.concurrent_starts.max(1) as usize };
        let permits = most.saturating_sub(starting).min(room);
        let reach = self.reach();
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
        } else if self.is_resting() {
            self.leave_for_later(index, was_let_go, &failure, step.now);
        } else if was_let_go && (self.is_live() || self.is_coming()) {
            self.vacated(index, step.now);
        } else {
            self.replace(index, &failure, step);
        }
        true
    }

    /// All proxies act on `version` or a later one.
    pub(super) fn published(&mut self, version: Version, step: &mut Step<'_>) {
        self.workers_mut().for_each(|worker| worker.published(version, step));
        self.canary_published(version, step);
        match self.stage {
            // Promoting => Baking
            Stage::Promoting { ticket, version: promoted } if promoted <= version => {
                self.stage = Stage::Baking { ticket, until: step.after(self.plan.trial.bake) };
                self.tell_promoted(step);
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
        let stage = self.stalled_at().into_iter().chain(self.trial_ends_at()).chain(self.doze_ends_at());
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
            | Stage::Canary { ticket, .. }
            | Stage::Rolling { ticket, .. }
            | Stage::Promoting { ticket, .. }
            | Stage::Baking { ticket, .. } => Some(ticket),
            _ => None,
        }
    }

    /// Whoever is to take somebody's seat serves when it sits down.
    fn serve(&mut self, step: &mut Step<'_>) {
        self.places.iter_mut().filter_map(Place::worker_mut).for_each(|worker| worker.serve(step));
    }

    fn late(&mut self, index: usize, failure: Failure, step: &mut Step<'_>) {
        self.places[index].note(&failure);
        if self.is_coming() {
            self.abort(failure, step);
        } else {
            self.circuit.put_off(&self.plan.restart, step.now);
        }
    }

    fn abort(&mut self, failure: Failure, step: &mut Step<'_>) {
        self.fail(failure.sentence, Some(failure.serial), step);
    }

    fn give_up_if_stalled(&mut self, step: &mut Step<'_>) {
        if self.stalled_at().is_some_and(|at| step.is_due(at)) {
            self.fail(format!("no worker became ready within {:?}", self.plan.timeouts.progress), None, step);
        }
    }

    fn stalled_at(&self) -> Option<Instant> {
        match self.stage {
            // Whoever was asked has a limit of its own.
            _ if self.clearance == Clearance::Asked => None,
            Stage::Staging { progressed, .. }
            | Stage::Verified { progressed, .. }
            | Stage::Canary { watch: Watch::Over { progressed }, .. }
            | Stage::Rolling { progressed, .. } => {
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
