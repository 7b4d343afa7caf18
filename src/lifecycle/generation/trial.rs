//! A generation on trial, and one that is kept because of it.
//!
//! Does not know the other one of the two: who takes over from whom is decided in `lifecycle::trial`.

use std::time::{Duration, Instant};

use super::{Generation, Place, Stage, Watch};
use crate::lifecycle::todo::Step;
use crate::lifecycle::worker::Failure;
use crate::lifecycle::{Action, Outcome, Ticket};

impl Generation {
    /// Has it taken over, and is it watched?
    pub(in crate::lifecycle) fn is_on_trial(&self) -> bool {
        let is_watched = matches!(self.stage, Stage::Promoting { .. } | Stage::Baking { .. });
        is_watched && !self.plan.trial.bake.is_zero()
    }

    pub(in crate::lifecycle) fn is_retained(&self) -> bool {
        matches!(self.stage, Stage::Retained { .. })
    }

    pub(in crate::lifecycle) fn could_serve_again(&self) -> bool {
        self.is_retained() && self.places.iter().any(Place::is_retained)
    }

    /// What speaks against it.
    pub(in crate::lifecycle) fn fault(&self) -> Option<&'static str> {
        if !self.circuit.is_closed() {
            return Some("its workers end again and again");
        }
        if !self.is_routed() {
            return Some("none of its workers serves any more");
        }
        self.is_panicking().then_some("most of its workers fail their probes")
    }

    /// It is replaced: who serves well is kept, the others leave, and nobody comes.
    pub(in crate::lifecycle) fn retain(&mut self, step: &mut Step<'_>) {
        if !self.circuit.is_closed() {
            return self.dismiss(Outcome::Superseded, step);
        }
        // (Promoting | Baking | Live) => Retained
        let ticket = self.ticket();
        self.stage = Stage::Retained { until: None };
        self.places.iter_mut().for_each(|place| place.retain(step));
        if let Some(ticket) = ticket {
            step.push(Action::Finish { ticket, outcome: Outcome::Superseded });
        }
        if !self.could_serve_again() {
            self.dismiss(Outcome::Superseded, step);
        }
    }

    /// It serves again; whoever waits for that is told when all proxies know.
    pub(in crate::lifecycle) fn reinstate(&mut self, ticket: Option<Ticket>, step: &mut Step<'_>) {
        // Retained => (Promoting | Live)
        self.stage = match ticket {
            Some(ticket) => Stage::Promoting { ticket, version: step.version },
            None => Stage::Live,
        };
        self.places.iter_mut().for_each(|place| place.reinstate(step));
    }

    /// It serves on, for the one that was tried beside it is given up; whoever waits for that is told when all proxies know.
    pub(in crate::lifecycle) fn stand(&mut self, ticket: Ticket, step: &mut Step<'_>) {
        let outcome = match self.stage {
            // Live => Promoting
            Stage::Live => return self.stage = Stage::Promoting { ticket, version: step.version },
            Stage::Baking { .. } => Outcome::Live { generation: self.number },
            _ => Outcome::Superseded,
        };
        step.finish(Some(ticket), outcome);
    }

    /// A worker of a generation that is kept is gone: another one comes only if it serves again.
    pub(super) fn leave_for_later(&mut self, index: usize, was_let_go: bool, failure: &Failure, now: Instant) {
        let place = &mut self.places[index];
        if was_let_go {
            place.await_first(now);
            place.suspend(now);
        } else if self.plan.restart.wants_another(failure) {
            place.note(failure);
            place.park(failure, now);
        }
    }

    /// The bake is over when its time is, or when there is nobody to go back to.
    pub(in crate::lifecycle) fn end_bake(&mut self, could_go_back: bool, step: &mut Step<'_>) {
        match self.stage {
            // Baking => Live
            Stage::Baking { ticket, until } if step.is_due(until) || !could_go_back => {
                self.stage = Stage::Live;
                step.push(Action::Finish { ticket, outcome: Outcome::Live { generation: self.number } });
            }
            _ => {}
        }
    }

    /// If it is kept, the end of that is set, or has come.
    pub(in crate::lifecycle) fn keep_for(&mut self, rest: Duration, step: &mut Step<'_>) {
        if let Stage::Retained { until } = &mut self.stage {
            let until = *until.get_or_insert(step.after(rest));
            if step.is_due(until) {
                // Retained => Draining
                self.dismiss(Outcome::Superseded, step);
            }
        }
    }

    /// When the bake is over, or it is kept no longer.
    pub(super) fn trial_ends_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Baking { until, .. } | Stage::Canary { watch: Watch::Until(until), .. } => Some(until),
            Stage::Retained { until } => until,
            _ => None,
        }
    }
}
