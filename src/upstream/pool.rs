//! Idle connections to one endpoint, kept by the thread that uses them.
//!
//! It does not know what a connection is, nor whether one still works. Invariants: what a thread put in last it gets back
//! first, so that few connections stay warm and the others expire; no stack grows beyond [`DEPTH`]; a connection is
//! never dropped while a stack is locked.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The most idle connections that one thread keeps to one endpoint.
pub(super) const DEPTH: usize = 256;

/// One stack of idle connections per thread.
pub(super) struct Pool<C> {
    stacks: Box<[Stack<C>]>,
}

/// On a cache line of its own, so that threads do not slow each other down.
#[repr(align(64))]
struct Stack<C>(Mutex<Vec<Idle<C>>>);

struct Idle<C> {
    connection: C,
    /// From then on the connection is not used again.
    until: Instant,
}

impl<C> Pool<C> {
    pub(super) fn new(threads: usize) -> Self {
        Self { stacks: (0..threads).map(|_| Stack(Mutex::new(Vec::new()))).collect() }
    }

    /// The connection that `thread` put in last and that has not expired. Expired ones on the way are dropped.
    pub(super) fn take(&self, thread: usize, now: Instant) -> Option<C> {
        // At most as many turns as the stack is deep: other threads do not put anything in.
        loop {
            let idle = self.lock(thread).pop()?;
            if now < idle.until {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection, unless the stack is full or `may_keep`, asked under the stack's lock, says no.
    pub(super) fn put(&self, thread: usize, connection: C, until: Instant, may_keep: impl FnOnce() -> bool) {
        let idle = Idle { connection, until };
        let _refused = {
            let mut stack = self.lock(thread);
            if stack.len() < DEPTH && may_keep() {
                stack.push(idle);
                None
            } else {
                Some(idle)
            }
        };
    }

    /// Drops what has expired on one thread's stack.
    pub(super) fn sweep(&self, thread: usize, now: Instant) {
        let _expired: Vec<_> = self.lock(thread).extract_if(.., |idle| idle.until <= now).collect();
    }

    /// Drops everything, on all threads' stacks.
    pub(super) fn clear(&self) {
        for thread in 0..self.stacks.len() {
            let _all = std::mem::take(&mut *self.lock(thread));
        }
    }

    /// How many connections there are, on all threads' stacks.
    pub(super) fn len(&self) -> usize {
        (0..self.stacks.len()).map(|thread| self.lock(thread).len()).sum()
    }

    fn lock(&self, thread: usize) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.stacks[thread].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
