//! When changes that come in a row have come to rest.
//!
//! Pure. Invariant: a file that never rests puts nothing off for ever.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A burst is told after so many times the pause that ends it, though it goes on.
const MOST_PAUSES: u32 = 10;

/// Changes that are still to be told of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Burst {
    first: Instant,
    last: Instant,
    /// Which came first.
    pub(super) path: PathBuf,
}

impl Burst {
    pub(super) fn begin(path: PathBuf, now: Instant) -> Self {
        Self { first: now, last: now, path }
    }

    /// There was another change.
    pub(super) fn go_on(&mut self, now: Instant) {
        self.last = now;
    }

    /// When it is to be told.
    pub(super) fn due(&self, pause: Duration) -> Instant {
        (self.last + pause).min(self.first + pause * MOST_PAUSES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_puts_it_off_but_not_for_ever() {
        let (now, pause) = (Instant::now(), Duration::from_millis(200));
        let at = |millis| now + Duration::from_millis(millis);
        let mut burst = Burst::begin("a".into(), now);
        assert_eq!(burst.due(pause), at(200));
        burst.go_on(at(150));
        assert_eq!(burst.due(pause), at(350));
        burst.go_on(at(1_950));
        assert_eq!(burst.due(pause), at(2_000));
    }
}
