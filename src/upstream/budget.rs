//! How many retries an app may have: a share of its requests, so that retries never multiply an overload.
//!
//! The clock is given. It does not know what is retried, nor why. Invariant: the retries of any [`WINDOW`] seconds are at
//! most a [`SHARE`]th of its requests, but for [`FLOOR`] in each second, which are always granted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How far back requests and retries count, in seconds, the current one included.
const WINDOW: usize = 10;
/// One retry to so many requests: 20 %.
const SHARE: u32 = 5;
/// Retries granted in each second whatever the requests, so that a quiet app has some at all.
const FLOOR: u32 = 3;

/// Grants retries in proportion to requests, over the last ten seconds.
#[derive(Debug)]
pub struct Budget {
    began: Instant,
    seconds: Mutex<[Second; WINDOW]>,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Counted from the budget's beginning.
    number: u64,
    requests: u32,
    retries: u32,
}

impl Budget {
    /// A budget that has seen no request.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { began: now, seconds: Mutex::new([Second::default(); WINDOW]) }
    }

    /// Counts a request (not its retries).
    pub fn count(&self, now: Instant) {
        let number = self.number(now);
        let mut seconds = self.lock();
        let current = current(&mut seconds, number);
        current.requests = current.requests.saturating_add(1);
    }

    /// Grants a retry, and counts it, if the budget allows one.
    #[must_use]
    pub fn try_retry(&self, now: Instant) -> bool {
        let number = self.number(now);
        let mut seconds = self.lock();
        let in_this_second = current(&mut seconds, number).retries;
        let recent = || seconds.iter().filter(|second| number - second.number < WINDOW as u64);
        let requests: u32 = recent().map(|second| second.requests).fold(0, u32::saturating_add);
        let retries: u32 = recent().map(|second| second.retries).fold(0, u32::saturating_add);
        let granted = in_this_second < FLOOR || retries < requests / SHARE;
        if granted {
            current(&mut seconds, number).retries += 1;
        }
        granted
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs()
    }

    fn lock(&self) -> MutexGuard<'_, [Second; WINDOW]> {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of this second, wiped if it was an earlier one's.
fn current(seconds: &mut [Second; WINDOW], number: u64) -> &mut Second {
    let second = &mut seconds[(number % WINDOW as u64) as usize];
    if second.number < number {
        *second = Second { number, requests: 0, retries: 0 };
    }
    second
}
