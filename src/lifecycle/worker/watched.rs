//! A worker in service as its liveness probe finds it: serving, unready, hung, to be replaced.
//!
//! Makes the moves between Serving and Unready, and those within Unready; how many answers it takes is counted by the
//! vigil. Invariant: it is routed as it is steered, and never told to leave from here.

use std::time::Duration;

use super::Worker;
use crate::lifecycle::Action;
use crate::lifecycle::liveness::{DUMP_TIME, Fate, Gate, Verdict};
use crate::lifecycle::state::State;
use crate::lifecycle::todo::Step;

impl Worker {
    /// A probe of its liveness was answered; `oldest` is how long its oldest request waits for a word. False when none was
    /// on its way, or it no longer matters.
    pub(in crate::lifecycle) fn checked(
        &mut self,
        outcome: Result<(), String>,
        oldest: Option<Duration>,
        step: &mut Step<'_>,
    ) -> bool {
        let (Some(liveness), Some(vigil)) = (self.plan.liveness, &mut self.vigil) else { return false };
        let is_unready = matches!(self.state, State::Unready { .. });
        let needed = if is_unready { liveness.successes } else { liveness.failures };
        let next = step.after(liveness.interval);
        let Some(turns) = vigil.hear(outcome.is_ok() == is_unready, needed, next) else { return false };
        match (turns, is_unready) {
            // Serving => Unready
            (true, false) => {
                let fate = Fate::Waits(liveness.replace_after.map(|wait| step.after(wait)));
                self.enter(State::Unready { gate: Gate::Open, fate }, step);
            }
            // Unready => Serving
            (true, true) => {
                if let State::Unready { gate: Gate::Closed(closed), .. } = self.state {
                    self.open_again(closed, step);
                }
                self.enter(State::Serving, step);
            }
            (false, _) => {}
        }
        if let Err(complaint) = outcome {
            self.complaint = Some(complaint);
            self.suspect(oldest, step);
        }
        true
    }

    /// Has proxies send to it, or not, if it is unready.
    pub(in crate::lifecycle) fn steer(&mut self, is_panic: bool, step: &Step<'_>) {
        let State::Unready { gate, fate } = self.state else { return };
        let gate = match gate {
            // Unready => Unready
            Gate::Closed(closed) if is_panic => {
                self.open_again(closed, step);
                Gate::Open
            }
            Gate::Open if !is_panic => Gate::Closed(self.closed_now(step)),
            gate => gate,
        };
        self.state = State::Unready { gate, fate };
    }

    /// It has been unready, or at its dump, for long enough.
    pub(super) fn condemn(&mut self) {
        if let State::Unready { fate, .. } = &mut self.state {
            self.verdict = Some(match fate {
                Fate::Dumping(_) if self.said.hangs => Verdict::Silent,
                Fate::Dumping(_) => Verdict::Hung,
                _ => Verdict::Unhealthy,
            });
            *fate = Fate::Sealed { hangs: matches!(fate, Fate::Dumping(_)) };
        }
    }

    /// It has failed a probe. If it is unready and a request has waited too long for it, it is hung: it is asked what it
    /// does, and replaced.
    fn suspect(&mut self, oldest: Option<Duration>, step: &mut Step<'_>) {
        let (Some(liveness), Some(vigil)) = (self.plan.liveness, &mut self.vigil) else { return };
        let is_hung = liveness.hung_after.is_some_and(|limit| oldest.is_some_and(|oldest| oldest >= limit));
        match &mut self.state {
            // Unready => Unready
            State::Unready { fate: fate @ Fate::Waits(_), .. } if is_hung => {
                if liveness.dumps && !std::mem::replace(&mut vigil.dumped, true) {
                    *fate = Fate::Dumping(step.after(DUMP_TIME));
                    step.push(Action::Dump { serial: self.serial });
                } else {
                    *fate = Fate::Sealed { hangs: true };
                    self.verdict = Some(Verdict::Hung);
                }
            }
            _ => {}
        }
    }
}
