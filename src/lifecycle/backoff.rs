//! How long to wait before a failed worker is started again.
//!
//! Exponential with full jitter: a random part of `min · 2^n`, never more than `max`. It does not know why a worker
//! failed, nor who counts. Invariant: no number of failures and no dice make the wait overflow or exceed `max`.

use std::time::Duration;

/// The bounds of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first wait.
    pub min: Duration,
    /// Upper bound of any wait.
    pub max: Duration,
    /// A worker that has served for so long starts again at once, and its failures count from zero.
    pub reset: Duration,
}

impl Backoff {
    /// The wait after `failures` earlier ones in a row, where `dice` is a number from 0 to 1.
    #[must_use]
    pub fn delay(&self, failures: u32, dice: f64) -> Duration {
        let share = if dice.is_nan() { 1.0 } else { dice.clamp(0.0, 1.0) };
        self.bound(failures).mul_f64(share)
    }

    fn bound(&self, failures: u32) -> Duration {
        self.min.saturating_mul(2_u32.saturating_pow(failures)).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff =
        Backoff { min: Duration::from_millis(100), max: Duration::from_secs(30), reset: Duration::from_mins(1) };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds: Vec<u128> = (0..11).map(|failures| BACKOFF.bound(failures).as_millis()).collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn two_hundred_failures_do_not_overflow() {
        assert_eq!(BACKOFF.delay(200, 1.0), BACKOFF.max);
        let widest = Backoff { min: Duration::MAX, max: Duration::MAX, ..BACKOFF };
        assert_eq!(widest.bound(u32::MAX), Duration::MAX);
    }

    #[test]
    fn the_jitter_is_full() {
        assert_eq!(BACKOFF.delay(3, 0.0), Duration::ZERO);
        assert_eq!(BACKOFF.delay(3, 0.5), Duration::from_millis(400));
        assert_eq!(BACKOFF.delay(3, 1.0), Duration::from_millis(800));
    }

    #[test]
    fn loaded_dice_do_no_harm() {
        assert_eq!(BACKOFF.delay(3, f64::NAN), Duration::from_millis(800));
        assert_eq!(BACKOFF.delay(3, -7.0), Duration::ZERO);
        assert_eq!(BACKOFF.delay(3, f64::INFINITY), Duration::from_millis(800));
    }

    proptest! {
        #[test]
        fn every_delay_is_within_its_bound(failures in 0..400_u32, dice in 0.0..1.0_f64) {
            let delay = BACKOFF.delay(failures, dice);
            prop_assert!(delay <= BACKOFF.bound(failures));
            prop_assert!(BACKOFF.bound(failures) <= BACKOFF.max);
        }
    }
}
