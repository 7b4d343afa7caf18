//! How many client connections there may be at once, on all threads.
//!
//! Does not know what a connection is. The limit may change while permits are out: those stay valid, and no new one is
//! given until fewer than the limit are out. Invariant: a permit that is dropped wakes one who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use tokio::sync::Notify;

/// Gives out permits up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    limit: AtomicU32,
    taken: AtomicU32,
    freed: Notify,
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Permits>);

impl Permits {
    /// Sets the limit; at first it is 0.
    pub(crate) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, SeqCst);
        self.freed.notify_waiters();
    }

    /// Takes a permit as soon as there is one. Cancellation safe.
    pub(crate) async fn take(self: &Arc<Self>) -> Permit {
        loop {
            let freed = self.freed.notified();
            if let Some(permit) = self.try_take() {
                return permit;
            }
            freed.await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Permit> {
        let limit = self.limit.load(SeqCst);
        let more = |taken: u32| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(SeqCst, SeqCst, more).is_ok().then(|| Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    async fn is_waiting(take: std::pin::Pin<&mut impl Future<Output = Permit>>) -> bool {
        let mut take = Some(take);
        poll_fn(move |cx| Poll::Ready(take.take().is_some_and(|take| take.poll(cx).is_pending()))).await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_permit_is_given_when_one_is_dropped() {
        let permits = Arc::<Permits>::default();
        permits.set_limit(1);
        let first = permits.take().await;
        let mut second = pin!(permits.take());
        assert!(is_waiting(second.as_mut()).await);
        drop(first);
        second.await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_raised_limit_wakes_those_who_wait() {
        let permits = Arc::<Permits>::default();
        let mut waiting = pin!(permits.take());
        assert!(is_waiting(waiting.as_mut()).await);
        permits.set_limit(1);
        waiting.await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_lowered_limit_takes_no_permit_back() {
        let permits = Arc::<Permits>::default();
        permits.set_limit(2);
        let (first, second) = (permits.take().await, permits.take().await);
        permits.set_limit(1);
        let mut third = pin!(permits.take());
        drop(first);
        assert!(is_waiting(third.as_mut()).await);
        drop(second);
        third.await;
    }
}
