//! The line of those who wait for a place, and the one way to give up a place that somebody may wait for.
//!
//! It does not know what is waited for, nor how a waiter is told. `tests/gate.rs` walks it together with the gate under
//! every interleaving, with loom's atomics.
//!
//! Invariant (no lost wake-up): a waiter joins the line and then tries every gate once more, leaving word at those that
//! are full. Whoever is inside one cannot go out past that word; it is taken back only under the line's lock and only
//! when nobody in line would accept the place, so whoever joins later finds the place free.

use std::collections::BTreeMap;

use super::atomic::{Mutex, MutexGuard, PoisonError};
use super::gate::{Gate, Left};

/// A bounded line of waiters, oldest first.
#[derive(Debug)]
pub(super) struct Queue<W> {
    line: Mutex<Line<W>>,
}

#[derive(Debug)]
struct Line<W> {
    /// By ticket, and so by age.
    waiters: BTreeMap<u64, W>,
    next_ticket: u64,
}

impl<W> Queue<W> {
    /// A line of nobody.
    pub(super) fn new() -> Self {
        Self { line: Mutex::new(Line { waiters: BTreeMap::new(), next_ticket: 0 }) }
    }

    /// Joins at the end and returns the ticket; `None` when `bound` others wait already.
    ///
    /// Whoever has joined must try every gate with [`Gate::try_enter_or_want`] before waiting.
    pub(super) fn join(&self, waiter: W, bound: usize) -> Option<u64> {
        let mut line = self.lock();
        if line.waiters.len() >= bound {
            return None;
        }
        let ticket = line.next_ticket;
        line.next_ticket += 1;
        line.waiters.insert(ticket, waiter);
        Some(ticket)
    }

    /// Takes out one waiter; `None` when it has been taken out before.
    pub(super) fn remove(&self, ticket: u64) -> Option<W> {
        self.lock().waiters.remove(&ticket)
    }

    /// What `read` says of each waiter, with its ticket, oldest first.
    pub(super) fn survey<R>(&self, read: impl Fn(&W) -> R) -> Vec<(u64, R)> {
        self.lock().waiters.iter().map(|(ticket, waiter)| (*ticket, read(waiter))).collect()
    }

    /// What `read` says of the oldest waiter.
    pub(super) fn oldest<R>(&self, read: impl Fn(&W) -> R) -> Option<R> {
        self.lock().waiters.first_key_value().map(|(_, waiter)| read(waiter))
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiters.len()
    }

    /// Takes out the oldest waiter that `accepts` a place in this gate; without one the gate is no longer wanted.
    fn pop(&self, gate: &Gate, accepts: impl Fn(&W) -> bool) -> Option<W> {
        let mut line = self.lock();
        let oldest = line.waiters.iter().find(|(_, waiter)| accepts(waiter)).map(|(ticket, _)| *ticket);
        let Some(ticket) = oldest else {
            // Under the lock: whoever joins from now on leaves word anew.
            gate.unwant();
            return None;
        };
        line.waiters.remove(&ticket)
    }

    fn lock(&self) -> MutexGuard<'_, Line<W>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up one place inside `gate`: to the oldest waiter that `accepts` it, else to nobody.
///
/// `give` hands the place to a waiter and says whether that one took it; if it has gone away, the next is asked. A
/// place stays inside while it changes hands, so no newcomer slips in before a waiter. It counts as claimed when the
/// gate was last seen open; the place of a closed gate is handed to nobody.
pub(super) fn release<W>(
    gate: &Gate,
    queue: &Queue<W>,
    accepts: impl Fn(&W) -> bool,
    give: impl Fn(W) -> bool,
) -> Left {
    // Each turn takes somebody out of the line, or takes back a word that only a new arrival can leave again.
    loop {
        if let Some(left) = gate.try_leave() {
            return left;
        }
        if queue.pop(gate, &accepts).is_some_and(&give) {
            return Left::default();
        }
    }
}
