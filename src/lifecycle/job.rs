//! A job: a task that runs at its times, and ends. When a run begins, when it has to end, and what became of it.
//!
//! Pure, and beside the machine of its app, which does the running: a run is a generation with one slot, tried again as its
//! restart policy says. Does not know the clock on the wall, nor why its time has come. Invariants: two runs are never on
//! at once; each run is over exactly once, and only when nothing is left of it; no more than one start waits.
//!
//! ```text
//!           due | asked                 ended | timeout | too much memory | replaced
//!   Idle ───────────────► Running{until} ────────────────────────────────────────────► Ending{result,again}
//!    ▲ ▲                       ▲                                                          │ gone
//!    │ └───────────────────────┼── nobody waits ──────────────────────────────────────────┤
//!    │                         └── a start waits ─────────────────────────────────────────┘
//!    └─ gone, though nobody here had asked for that: it was stopped ── Running
//! ```

use std::fmt;
use std::time::{Duration, Instant};

use super::report::named;
use super::todo::after;

named! {
    /// How a run ended.
    RunResult {
        /// With exit code 0, or one that stands for that.
        Succeeded = "succeeded",
        /// It ended otherwise, or never began.
        Failed = "failed",
        /// It had taken too long.
        TimedOut = "timed-out",
        /// Another one was to run in its place.
        Replaced = "replaced",
        /// Its app was stopped.
        Stopped = "stopped",
    }
}

/// How a job is run; each run keeps the terms that it began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub overlap: Overlap,
    /// From its start, with all that is tried again; `None`: it may go on.
    pub timeout: Option<Duration>,
}

/// What becomes of a start whose time comes while a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is left out.
    Skip,
    /// The run is ended, and another one begins.
    Replace,
    /// It waits for the end of the run.
    Queue,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// Its time has come. `is_between`: no process is there just now, for one is to be tried again.
    Due { terms: Terms, is_between: bool },
    /// Somebody wants it to run now.
    Asked(Terms),
    /// Its app is being stopped, and nothing is to follow.
    CalledOff,
    /// Its workers have ended, and none is tried again; `failure`: why that was no success.
    Ended { failure: Option<String> },
    /// The run needs more memory than it may have.
    Exceeded,
    /// Nothing is left of the run.
    Gone,
    /// The deadline has passed.
    Wake,
}

/// What is to be done with the app's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobAction {
    /// Start it.
    Begin,
    /// Stop it; answered by [`JobEvent::Gone`].
    End,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub began: Instant,
    pub ended: Instant,
    pub result: RunResult,
    /// What went wrong, as a sentence without a full stop.
    pub reason: Option<String>,
}

/// The machine of one job.
#[derive(Clone, Debug, Default)]
pub struct Job {
    state: State,
    /// Runs that have begun.
    begun: u64,
    /// Starts that were left out.
    missed: u64,
    last: Option<Run>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Running {
        began: Instant,
        until: Option<Instant>,
        again: Option<Terms>,
    },
    Ending {
        began: Instant,
        result: RunResult,
        reason: Option<String>,
        again: Option<Terms>,
    },
}

impl Job {
    /// Takes in one event; gives what is to be done, if anything. Any event may come at any time.
    #[must_use]
    pub fn handle(&mut self, now: Instant, event: JobEvent) -> Option<JobAction> {
        match event {
            JobEvent::Due { terms, is_between } => self.due(now, terms, is_between),
            JobEvent::Asked(terms) => self.asked(now, terms),
            JobEvent::CalledOff => self.call_off(),
            JobEvent::Ended { failure: None } => self.end(RunResult::Succeeded, None, None),
            JobEvent::Ended { failure } => self.end(RunResult::Failed, failure, None),
            JobEvent::Exceeded => {
                let reason = "it needed more memory than it may have".to_owned();
                self.end(RunResult::Failed, Some(reason), None)
            }
            JobEvent::Gone => self.gone(now),
            JobEvent::Wake => {
                let is_due = self.deadline().is_some_and(|until| until <= now);
                let reason = || "it had not ended within `run_timeout`".to_owned();
                is_due.then(|| self.end(RunResult::TimedOut, Some(reason()), None)).flatten()
            }
        }
    }

    /// When [`JobEvent::Wake`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Running { until, .. } => until,
            State::Idle | State::Ending { .. } => None,
        }
    }

    /// Since when a run is on.
    #[must_use]
    pub fn running_since(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Running { began, .. } | State::Ending { began, .. } => Some(began),
        }
    }

    /// Is a run on that nobody has asked to end?
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Runs that have begun.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Starts that were left out because a run went on.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The run that was over last.
    #[must_use]
    pub fn last(&self) -> Option<&Run> {
        self.last.as_ref()
    }

    fn due(&mut self, now: Instant, terms: Terms, is_between: bool) -> Option<JobAction> {
        match &mut self.state {
            // Idle => Running
            State::Idle => Some(self.begin(now, terms)),
            // Running => Ending: what is to be tried again is not tried any more, its time has come anyway
            State::Running { .. } if is_between => {
                let reason = "it had failed, and its next time came before it was tried again".to_owned();
                self.end(RunResult::Failed, Some(reason), Some(terms))
            }
            // Running => Ending
            State::Running { .. } if terms.overlap == Overlap::Replace => {
                self.end(RunResult::Replaced, None, Some(terms))
            }
            State::Running { again, .. } | State::Ending { again, .. } => {
                if terms.overlap == Overlap::Skip || again.is_some() {
                    self.missed += 1;
                } else {
                    *again = Some(terms);
                }
                None
            }
        }
    }

    fn asked(&mut self, now: Instant, terms: Terms) -> Option<JobAction> {
        match &mut self.state {
            // Idle => Running
            State::Idle => Some(self.begin(now, terms)),
            // Running => Ending
            State::Running { .. } => self.end(RunResult::Replaced, None, Some(terms)),
            State::Ending { again, .. } => {
                *again = Some(terms);
                None
            }
        }
    }

    fn call_off(&mut self) -> Option<JobAction> {
        if let State::Running { again, .. } | State::Ending { again, .. } = &mut self.state {
            *again = None;
        }
        // Running => Ending
        self.end(RunResult::Stopped, None, None)
    }

    fn begin(&mut self, now: Instant, terms: Terms) -> JobAction {
        self.begun += 1;
        self.state =
            State::Running { began: now, until: terms.timeout.map(|timeout| after(now, timeout)), again: None };
        JobAction::Begin
    }

    /// No change but in a run that goes on. A start that waits goes on waiting.
    fn end(&mut self, result: RunResult, reason: Option<String>, next: Option<Terms>) -> Option<JobAction> {
        let State::Running { began, again, .. } = self.state else { return None };
        self.state = State::Ending { began, result, reason, again: next.or(again) };
        Some(JobAction::End)
    }

    fn gone(&mut self, now: Instant) -> Option<JobAction> {
        let (began, result, reason, again) = match std::mem::take(&mut self.state) {
            State::Idle => return None,
            // Running => Idle
            State::Running { began, .. } => (began, RunResult::Stopped, None, None),
            // Ending => (Idle | Running)
            State::Ending { began, result, reason, again } => (began, result, reason, again),
        };
        self.last = Some(Run { began, ended: now, result, reason });
        again.map(|terms| self.begin(now, terms))
    }
}

#[cfg(test)]
mod tests;
