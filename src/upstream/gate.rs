//! The gate of one endpoint: who may go in, how many are inside, and who was the last one out.
//!
//! It knows neither endpoints nor requests. `tests/gate.rs` walks it under every interleaving, with loom's atomics.
//!
//! Whether the gate is closed and how many are inside share one word. Going in therefore announces and checks in one
//! step: there is no instant at which somebody is counted who may not be inside, and so nothing to undo, no limit
//! overshot, and the count of a closed gate only falls. Hence the invariants: after [`Gate::close`] nobody goes in, and
//! each closing has exactly one [`Left::now_idle`].

use std::num::NonZeroU32;

use super::atomic::{AtomicU32, AtomicU64, SeqCst};

/// Set while the gate is closed. Larger than any limit, so that "closed" and "full" are one comparison.
const CLOSED: u64 = 1 << 63;

/// Stands for "no limit" in the limit's word.
const UNLIMITED: u32 = u32::MAX;

/// Counts the exchanges on one endpoint and keeps new ones out once it is closed or full.
///
/// All operations are sequentially consistent: whoever sees [`Gate::in_flight`] at 0 after [`Gate::close`] knows that it
/// stays there, and whoever leaves and then looks for waiters cannot miss one who queued and then found the gate full.
#[derive(Debug)]
pub(super) struct Gate {
    /// [`CLOSED`] or not, plus the number inside.
    state: AtomicU64,
    limit: AtomicU32,
}

/// What a step out of the gate, or its closing, has brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Left {
    /// The gate is closed and this very step made it empty. Said once per closing.
    pub(super) now_idle: bool,
}

impl Gate {
    /// An open gate with nobody inside.
    #[must_use]
    pub(super) fn new(limit: Option<NonZeroU32>) -> Self {
        Self { state: AtomicU64::new(0), limit: AtomicU32::new(limit_word(limit)) }
    }

    /// Goes in, unless the gate is closed or full. Whoever went in must [`leave`](Gate::leave) once.
    #[must_use]
    pub(super) fn try_enter(&self) -> bool {
        let limit = u64::from(self.limit.load(SeqCst));
        self.state.fetch_update(SeqCst, SeqCst, |state| (state < limit).then_some(state + 1)).is_ok()
    }

    /// Goes out.
    pub(super) fn leave(&self) -> Left {
        let before = self.state.fetch_sub(1, SeqCst);
        debug_assert_ne!(before & !CLOSED, 0, "left a gate that was not entered");
        Left { now_idle: before == CLOSED + 1 }
    }

    /// Lets nobody in from now on. Closing a closed gate changes nothing.
    pub(super) fn close(&self) -> Left {
        let before = self.state.fetch_or(CLOSED, SeqCst);
        Left { now_idle: before == 0 }
    }

    /// Lets others in again. Opening an open gate changes nothing.
    pub(super) fn open(&self) {
        self.state.fetch_and(!CLOSED, SeqCst);
    }

    /// Sets how many may be inside at once. Those who are inside stay, even if they are more.
    pub(super) fn set_limit(&self, limit: Option<NonZeroU32>) {
        self.limit.store(limit_word(limit), SeqCst);
    }

    /// How many are inside; `None` when nobody more may go in.
    #[must_use]
    pub(super) fn load(&self) -> Option<u32> {
        let state = self.state.load(SeqCst);
        (state < u64::from(self.limit.load(SeqCst))).then_some(state as u32)
    }

    /// May the place of one who is inside go to another, as if that one had left and the other had gone in?
    #[must_use]
    pub(super) fn may_pass_on(&self) -> bool {
        self.state.load(SeqCst) <= u64::from(self.limit.load(SeqCst))
    }

    /// How many are inside.
    #[must_use]
    pub(super) fn in_flight(&self) -> u32 {
        self.state.load(SeqCst) as u32
    }

    /// Does it keep everybody out?
    #[must_use]
    pub(super) fn is_closed(&self) -> bool {
        self.state.load(SeqCst) & CLOSED != 0
    }

    /// Is it closed with nobody inside?
    #[must_use]
    pub(super) fn is_drained(&self) -> bool {
        self.state.load(SeqCst) == CLOSED
    }
}

fn limit_word(limit: Option<NonZeroU32>) -> u32 {
    limit.map_or(UNLIMITED, NonZeroU32::get)
}
