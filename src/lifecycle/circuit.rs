//! How often the workers of one generation have ended by themselves of late, and whether that was too often.
//!
//! Counts and remembers; who is started when is the generation's to say. Invariants: an end counts for exactly one
//! period; what is kept is bounded by the intensity.
//!
//! ```text
//!                 one end too many                        another end
//!   Closed ─────────────────────────► Looping{since,next} ────────────┐
//!     ▲  └─ the same, to give up ─┐       │          ▲                │ next = now + retry
//!     │                           ▼       │          └────────────────┘
//!     │                        GivenUp    │ a worker has served for `reset`
//!     └───────────────────────────────────┘
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use super::restart::{OnLoop, Restart};
use super::todo::after;

#[derive(Clone, Debug)]
pub(super) struct Circuit {
    pub(super) mode: Mode,
    /// Of the unexpected ends within the period, oldest first.
    pub(super) ends: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Whoever ends is started again.
    Closed,
    /// One worker is tried at a time, the next one not before `next`.
    Looping { since: Instant, next: Instant },
    /// Nobody is started any more.
    GivenUp,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self { mode: Mode::Closed, ends: VecDeque::new() }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.mode == Mode::Closed
    }

    /// A worker has ended that we had not asked to; true when that was one too many.
    pub(super) fn count(&mut self, restart: &Restart, now: Instant) -> bool {
        if !self.is_closed() {
            return false;
        }
        self.ends.retain(|end| now.saturating_duration_since(*end) < restart.period);
        self.ends.push_back(now);
        if self.ends.len() <= restart.intensity as usize {
            return false;
        }
        // Closed => (Looping | GivenUp)
        self.ends.clear();
        self.mode = match restart.on_loop {
            OnLoop::Retry(wait) => Mode::Looping { since: now, next: after(now, wait) },
            OnLoop::GiveUp => Mode::GivenUp,
        };
        true
    }

    /// Whoever was tried has failed, or another one has: the next is not to be tried before a while.
    pub(super) fn put_off(&mut self, restart: &Restart, now: Instant) {
        if let (Mode::Looping { next, .. }, OnLoop::Retry(wait)) = (&mut self.mode, restart.on_loop) {
            *next = after(now, wait);
        }
    }

    /// A worker has proved that it can be done; ends are counted anew.
    pub(super) fn close(&mut self) {
        // Looping => Closed
        self.mode = Mode::Closed;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lifecycle::tests::plan;

    const SECOND: Duration = Duration::from_secs(1);

    fn restart(on_loop: OnLoop) -> Restart {
        Restart { intensity: 2, period: 10 * SECOND, on_loop, ..plan(1).restart }
    }

    #[test]
    fn one_end_more_than_the_intensity_opens_it() {
        let (now, restart) = (Instant::now(), restart(OnLoop::Retry(3 * SECOND)));
        let mut circuit = Circuit::new();
        assert!(!circuit.count(&restart, now) && !circuit.count(&restart, now + SECOND) && circuit.is_closed());
        let since = now + 9 * SECOND;
        assert!(circuit.count(&restart, since));
        assert_eq!(circuit.mode, Mode::Looping { since, next: since + 3 * SECOND });
        assert!(!circuit.count(&restart, since), "it is open already");
        circuit.put_off(&restart, since + SECOND);
        assert_eq!(circuit.mode, Mode::Looping { since, next: since + 4 * SECOND });
        circuit.close();
        assert!(!circuit.count(&restart, since) && circuit.is_closed(), "counted anew");
    }

    #[test]
    fn an_end_counts_for_one_period_and_no_longer() {
        let (now, restart) = (Instant::now(), restart(OnLoop::GiveUp));
        let mut circuit = Circuit::new();
        for seconds in [0, 5, 10, 15, 20, 25] {
            assert!(!circuit.count(&restart, now + seconds * SECOND), "two in any ten seconds");
            assert!(circuit.ends.len() <= 2);
        }
        assert!(circuit.count(&restart, now + 29 * SECOND));
        assert_eq!(circuit.mode, Mode::GivenUp);
        circuit.put_off(&restart, now + 40 * SECOND);
        assert_eq!(circuit.mode, Mode::GivenUp);
    }
}
