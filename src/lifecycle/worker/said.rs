//! What a worker has said of itself, and what follows for it alone: patience, a watchdog, a farewell.
//!
//! Whose seat is free by it, and what becomes of a reload, is for `place` and `generation` to know. Invariants: a deadline
//! is moved forward only, and within one step of its life by no more than [`MOST_EXTENSION`] in all; a worker that was
//! found to hang is never taken for well again.

use std::time::{Duration, Instant};

use super::{Failure, Worker};
use crate::lifecycle::liveness::{DUMP_TIME, Fate, Gate, Verdict};
use crate::lifecycle::report::Reason;
use crate::lifecycle::state::State;
use crate::lifecycle::todo::{Step, after};
use crate::lifecycle::{Action, Word};

/// No start, drain or stop takes longer than it may by more than this, whatever the worker says.
pub(in crate::lifecycle) const MOST_EXTENSION: Duration = Duration::from_hours(1);

/// What counts of a worker's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lifecycle) struct Said {
    /// How often it is to say that it is well; `None`: nobody waits for that.
    pub(in crate::lifecycle) period: Option<Duration>,
    /// By when it has to say so next, while it is in service.
    pub(in crate::lifecycle) due: Option<Instant>,
    /// It has not, or it has said that it is not well.
    pub(in crate::lifecycle) hangs: bool,
    /// By how much the present deadline was moved.
    pub(in crate::lifecycle) extended: Duration,
    /// It leaves by its own will, after it had served for so long.
    pub(in crate::lifecycle) farewell: Option<Duration>,
}

impl Worker {
    /// Takes in a word that concerns nobody else.
    pub(in crate::lifecycle) fn told(&mut self, word: &Word, step: &mut Step<'_>) {
        match word {
            Word::Well => self.expect_word(step),
            Word::Ill => self.bark("it said WATCHDOG=trigger".to_owned(), step),
            Word::Watchdog(period) => {
                self.said.period = *period;
                self.expect_word(step);
            }
            Word::Extend(time) => self.extend(*time, step),
            Word::Leaves | Word::Hopeless(_) => {}
        }
    }

    /// The time within which it has to say that it is well begins, if it is one of those.
    pub(super) fn expect_word(&mut self, step: &Step<'_>) {
        let is_watched = self.state.is_in_service() && !self.said.hangs;
        self.said.due = self.said.period.filter(|_| is_watched).map(|period| step.after(period));
    }

    /// Has it been silent for too long?
    pub(super) fn listen(&mut self, step: &mut Step<'_>) {
        if let (Some(due), Some(period)) = (self.said.due, self.said.period)
            && step.is_due(due)
        {
            self.bark(format!("it has not said WATCHDOG=1 for {period:?}"), step);
        }
    }

    /// It leaves by its own will, by the usual way out; false when it was not in service.
    pub(in crate::lifecycle) fn bid_farewell(&mut self, step: &mut Step<'_>) -> bool {
        let is_meant = self.state.is_in_service();
        if is_meant {
            let has_served = if self.state == State::Serving {
                step.now.saturating_duration_since(self.since)
            } else {
                Duration::ZERO
            };
            self.said.farewell = Some(has_served);
            self.leave(step);
        }
        is_meant
    }

    /// What it means for its slot that it goes.
    pub(in crate::lifecycle) fn departure(&self) -> Failure {
        let sentence = format!("worker {} said that it stops", self.id);
        Failure { serial: self.serial, reason: Reason::Left, sentence, served: self.said.farewell, code: None }
    }

    /// It will not come to serve: nobody waits for that any longer. `None` when nobody did.
    pub(in crate::lifecycle) fn despair(&mut self, why: &str, step: &mut Step<'_>) -> Option<Failure> {
        if !(matches!(
            self.state,
            State::Starting { .. } | State::Probing { .. } | State::Ready | State::Warming { .. }
        )) {
            return None;
        }
        let sentence = format!("worker {} will not be ready: {why}", self.id);
        let failure = Failure { serial: self.serial, reason: Reason::GaveUp, sentence, served: None, code: None };
        self.lateness = Some(failure.clone());
        self.leave(step);
        Some(failure)
    }

    /// Has it fallen silent, and had its time for a dump?
    pub(in crate::lifecycle) fn is_given_up(&self) -> bool {
        self.said.hangs && matches!(self.state, State::Unready { fate: Fate::Sealed { .. }, .. })
    }

    /// Until when it may take to be ready, if it has asked for more time.
    pub(in crate::lifecycle) fn stretched(&self) -> Option<Instant> {
        match self.state {
            State::Starting { until, .. } | State::Probing { until, .. } if !self.said.extended.is_zero() => {
                Some(until)
            }
            _ => None,
        }
    }

    /// It is found to hang: it is asked what it does, and replaced, and gets no requests unless most others hang too.
    fn bark(&mut self, complaint: String, step: &mut Step<'_>) {
        if !self.state.is_in_service() || self.said.hangs {
            return;
        }
        self.said = Said { hangs: true, due: None, ..self.said };
        self.complaint = Some(complaint);
        // No answer to a probe counts from here on.
        let was_dumped = self.vigil.take().is_none_or(|vigil| vigil.dumped);
        let dumps = !was_dumped && self.plan.liveness.is_some_and(|liveness| liveness.dumps);
        let (gate, fate) = match self.state {
            State::Unready { gate, fate } => (gate, Some(fate)),
            _ => (Gate::Open, None),
        };
        let fate = match fate {
            Some(fate @ Fate::Dumping(_)) => fate,
            // Whyever it was to be replaced: now it hangs.
            Some(Fate::Sealed { .. }) => Fate::Sealed { hangs: true },
            _ if dumps => {
                step.push(Action::Dump { serial: self.serial });
                Fate::Dumping(step.after(DUMP_TIME))
            }
            _ => {
                self.verdict = Some(Verdict::Silent);
                Fate::Sealed { hangs: true }
            }
        };
        // (Serving | Unready) => Unready
        self.enter(State::Unready { gate, fate }, step);
    }

    /// As `sd_notify(3)` has it: what it is at ends no earlier than so long from now, and no earlier than it would have.
    fn extend(&mut self, time: Duration, step: &Step<'_>) {
        let wanted = step.after(time);
        if let Some(due) = &mut self.said.due {
            *due = wanted.min(after(*due, MOST_EXTENSION)).max(*due);
        }
        let (State::Starting { until, .. }
        | State::Probing { until, .. }
        | State::Draining { until }
        | State::Stopping { until }) = &mut self.state
        else {
            return;
        };
        let more = wanted.saturating_duration_since(*until).min(MOST_EXTENSION.saturating_sub(self.said.extended));
        *until = after(*until, more);
        self.said.extended += more;
    }
}
