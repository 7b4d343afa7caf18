//! Whether a worker that serves goes on answering: when to ask it, and what its answers come to.
//!
//! Pure. It does not know what is asked, nor where requests go: the worker's state follows from what is said here.
//! Invariants: at most one question is on its way; an answer counts only in a row with others of its kind.
//!
//! What comes of being unready:
//!
//! ```text
//!            oldest request too old, a dump is wanted        after a moment
//!   Waits{until} ─────────────────────────────────► Dumping{until} ───────► Sealed: it is to be replaced
//!      └──────── unready for too long, or hung and no dump is wanted ─────────►┘
//! ```

use std::time::{Duration, Instant};

use super::Version;
use super::recycle::RecycleReason;
use super::state::Turn;

/// Time for a worker to write what it was asked for before it is replaced.
pub(super) const DUMP_TIME: Duration = Duration::from_secs(2);

/// How workers that serve are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// From one answer to the next question. The first question comes at a random part of it, so that those of many
    /// workers are spread out.
    pub interval: Duration,
    /// Failures in a row that make a worker unready; 0 counts as 1.
    pub failures: u32,
    /// Successes in a row that let it serve again; 0 counts as 1.
    pub successes: u32,
    /// Unready for so long, it is replaced; `None`: never for that.
    pub replace_after: Option<Duration>,
    /// An unready worker that leaves a request without a word for so long is hung, and replaced; `None`: no such thing.
    pub hung_after: Option<Duration>,
    /// A hung worker is asked to write down what it does, once.
    pub dumps: bool,
}

/// The watch over one worker, for as long as it serves or could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vigil {
    pub(super) turn: Turn,
    /// Answers in a row, up to the latest, that speak against the state that it is in.
    pub(super) against: u32,
    /// It was asked for a dump.
    pub(super) dumped: bool,
}

/// How proxies have an unready worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Open all the same: too many are unready.
    Open,
    /// Closed.
    Closed(Closed),
}

/// An endpoint that is published closed while its worker stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// In which it was closed.
    pub(super) version: Version,
    /// All proxies act on that.
    pub(super) acknowledged: bool,
    /// No exchange is in flight.
    pub(super) idle: bool,
}

impl Closed {
    pub(super) fn since(version: Version) -> Self {
        Self { version, acknowledged: false, idle: false }
    }

    /// All proxies act on `version` or a later one.
    pub(super) fn acknowledge(&mut self, version: Version) {
        self.acknowledged |= self.version <= version;
    }
}

/// What is to become of an unready worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may come round until then; `None`: for ever.
    Waits(Option<Instant>),
    /// It has been asked for a dump, and has time until then.
    Dumping(Instant),
    /// A replacement was asked for. Does it hang? Then nobody waits for what it has begun.
    Sealed { hangs: bool },
}

/// Why a worker is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was unready for too long.
    Unhealthy,
    /// It leaves its probes and a request without a word.
    Hung,
    /// It has not said in time that it is well.
    Silent,
}

impl From<Verdict> for RecycleReason {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Unhealthy => Self::Unhealthy,
            Verdict::Hung => Self::Hung,
            Verdict::Silent => Self::Watchdog,
        }
    }
}

impl Vigil {
    /// A watch whose first question is due then.
    pub(super) fn new(first: Instant) -> Self {
        Self { turn: Turn::Ours(first), against: 0, dumped: false }
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        match self.turn {
            Turn::Ours(at) => Some(at),
            Turn::Theirs => None,
        }
    }

    /// True, once per deadline, when the question is to be asked now.
    pub(super) fn wake(&mut self, now: Instant) -> bool {
        let is_due = self.deadline().is_some_and(|at| at <= now);
        if is_due {
            self.turn = Turn::Theirs;
        }
        is_due
    }

    /// Takes in an answer; the next question is due at `next`. True when it is the last of as many in a row as it takes
    /// to change the state. `None` when nothing was asked.
    pub(super) fn hear(&mut self, speaks_against: bool, needed: u32, next: Instant) -> Option<bool> {
        if self.turn != Turn::Theirs {
            return None;
        }
        self.turn = Turn::Ours(next);
        self.against = if speaks_against { self.against.saturating_add(1) } else { 0 };
        let is_enough = self.against >= needed.max(1);
        if is_enough {
            self.against = 0;
        }
        Some(is_enough)
    }
}

/// Are so many out of order that the probe, or the machine, is the likelier culprit? More than serve, that is more than
/// half; so nobody is ever left without a worker because of probes.
pub(super) fn is_panic(unready: usize, serving: usize) -> bool {
    unready > serving
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_answers_in_a_row_as_needed_turn_it_and_are_counted_anew() {
        let now = Instant::now();
        let mut vigil = Vigil::new(now);
        let mut hear = |against| {
            assert!(vigil.wake(now));
            vigil.hear(against, 3, now)
        };
        let turns = [true, true, false, true, true, true, true].map(|against| hear(against) == Some(true));
        assert_eq!(turns, [false, false, false, false, false, true, false]);
    }

    #[test]
    fn one_question_at_a_time_and_no_answer_without_one() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(5));
        let mut vigil = Vigil::new(later);
        assert_eq!((vigil.deadline(), vigil.wake(now), vigil.hear(true, 1, later)), (Some(later), false, None));
        assert!(vigil.wake(later) && !vigil.wake(later));
        assert_eq!((vigil.deadline(), vigil.hear(true, 0, later)), (None, Some(true)));
        assert_eq!(vigil.hear(true, 1, later), None);
    }

    #[test]
    fn more_than_half_is_a_panic() {
        let panics = |unready| (0..=4).filter(move |serving| is_panic(unready, *serving)).collect::<Vec<_>>();
        assert_eq!([0, 1, 2, 3].map(panics), [vec![], vec![0], vec![0, 1], vec![0, 1, 2]]);
    }
}
