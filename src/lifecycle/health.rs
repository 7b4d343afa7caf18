//! Whether a server that something else runs may be claimed: rise on one success, fall after several failures.
//!
//! Knows neither address nor probe. The driver calls [`Health::wake`] when [`Health::deadline`] has passed, probes,
//! and hands the outcome to [`Health::probed`]; a probe has its own timeout, so an outcome always comes. Invariants:
//! one probe at a time; nothing is open that never answered.

use std::time::{Duration, Instant};

use super::todo::after;

/// The health of one fixed upstream server.
///
/// ```text
///             success                failure (failures - 1 times)
///   Closed ───────────► Open{0} ─────────────► Open{n}
///      ▲                    ◄──── success ───────┘ │
///      └─────────────── failure ───────────────────┘
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    interval: Duration,
    failures: u32,
    gate: Gate,
    /// When to probe next; `None` while a probe is on its way.
    next: Option<Instant>,
    last_failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Closed,
    /// With so many failures since the last success.
    Open {
        failed: u32,
    },
}

impl Health {
    /// Closed, and due for its first probe at once. `failures` in a row close it (0 counts as 1); `interval` is the
    /// time from one outcome to the next probe.
    #[must_use]
    pub fn new(now: Instant, interval: Duration, failures: u32) -> Self {
        Self { interval, failures: failures.max(1), gate: Gate::Closed, next: Some(now), last_failure: None }
    }

    /// May it be claimed?
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.gate, Gate::Open { .. })
    }

    /// When the next probe is due; `None` while one is on its way.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// What the latest failed probe said, kept after a success.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// True, once per deadline, when a probe is to be made now.
    #[must_use]
    pub fn wake(&mut self, now: Instant) -> bool {
        self.next.take_if(|next| *next <= now).is_some()
    }

    /// Takes in what a probe found; true when the server has thereby opened or closed.
    pub fn probed(&mut self, now: Instant, outcome: Result<(), String>) -> bool {
        let before = self.is_open();
        self.next = Some(after(now, self.interval));
        self.gate = match (outcome, self.gate) {
            // (Closed | Open) => Open
            (Ok(()), _) => Gate::Open { failed: 0 },
            (Err(reason), gate) => {
                self.last_failure = Some(reason);
                self.fall(gate)
            }
        };
        self.is_open() != before
    }

    fn fall(&self, gate: Gate) -> Gate {
        match gate {
            // Open => (Open | Closed)
            Gate::Open { failed } if failed + 1 < self.failures => Gate::Open { failed: failed + 1 },
            Gate::Open { .. } | Gate::Closed => Gate::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn failed() -> Result<(), String> {
        Err("connection refused".into())
    }

    #[test]
    fn it_is_closed_until_the_first_success() {
        let now = Instant::now();
        let mut health = Health::new(now, INTERVAL, 3);
        assert!(!health.is_open());
        assert!(!health.probed(now, failed()));
        assert_eq!(health.last_failure(), Some("connection refused"));
        assert!(health.probed(now, Ok(())));
        assert!(health.is_open());
    }

    #[test]
    fn failures_in_a_row_close_it_and_one_success_opens_it() {
        let now = Instant::now();
        let mut health = Health::new(now, INTERVAL, 3);
        health.probed(now, Ok(()));
        for outcome in [failed(), failed(), Ok(()), failed(), failed()] {
            assert!(!health.probed(now, outcome), "two failures in a row change nothing");
        }
        assert!(health.probed(now, failed()));
        assert!(!health.is_open());
        assert!(health.probed(now, Ok(())));
        assert!(health.is_open());
    }

    #[test]
    fn one_probe_at_a_time_and_the_next_an_interval_after_the_outcome() {
        let now = Instant::now();
        let mut health = Health::new(now, INTERVAL, 1);
        assert_eq!(health.deadline(), Some(now));
        assert!(health.wake(now));
        assert!(!health.wake(now), "asked once per deadline");
        assert_eq!(health.deadline(), None);
        let later = now + Duration::from_secs(2);
        health.probed(later, Ok(()));
        assert_eq!(health.deadline(), Some(later + INTERVAL));
        assert!(!health.wake(later));
    }

    #[test]
    fn an_endless_interval_does_not_overflow() {
        let now = Instant::now();
        let mut health = Health::new(now, Duration::MAX, 0);
        health.probed(now, Ok(()));
        assert!(health.deadline().is_some_and(|next| next > now));
        assert!(health.probed(now, failed()), "no failures allowed counts as one");
    }
}
