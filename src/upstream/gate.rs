//! The gate of one endpoint: who may go in, how many are inside, and who was the last one out.
//!
//! It knows neither endpoints nor requests. `tests/gate.rs` walks it under every interleaving, with loom's atomics.
//!
//! All that decides is in one word: how many are inside, whether the gate is closed, whether somebody waits. A claim is
//! therefore announced and checked in one step. There is no instant at which somebody is counted who may not be inside,
//! and so nothing to undo, no limit overshot, and the count of a closed gate only falls. Hence the invariants: after
//! [`Gate::close`] nobody goes in; each closing is followed by exactly one [`Left::now_idle`].

use std::num::NonZeroU32;

use super::atomic::{AtomicU32, AtomicU64, SeqCst};

/// Set while the gate is closed. Larger than any limit, so that one comparison tells closed and full.
const CLOSED: u64 = 1 << 63;

/// Set by those who found the gate full and wait for a place.
const WANTED: u64 = 1 << 62;

/// Stands for "no limit" in the limit's word.
const UNLIMITED: u32 = u32::MAX;

/// Counts the exchanges on one endpoint, and keeps new ones out once it is closed or full.
#[derive(Debug)]
pub(super) struct Gate {
    /// The number inside, with [`CLOSED`] and [`WANTED`] added.
    state: AtomicU64,
    limit: AtomicU32,
}

/// What a step out of the gate, or its closing, has brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(super) struct Left {
    /// The gate is closed, and this very step made it empty.
    pub(super) now_idle: bool,
}

impl Gate {
    /// An open gate with nobody inside.
    pub(super) fn new(limit: Option<NonZeroU32>) -> Self {
        Self { state: AtomicU64::new(0), limit: AtomicU32::new(limit_word(limit)) }
    }

    /// Goes in, unless the gate is closed or full. Whoever has gone in must go out once.
    #[must_use]
    pub(super) fn try_enter(&self) -> bool {
        let limit = self.limit();
        let enter = |state| (state & !WANTED < limit).then_some(state + 1);
        self.state.fetch_update(SeqCst, SeqCst, enter).is_ok()
    }

    /// Goes in, or if the gate is full leaves word that a place is wanted, in one step.
    #[must_use]
    pub(super) fn try_enter_or_want(&self) -> bool {
        let limit = self.limit();
        let enter = |state| match state {
            _ if state & !WANTED < limit => Some(state + 1),
            // Whoever opens a closed gate looks after those who wait.
            _ if state & CLOSED != 0 => None,
            _ => Some(state | WANTED),
        };
        self.state.fetch_update(SeqCst, SeqCst, enter).is_ok_and(|before| before & !WANTED < limit)
    }

    /// Goes out, unless the place is wanted and may be handed on: then `None`, and the caller is inside still.
    pub(super) fn try_leave(&self) -> Option<Left> {
        let limit = self.limit();
        // With more inside than the limit, lowered since, one goes out for nobody.
        let may_hand_on = |state: u64| state & WANTED != 0 && state & !WANTED <= limit;
        let leave = |state| (!may_hand_on(state)).then(|| state - 1);
        let before = self.state.fetch_update(SeqCst, SeqCst, leave).ok()?;
        Some(Left { now_idle: before & !WANTED == CLOSED + 1 })
    }

    /// Takes back that a place is wanted.
    pub(super) fn unwant(&self) {
        self.state.fetch_and(!WANTED, SeqCst);
    }

    /// Lets nobody in from now on. Closing a closed gate changes nothing.
    pub(super) fn close(&self) -> Left {
        let before = self.state.fetch_or(CLOSED, SeqCst);
        Left { now_idle: before & !WANTED == 0 }
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
    pub(super) fn load(&self) -> Option<u32> {
        let state = self.state.load(SeqCst) & !WANTED;
        (state < self.limit()).then_some(state as u32)
    }

    /// How many are inside.
    pub(super) fn in_flight(&self) -> u32 {
        self.state.load(SeqCst) as u32
    }

    /// Does it keep everybody out?
    pub(super) fn is_closed(&self) -> bool {
        self.state.load(SeqCst) & CLOSED != 0
    }

    /// Is it closed with nobody inside? So it stays until it is opened.
    pub(super) fn is_drained(&self) -> bool {
        self.state.load(SeqCst) & !WANTED == CLOSED
    }

    fn limit(&self) -> u64 {
        u64::from(self.limit.load(SeqCst))
    }
}

fn limit_word(limit: Option<NonZeroU32>) -> u32 {
    limit.map_or(UNLIMITED, NonZeroU32::get)
}
