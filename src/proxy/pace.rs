//! How slowly a client may send the body of a request.
//!
//! Pure, without a clock. One rule for silence and for trickles: a body may keep us waiting for a while, each byte that
//! comes buys some of that time back, and nothing buys more than all of it. So a client that was fast is not forgiven
//! more silence than any other, and one that drips runs out of time. Invariant: patience never grows without bytes.

use std::time::Duration;

/// The patience that is left with one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    most: Duration,
    /// Bytes that buy back a second; `None`: any byte buys back all of it.
    rate: Option<u64>,
    left: Duration,
}

impl Pace {
    /// Full patience: `most`, and `rate` bytes a second in the long run.
    pub(crate) const fn new(most: Duration, rate: Option<u64>) -> Self {
        Self { most, rate, left: most }
    }

    /// How long the next byte may be waited for.
    pub(crate) const fn left(&self) -> Duration {
        self.left
    }

    /// So many bytes have come after such a wait.
    pub(crate) fn came(&mut self, bytes: u64, waited: Duration) {
        let bought = match self.rate {
            Some(rate) => Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1)),
            None if bytes > 0 => self.most,
            None => Duration::ZERO,
        };
        self.left = self.left.saturating_sub(waited).saturating_add(bought).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace() -> Pace {
        Pace::new(30 * SECOND, Some(256))
    }

    #[test]
    fn silence_is_borne_for_as_long_as_is_said() {
        assert_eq!(pace().left(), 30 * SECOND);
        assert_eq!(Pace::new(SECOND, None).left(), SECOND);
    }

    #[test]
    fn a_drip_runs_out_of_time_and_the_least_rate_does_not() {
        let turns = |bytes: u64| {
            let mut pace = pace();
            (0..1000).take_while(|_| pace.left() >= SECOND && (pace.came(bytes, SECOND), true).1).count()
        };
        assert_eq!(turns(1), 30);
        assert_eq!(turns(128), 59);
        assert_eq!(turns(256), 1000);
    }

    #[test]
    fn who_was_fast_has_no_more_time_than_others() {
        let mut pace = pace();
        pace.came(1 << 40, Duration::ZERO);
        assert_eq!(pace.left(), 30 * SECOND);
        pace.came(1, 29 * SECOND);
        assert!(pace.left() < SECOND + SECOND / 200);
    }

    #[test]
    fn without_a_rate_any_byte_will_do_but_none_will_not() {
        let mut pace = Pace::new(10 * SECOND, None);
        pace.came(1, 9 * SECOND);
        assert_eq!(pace.left(), 10 * SECOND);
        pace.came(0, 9 * SECOND);
        assert_eq!(pace.left(), SECOND);
    }

    proptest! {
        #[test]
        fn nobody_is_waited_for_longer_than_is_paid_for(steps in prop::collection::vec((0_u64..10_000, 0_u64..5_000), 0..50)) {
            let mut pace = pace();
            let (mut bytes, mut waited) = (0, Duration::ZERO);
            for (count, millis) in steps {
                let wait = Duration::from_millis(millis).min(pace.left());
                pace.came(count, wait);
                bytes += count;
                waited += wait;
                prop_assert!(waited <= 30 * SECOND + Duration::from_nanos(bytes * 1_000_000_000 / 256));
                prop_assert!(pace.left() <= 30 * SECOND);
            }
        }
    }
}
