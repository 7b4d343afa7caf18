//! The line of those who wait for a place, and the one way in which a place is given up while others may wait for it.
//!
//! It does not know what is waited for, nor how a waiter is told. `tests/gate.rs` walks it together with the gate under
//! every interleaving, with loom's atomics.
//!
//! Invariant (no lost wake-up): a waiter first joins and then looks for a place once more; whoever gives up a place first
//! leaves the gate and then looks whether anybody joined. Both are sequentially consistent, so at least one of the two
//! sees the other.

use std::collections::BTreeMap;

use super::atomic::{AtomicU64, AtomicUsize, Mutex, MutexGuard, PoisonError, SeqCst};
use super::gate::{Gate, Left};

/// A bounded line of waiters, oldest first.
#[derive(Debug)]
pub(super) struct Queue<W> {
    /// Waiters by ticket, and so by age.
    waiters: Mutex<BTreeMap<u64, W>>,
    /// How many are in `waiters`.
    waiting: AtomicUsize,
    /// How many ever joined; also the next ticket.
    joined: AtomicU64,
}

impl<W> Queue<W> {
    /// A line of nobody.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { waiters: Mutex::new(BTreeMap::new()), waiting: AtomicUsize::new(0), joined: AtomicU64::new(0) }
    }

    /// Joins at the end and returns the ticket; `None` when `bound` others wait already.
    ///
    /// Whoever has joined must look for a place once more before waiting.
    pub(super) fn join(&self, waiter: W, bound: usize) -> Option<u64> {
        let mut waiters = self.lock();
        if waiters.len() >= bound {
            return None;
        }
        let ticket = self.joined.load(SeqCst);
        waiters.insert(ticket, waiter);
        self.waiting.store(waiters.len(), SeqCst);
        // Last, so that whoever sees the arrival finds the waiter.
        self.joined.store(ticket + 1, SeqCst);
        Some(ticket)
    }

    /// Takes out the oldest waiter that `accepts`.
    pub(super) fn pop(&self, accepts: impl Fn(&W) -> bool) -> Option<W> {
        let mut waiters = self.lock();
        let ticket = waiters.iter().find(|(_, waiter)| accepts(waiter)).map(|(ticket, _)| *ticket)?;
        self.take(&mut waiters, ticket)
    }

    /// Takes out one waiter; `None` when it has been taken out before.
    pub(super) fn remove(&self, ticket: u64) -> Option<W> {
        self.take(&mut self.lock(), ticket)
    }

    /// Is this waiter still in line?
    #[must_use]
    pub(super) fn has(&self, ticket: u64) -> bool {
        self.lock().contains_key(&ticket)
    }

    /// What `read` says of each waiter, with its ticket, oldest first.
    pub(super) fn survey<R>(&self, read: impl Fn(&W) -> R) -> Vec<(u64, R)> {
        self.lock().iter().map(|(ticket, waiter)| (*ticket, read(waiter))).collect()
    }

    /// How many wait.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Does nobody wait?
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many have ever joined.
    fn joined(&self) -> u64 {
        self.joined.load(SeqCst)
    }

    fn take(&self, waiters: &mut BTreeMap<u64, W>, ticket: u64) -> Option<W> {
        let waiter = waiters.remove(&ticket);
        self.waiting.store(waiters.len(), SeqCst);
        waiter
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, W>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up one place inside `gate`: to the oldest waiter that `accepts` it, else to nobody.
///
/// `give` hands the place to a waiter and says whether that one took it; one who has gone away does not, and the next is
/// asked. The place stays entered while it changes hands, so that no newcomer slips in before a waiter; a closed gate's
/// place is not passed on.
pub(super) fn release<W>(
    gate: &Gate,
    queue: &Queue<W>,
    accepts: impl Fn(&W) -> bool,
    give: impl Fn(W) -> bool,
) -> Left {
    loop {
        let joined = queue.joined();
        if !queue.is_empty() && gate.may_pass_on() && pass_on(queue, &accepts, &give) {
            return Left { now_idle: false };
        }
        let left = gate.leave();
        // Whoever joined in between may have found the gate full because of us. When this was a closed gate's last place,
        // whoever opens it again looks after the waiters.
        if left.now_idle || queue.joined() == joined || !gate.try_enter() {
            return left;
        }
    }
}

fn pass_on<W>(queue: &Queue<W>, accepts: &impl Fn(&W) -> bool, give: &impl Fn(W) -> bool) -> bool {
    while let Some(waiter) = queue.pop(accepts) {
        if give(waiter) {
            return true;
        }
    }
    false
}
