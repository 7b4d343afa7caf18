//! The time as the loop has it.
//!
//! It is that of the runtime, which is the system's, unless a test stops it and lets it jump. What measures on a thread of
//! its own, or limits what comes over a wire, looks at the system's clock itself.

use std::time::{Duration, Instant};

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How long ago it was; nothing if it is still to come.
pub(super) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}

/// Waits for the next deadline, or for ever.
pub(super) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
