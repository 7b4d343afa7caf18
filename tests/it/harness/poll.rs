//! Waiting for what another process will do.
//!
//! Where there is an event to wait on (a pidfd, a socket, a pipe) the harness waits on that. The state of somebody else's
//! process has none; [`until`] looks again and again, at short intervals, up to a limit.

use std::time::{Duration, Instant};

/// Longest wait for anything that a healthy machine does at once, with room for a busy one.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(3);

/// Looks until there is something to see; panics with `what` when there is nothing within `limit`.
#[track_caller]
pub(crate) fn until<T>(limit: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(limit, look).unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// Looks until there is something to see, or `limit` has passed.
pub(crate) fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::park_timeout(PAUSE);
    }
}
