//! Planned replacements of workers: what for, how many at once, how often it was done.
//!
//! Pure values and the arithmetic of them; `place::relay` makes the moves. Invariant: whatever is drawn, no worker
//! grows older than its maximum before its replacement is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::report::named;
use super::todo::after;

named! {
    /// Why a worker that serves is to be replaced.
    RecycleReason {
        /// It has lived for as long as it may.
        MaxAge = "max-age",
        /// It has answered as many requests as it may.
        MaxRequests = "max-requests",
        /// It needs too much memory.
        Memory = "memory",
        /// It is time for all of them.
        Schedule = "schedule",
        /// Its files have changed.
        Watch = "watch",
        /// It fails its probes.
        Unhealthy = "unhealthy",
        /// It does not come to an end with a request.
        Hung = "hung",
        /// It has not said in time that it is well, or has said that it is not.
        Watchdog = "watchdog",
        /// Somebody wants it so.
        Asked = "asked",
    }
}

/// When a worker has had its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recycling {
    /// From the order to start it to the wish to replace it; `None`: it may grow as old as it likes.
    pub max_age: Option<Duration>,
    /// From its first exchange; `None`: it may finish as many as it likes.
    pub max_exchanges: Option<u32>,
    /// The maximum of each worker is drawn anew and up to so many hundredths smaller, so that they do not coincide.
    pub jitter: u32,
}

impl Recycling {
    /// What a worker is given that is started now.
    pub(super) fn term(&self, now: Instant, mut dice: impl FnMut() -> f64) -> Term {
        Term { expires: self.age(&mut dice).map(|age| after(now, age)), quota: self.exchanges(dice) }
    }

    /// The age that one worker may reach, where `dice` answers with a number from 0 to 1.
    fn age(&self, dice: impl FnOnce() -> f64) -> Option<Duration> {
        self.max_age.map(|most| most.mul_f64(self.share(dice())))
    }

    /// The exchanges that one worker may finish.
    fn exchanges(&self, dice: impl FnOnce() -> f64) -> Option<f64> {
        self.max_exchanges.map(|most| f64::from(most) * self.share(dice()))
    }

    fn share(&self, dice: f64) -> f64 {
        1.0 - f64::from(self.jitter.min(100)) / 100.0 * dice.clamp(0.0, 1.0)
    }
}

/// What one worker is given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Term {
    /// When it will have lived for as long as it may.
    pub(super) expires: Option<Instant>,
    /// Exchanges that it may finish.
    pub(super) quota: Option<f64>,
}

/// Slots of an app of this size that may be busy with a planned replacement at any one time.
pub(super) fn permits(workers: usize) -> usize {
    (workers / 10).max(1)
}

/// How many workers were replaced as planned, by what for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<RecycleReason, u64>", into = "BTreeMap<RecycleReason, u64>")]
pub struct Recycles([u64; RecycleReason::ALL.len()]);

impl From<BTreeMap<RecycleReason, u64>> for Recycles {
    fn from(counts: BTreeMap<RecycleReason, u64>) -> Self {
        let mut recycles = Self::default();
        for (reason, count) in counts {
            recycles.0[reason as usize] = count;
        }
        recycles
    }
}

impl From<Recycles> for BTreeMap<RecycleReason, u64> {
    fn from(recycles: Recycles) -> Self {
        recycles.by_reason().filter(|(_, count)| *count > 0).collect()
    }
}

impl Recycles {
    /// Each count with its reason.
    pub fn by_reason(&self) -> impl Iterator<Item = (RecycleReason, u64)> + use<> {
        RecycleReason::ALL.iter().copied().zip(self.0)
    }

    pub(super) fn count(&mut self, reason: RecycleReason) {
        self.0[reason as usize] += 1;
    }

    #[must_use]
    pub(super) fn plus(self, more: Self) -> Self {
        Self(std::array::from_fn(|index| self.0[index] + more.0[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tenth_of_the_workers_may_be_replaced_at_once_and_always_one() {
        assert_eq!([1, 2, 9, 10, 19, 20, 128].map(permits), [1, 1, 1, 1, 1, 2, 12]);
    }

    #[test]
    fn recycles_are_counted_by_reason() {
        let mut recycles = Recycles::default();
        for reason in RecycleReason::ALL {
            recycles.count(*reason);
        }
        recycles.count(RecycleReason::Memory);
        let counts: Vec<_> = recycles.plus(Recycles::default()).by_reason().filter(|(_, count)| *count != 1).collect();
        assert_eq!(counts, [(RecycleReason::Memory, 2)]);
    }

    proptest! {
        #[test]
        fn the_drawn_age_is_within_the_jitter(seconds in 1..10_000_000_u64, jitter in 0..=100_u32, dice in 0.0..1.0_f64) {
            let most = Duration::from_secs(seconds);
            let age = Recycling { max_age: Some(most), jitter, ..Recycling::default() }.age(|| dice).unwrap();
            let least = most.mul_f64(1.0 - f64::from(jitter) / 100.0).saturating_sub(Duration::from_millis(1));
            prop_assert!(least <= age && age <= most);
            prop_assert_eq!(Recycling { jitter, ..Recycling::default() }.age(|| panic!("nothing to draw")), None);
        }
    }
}
