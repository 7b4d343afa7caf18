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
            State::Serving => self.enter(State::Retained(self.closed_now(step)), step),
            _ => self.leave(step),
        }
    }

    /// Lets a retained worker serve again from the next version on; nothing else changes.
    pub(in crate::lifecycle) fn reinstate(&mut self, step: &mut Step<'_>) {
        // Retained => Serving
        if let State::Retained(closed) = self.state {
            self.open_again(closed, step);
            self.enter_service(step);
        }
    }

    /// It opens, which nobody knows before this version is published.
    pub(super) fn open_again(&mut self, closed: Closed, step: &Step<'_>) {
        self.was_closed = Some((step.version, closed));
    }

    /// How it is closed if it is to be from now on: whoever opens and closes in the same step was never open.
    pub(super) fn closed_now(&self, step: &Step<'_>) -> Closed {
        let known = self.was_closed.filter(|(version, _)| *version == step.version);
        known.map_or(Closed::since(step.version), |(_, closed)| closed)
    }

    /// It is closed, and to leave: it goes on from where its closing has come to.
    pub(super) fn leave_closed(&mut self, closed: Closed, step: &mut Step<'_>) {
        self.enter(State::Quiescing { version: closed.version, idle: closed.idle }, step);
        if closed.acknowledged {
            self.published(closed.version, step);
        }
    }

    fn enter_service(&mut self, step: &mut Step<'_>) {
        self.enter(State::Serving, step);
        let first = self.plan.liveness.map(|liveness| liveness.interval.mul_f64(step.todo.roll()));
        self.vigil = first.map(|wait| Vigil::new(step.after(wait)));
        self.expect_word(step);
    }
}
