//! A generation that takes over in steps, or has to give back what it had taken.
//!
//! Does not know the other one: how many may come and who has to go is decided in `lifecycle::rolling`. Invariant: whoever
//! serves is sent away from there alone.

use std::time::Instant;

use super::{Generation, Mode, Place, Stage, Watch};
use crate::id::Serial;
use crate::lifecycle::state::State;
use crate::lifecycle::todo::Step;
use crate::lifecycle::{Outcome, Rollout};

impl Generation {
    pub(in crate::lifecycle) fn is_rolling(&self) -> bool {
        matches!(self.stage, Stage::Rolling { .. })
    }

    pub(in crate::lifecycle) fn is_yielding(&self) -> bool {
        self.stage == Stage::Yielding
    }

    /// Does it take over in steps, or has it tried to?
    pub(in crate::lifecycle) fn is_stepwise(&self) -> bool {
        let is_on_its_way = self.is_coming() || matches!(self.stage, Stage::Yielding | Stage::Aborted);
        is_on_its_way && self.plan.rollout.is_stepwise() && !self.is_over()
    }

    /// Its first workers serve, if it is one that takes over in steps.
    pub(in crate::lifecycle) fn begin_to_roll(&mut self, step: &mut Step<'_>) {
        let is_tried_first = self.plan.trial.canary.is_some();
        // (Verified | Canary) => Rolling
        if let Stage::Verified { ticket, .. } | Stage::Canary { ticket, watch: Watch::Over { .. } } = self.stage
            && self.plan.rollout.is_stepwise()
            && (self.is_canary() || !is_tried_first && self.ready() > 0)
            && self.is_cleared(step)
        {
            self.stage = Stage::Rolling { ticket, progressed: step.now };
            self.serve(step);
        }
    }

    /// Serves everybody who can be hoped for?
    pub(in crate::lifecycle) fn is_whole(&self) -> bool {
        let is_there =
            |place: &Place| place.is_empty() || place.worker().is_some_and(|one| one.state == State::Serving);
        self.circuit.mode != Mode::GivenUp && !self.is_spent() && self.places[..self.kept()].iter().all(is_there)
    }

    /// Something has come of it.
    pub(in crate::lifecycle) fn note_progress(&mut self, now: Instant) {
        if let Stage::Staging { progressed, .. }
        | Stage::Verified { progressed, .. }
        | Stage::Canary { watch: Watch::Over { progressed }, .. }
        | Stage::Rolling { progressed, .. } = &mut self.stage
        {
            *progressed = now;
        }
    }

    /// It will not take over: what it had taken it gives back, the rest goes at once.
    pub(in crate::lifecycle) fn give_way(&mut self, outcome: Outcome, step: &mut Step<'_>) {
        if !self.is_rolling() {
            return self.dismiss(outcome, step);
        }
        let ticket = self.ticket();
        // Rolling => Yielding
        self.stage = Stage::Yielding;
        self.places.iter_mut().filter(|place| !place.is_open()).for_each(|place| place.leave(step));
        step.finish(ticket, outcome);
    }

    /// It was to make way, and there is nobody to make way for: it is the live one.
    pub(in crate::lifecycle) fn stay(&mut self, now: Instant) {
        // Yielding => Live
        self.stage = Stage::Live;
        for slot in 0..self.plan.size() {
            if !self.places[slot].is_taken() {
                self.fill(slot, now);
            }
        }
    }

    /// It was live and has nobody left to come: who serves does so until others do.
    pub(in crate::lifecycle) fn make_way_for_good(&mut self, rollout: Rollout, step: &mut Step<'_>) {
        let ticket = self.ticket();
        self.plan.rollout = rollout;
        // (Promoting | Baking | Live) => Yielding
        self.stage = Stage::Yielding;
        self.places.iter_mut().filter(|place| !place.is_open()).for_each(|place| place.leave(step));
        step.finish(ticket, Outcome::Superseded);
    }

    /// It has failed, for this reason; `worker` is whose fault it was.
    pub(in crate::lifecycle) fn fail(&mut self, reason: String, worker: Option<Serial>, step: &mut Step<'_>) {
        let (generation, to) = (self.number, self.base);
        let outcome = match self.stage {
            Stage::Canary { .. } | Stage::Rolling { .. } => Outcome::RolledBack { generation, to, reason, worker },
            _ => Outcome::Aborted { generation, reason, worker },
        };
        self.give_way(outcome, step);
    }

    /// One that gets no requests and is to be replaced goes before there is another one; false if there is none.
    pub(in crate::lifecycle) fn send_unwell_away(&mut self, step: &mut Step<'_>) -> bool {
        let is_unwell = |place: &&mut Place| place.wished_since(step.now).is_some() && !place.is_open();
        let unwell = self.places.iter_mut().find(is_unwell);
        unwell.map(|place| place.leave(step)).is_some()
    }

    /// One of its workers goes: such as get no requests, or, if one that does may go too, the one in the highest slot; false
    /// if there is none.
    pub(in crate::lifecycle) fn send_one_away(&mut self, may_serve: bool, step: &mut Step<'_>) -> bool {
        let stays = |place: &&mut Place| place.worker().is_some_and(|sitter| !sitter.state.is_leaving());
        let is_idle = |place: &Place| !place.is_open();
        let has_idle = self.places.iter_mut().filter(stays).any(|place| is_idle(place));
        let mut goers = self.places.iter_mut().rev().filter(stays).filter(|place| !has_idle || is_idle(place));
        let has_gone = goers.next().filter(|_| has_idle || may_serve).map(|place| place.leave(step)).is_some();
        if has_gone {
            // In a crash loop it may be the one that was tried.
            self.try_again(step);
        }
        has_gone
    }
}
