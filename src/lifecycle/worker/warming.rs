//! A worker is admitted: to be warmed up, where it is one of those, and then to wait for its service.
//!
//! What warms it is not known here. Invariant: it is asked for once, and a worker that is not warm in time serves all the same.

use super::Worker;
use crate::lifecycle::Action;
use crate::lifecycle::state::State;
use crate::lifecycle::todo::Step;

impl Worker {
    /// Makes it ready if it has answered `needed` probes in a row, and is warm; true if so.
    pub(in crate::lifecycle) fn admit(&mut self, needed: u32, step: &mut Step<'_>) -> bool {
        match (self.state, self.plan.timeouts.warmup) {
            // Probing => Warming: by the full terms, for they may hold again when it is warm
            (State::Probing { passed, .. }, Some(limit)) if passed >= self.plan.probing.successes => {
                step.push(Action::WarmUp { serial: self.serial });
                self.enter(State::Warming { until: step.after(limit), is_over: false }, step);
                false
            }
            // (Probing | Warming) => Ready
            (State::Probing { passed, .. }, None) if passed >= needed => self.become_ready(step),
            (State::Warming { is_over: true, .. }, _) => self.become_ready(step),
            _ => false,
        }
    }

    /// It is as warm as could be made of it. False when nobody waits for that.
    pub(in crate::lifecycle) fn warmed(&mut self) -> bool {
        match &mut self.state {
            State::Warming { is_over, .. } if !*is_over => {
                *is_over = true;
                true
            }
            _ => false,
        }
    }

    /// Its time to become warm is over.
    pub(super) fn end_warmup(&mut self, step: &mut Step<'_>) {
        if self.warmed() {
            step.push(Action::Cold { serial: self.serial });
        }
    }

    fn become_ready(&mut self, step: &Step<'_>) -> bool {
        self.enter(State::Ready, step);
        true
    }
}
