//! A worker comes into service, is kept out of it for later, and comes back.
//!
//! Invariant: whoever comes into service is watched, and has the time to say that it is well, from then on.

use super::Worker;
use crate::lifecycle::liveness::{Closed, Vigil};
use crate::lifecycle::state::State;
use crate::lifecycle::todo::Step;

impl Worker {
    /// Lets a ready worker serve from the next version on; nothing else changes.
    pub(in crate::lifecycle) fn serve(&mut self, step: &mut Step<'_>) {
        // Ready => Serving
        if self.state == State::Ready {
            self.enter_service(step);
        }
    }

    /// Takes it out of routing and keeps it for later; who does not serve well leaves.
    pub(in crate::lifecycle) fn retain(&mut self, step: &mut Step<'_>) {
        match self.state {
            // Serving => Retained
            State::Serving => self.enter(State::Retained(Closed::since(step.version)), step),
            _ => self.leave(step),
        }
    }

    /// Lets a retained worker serve again from the next version on; nothing else changes.
    pub(in crate::lifecycle) fn reinstate(&mut self, step: &mut Step<'_>) {
        // Retained => Serving
        if matches!(self.state, State::Retained(_)) {
            self.enter_service(step);
        }
    }

    fn enter_service(&mut self, step: &mut Step<'_>) {
        self.enter(State::Serving, step);
        let first = self.plan.liveness.map(|liveness| liveness.interval.mul_f64(step.todo.roll()));
        self.vigil = first.map(|wait| Vigil::new(step.after(wait)));
        self.expect_word(step);
    }
}
