//! What follows for a generation when a worker of it has ended by itself, and how it goes about a crash loop.
//!
//! Whether there is one is counted by the circuit. Invariant: in a crash loop one worker is tried at a time.

use std::time::Instant;

use super::{Generation, Mode, Place};
use crate::lifecycle::state::State;
use crate::lifecycle::todo::{Step, after};
use crate::lifecycle::worker::{Failure, Worker};

impl Generation {
    /// The place is empty after a failure: what follows from it?
    pub(super) fn replace(&mut self, index: usize, failure: &Failure, step: &mut Step<'_>) {
        if self.is_live() {
            self.restart(index, failure, step);
        } else if self.is_coming() {
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

    pub(super) fn hold_back_at(&mut self, index: usize, now: Instant) {
        match self.circuit.mode {
            Mode::Looping { .. } => self.places[index].suspend(now),
            Mode::GivenUp => self.places[index].give_up(now),
            Mode::Closed => {}
        }
    }

    /// In a crash loop: ends it, or tries one worker, if it is time to.
    pub(super) fn try_again(&mut self, step: &Step<'_>) {
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
    pub(super) fn recovers_at(&self) -> Option<Instant> {
        let Mode::Looping { since, .. } = self.circuit.mode else { return None };
        let serving = self.workers().filter(|worker| worker.state == State::Serving);
        serving.map(|worker| after(worker.since.max(since), self.plan.restart.backoff.reset)).min()
    }

    /// When one more worker may be tried in the crash loop; `None` while one is being tried.
    pub(super) fn next_trial_at(&self) -> Option<Instant> {
        let Mode::Looping { since, next } = self.circuit.mode else { return None };
        let is_new = |worker: &Worker| worker.state.is_in_service() && worker.since >= since;
        let is_tried = self.workers().any(|worker| worker.state.is_starting() || is_new(worker));
        let is_coming = self.places.iter().any(Place::is_waiting);
        (!is_tried && !is_coming && self.places.iter().any(Place::is_parked)).then_some(next)
    }
}
