//! How an endpoint goes: first it leaves, and exchanges that last are to end; then it is gone, and whatever is left ends.
//!
//! It does not know how an exchange is ended. Invariant: who has begun to leave does not come back.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// What becomes of exchanges that last when their endpoint leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// They end by themselves, or with the endpoint.
    Wait,
    /// Each is ended in a way that its client understands, at a random moment within this time.
    Notify { spread: Duration },
    /// They end at once.
    Cut,
}

/// The way of one endpoint out.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) streams: Streams,
    pub(super) leaving: CancellationToken,
    pub(super) gone: CancellationToken,
}

impl Departure {
    pub(super) fn new(streams: Streams) -> Self {
        Self { streams, leaving: CancellationToken::new(), gone: CancellationToken::new() }
    }
}
