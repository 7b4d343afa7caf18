//! Idle connections to one endpoint, kept by the thread that uses them.
//!
//! It does not know what a connection is, nor whether one still works. Invariants: what a thread put in last it gets
//! back first, so that few connections stay warm and the others expire; no stack grows beyond [`DEPTH`]; a connection
//! is never dropped while a stack is locked.

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

    /// The connection that `thread` put in last, that has not expired and is a right one. Expired ones on the way are
    /// dropped.
    pub(super) fn take(&self, thread: usize, now: Instant, is_right: impl Fn(&C) -> bool) -> Option<C> {
        // At most as many turns as the stack is deep: other threads do not put anything in.
        loop {
            let idle = {
                let mut stack = self.lock(thread);
                let found = stack.iter().rposition(|idle| idle.until <= now || is_right(&idle.connection))?;
                stack.remove(found)
            };
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

    /// Drops what has expired on one thread's stack, and what is of no use any more.
    pub(super) fn sweep(&self, thread: usize, now: Instant, is_fit: impl Fn(&C) -> bool) {
        let is_spent = |idle: &mut Idle<C>| idle.until <= now || !is_fit(&idle.connection);
        let _spent: Vec<_> = self.lock(thread).extract_if(.., is_spent).collect();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn pool(threads: usize) -> (Pool<u32>, impl Fn(u64) -> Instant) {
        let began = Instant::now();
        (Pool::new(threads), move |seconds| began + Duration::from_secs(seconds))
    }

    #[test]
    fn what_was_put_in_last_comes_out_first() {
        let (pool, at) = pool(1);
        (1..=3).for_each(|connection| pool.put(0, connection, at(9), || true));
        assert_eq!([(); 4].map(|()| pool.take(0, at(0), |_| true)), [Some(3), Some(2), Some(1), None]);
    }

    #[test]
    fn expired_ones_are_passed_over_and_dropped() {
        let (pool, at) = pool(1);
        pool.put(0, 1, at(9), || true);
        pool.put(0, 2, at(4), || true);
        pool.put(0, 3, at(5), || true);
        assert_eq!(pool.take(0, at(5), |_| true), Some(1));
        assert_eq!(pool.len(), 0);
    }

    #[test]
    fn what_is_not_right_stays() {
        let (pool, at) = pool(1);
        (1..=4).for_each(|connection| pool.put(0, connection, at(9), || true));
        assert_eq!(pool.take(0, at(0), |connection| connection % 2 == 1), Some(3));
        assert_eq!(pool.take(0, at(0), |connection| *connection > 4), None);
        assert_eq!([(); 3].map(|()| pool.take(0, at(0), |_| true)), [Some(4), Some(2), Some(1)]);
    }

    #[test]
    fn sweeping_drops_the_expired_and_the_unfit_ones_wherever_they_lie() {
        let (pool, at) = pool(2);
        for (connection, until) in [(1, 4), (2, 9), (3, 5), (4, 6)] {
            pool.put(0, connection, at(until), || true);
            pool.put(1, connection, at(until), || true);
        }
        pool.sweep(0, at(5), |connection| *connection != 4);
        assert_eq!((pool.take(0, at(0), |_| true), pool.take(0, at(0), |_| true)), (Some(2), None));
        assert_eq!(pool.len(), 4, "the other thread's are left alone");
    }

    #[test]
    fn threads_do_not_see_each_others() {
        let (pool, at) = pool(2);
        pool.put(0, 1, at(9), || true);
        assert_eq!(pool.take(1, at(0), |_| true), None);
        assert_eq!(pool.take(0, at(0), |_| true), Some(1));
    }

    #[test]
    fn no_more_are_kept_than_the_depth() {
        let (pool, at) = pool(1);
        (0..u32::MAX).take(DEPTH + 1).for_each(|connection| pool.put(0, connection, at(9), || true));
        assert_eq!(pool.len(), DEPTH);
    }

    #[test]
    fn nothing_is_kept_when_it_may_not_be() {
        let (pool, at) = pool(1);
        pool.put(0, 1, at(9), || false);
        assert_eq!(pool.len(), 0);
    }

    #[test]
    fn clearing_leaves_nothing_on_any_thread() {
        let (pool, at) = pool(3);
        (0..3).for_each(|thread| pool.put(thread, 1, at(9), || true));
        pool.clear();
        assert_eq!(pool.len(), 0);
    }

    /// Looks into the pool that it is from when it is dropped, as a connection may that is closed.
    struct Nosy(Arc<Pool<Nosy>>);

    impl Drop for Nosy {
        fn drop(&mut self) {
            assert!(self.0.stacks[0].0.try_lock().is_ok(), "dropped while the stack is locked");
        }
    }

    #[test]
    fn connections_are_dropped_while_nothing_is_locked() {
        let pool = Arc::new(Pool::new(1));
        let now = Instant::now();
        let put = |may_keep| pool.put(0, Nosy(Arc::clone(&pool)), now, || may_keep);
        put(false);
        put(true);
        assert!(pool.take(0, now, |_| true).is_none());
        put(true);
        pool.sweep(0, now, |_| true);
        put(true);
        pool.clear();
        assert_eq!(pool.len(), 0);
    }
}
