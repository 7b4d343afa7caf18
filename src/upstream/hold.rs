//! Requests that wait because no worker can take them.
//!
//! It does not know what an endpoint does, nor when there is reason to wait. Invariants: what a waiter is handed is a
//! place inside a gate, entered on its behalf; a place that was handed to somebody who has gone away is passed on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::endpoint::Endpoint;
use super::lease::Lease;
use super::queue::Queue;
use super::span::Span;
use crate::id::{Generation, Serial};

/// Why a claim was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No endpoint is open and none is expected.
    #[error("no worker is up and none is coming up")]
    Down,
    /// As many requests are held as may be.
    #[error("too many requests are waiting for a worker")]
    Full,
    /// Those who are held have waited for too long already.
    #[error("more requests come in than the workers can do")]
    Overloaded,
    /// It was held for as long as may be.
    #[error("no worker was free in time")]
    TimedOut,
}

/// The requests held for one app, oldest first.
pub(super) struct Hold<C> {
    queue: Queue<Waiting<C>>,
    /// The oldest and the newest generation that is open.
    open: [AtomicU64; 2],
}

/// A held request as those see it who have something for it.
pub(super) struct Waiting<C> {
    span: Span,
    avoid: Box<[Serial]>,
    since: Instant,
    answer: oneshot::Sender<Answer<C>>,
}

/// The endpoint in an answer comes with a place inside its gate: whoever takes it out makes a [`Lease`] of it.
pub(super) type Answer<C> = Result<Arc<Endpoint<C>>, Refused>;

impl<C> Hold<C> {
    pub(super) fn new() -> Self {
        Self { queue: Queue::new(), open: [AtomicU64::new(0), AtomicU64::new(0)] }
    }

    /// Joins the line; refused when `bound` others are in it.
    pub(super) fn join(&self, (span, avoid): (Span, &[Serial]), bound: u32) -> Result<Waiter<'_, C>, Refused> {
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting { span, avoid: avoid.into(), since: Instant::now(), answer: sender };
        let ticket = self.queue.join(waiting, bound as usize).ok_or(Refused::Full)?;
        Ok(Waiter { hold: self, ticket, answer })
    }

    /// Since when the oldest one in line has waited.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.queue.oldest(|waiting| waiting.since)
    }

    /// These generations are open. Whoever says so settles what it means for those who wait.
    pub(super) fn note_open(&self, open: impl Iterator<Item = Generation> + Clone) {
        let [oldest, newest] = [open.clone().min(), open.max()].map(|one| one.map_or(0, |one| one.0));
        self.open[0].store(oldest, Relaxed);
        self.open[1].store(newest, Relaxed);
    }

    /// Would this waiter take a place on this endpoint?
    pub(super) fn accepts(&self, waiting: &Waiting<C>, endpoint: &Endpoint<C>) -> bool {
        let open = self.open.iter().map(|one| Generation(one.load(Relaxed)));
        waiting.span.among(open).contains(endpoint.generation) && !waiting.avoid.contains(&endpoint.serial)
    }

    /// Hands a place inside the endpoint's gate to a waiter; says whether it was still there.
    pub(super) fn give(waiting: Waiting<C>, endpoint: Arc<Endpoint<C>>) -> bool {
        waiting.answer.send(Ok(endpoint)).is_ok()
    }

    /// Asks for an answer to every waiter, oldest first; those for whom there is none wait on.
    pub(super) fn settle(&self, answer: impl Fn(Span, &[Serial]) -> Option<Answer<C>>) {
        for (ticket, (span, avoid)) in self.queue.survey(|waiting| (waiting.span, waiting.avoid.clone())) {
            if let Some(answer) = answer(span, &avoid) {
                self.tell(ticket, answer);
            }
        }
    }

    /// Answers one waiter.
    fn tell(&self, ticket: u64, answer: Answer<C>) {
        let untold = match self.queue.remove(ticket) {
            Some(waiting) => waiting.answer.send(answer).err(),
            None => Some(answer),
        };
        // Served by another meanwhile, or gone: the place goes to the next one, as if it had been used and given up.
        if let Some(Ok(place)) = untold {
            drop(Lease::of(place));
        }
    }

    pub(super) fn queue(&self) -> &Queue<Waiting<C>> {
        &self.queue
    }
}

/// A held request as it sees itself. Dropping it leaves the line and passes on what it may just have been handed.
pub(super) struct Waiter<'a, C> {
    hold: &'a Hold<C>,
    ticket: u64,
    answer: oneshot::Receiver<Answer<C>>,
}

impl<C> Waiter<'_, C> {
    /// Answers itself.
    pub(super) fn tell(&self, answer: Answer<C>) {
        self.hold.tell(self.ticket, answer);
    }

    /// Waits for an answer, at most for `limit`. Cancellation safe: a lease handed over meanwhile goes to the next
    /// waiter.
    pub(super) async fn wait(mut self, limit: Duration) -> Result<Lease<C>, Refused> {
        match timeout(limit, &mut self.answer).await {
            Ok(answer) => answer.unwrap_or(Err(Refused::Down)).map(Lease::of),
            Err(_elapsed) => self.withdraw().ok_or(Refused::TimedOut),
        }
    }

    /// Leaves the line; returns the lease that was handed over at the last moment.
    fn withdraw(&mut self) -> Option<Lease<C>> {
        self.hold.queue.remove(self.ticket);
        // From here on giving fails, so what was given before is all there is.
        self.answer.close();
        let place = self.answer.try_recv().ok()?.ok()?;
        Some(Lease::of(place))
    }
}

impl<C> Drop for Waiter<'_, C> {
    fn drop(&mut self) {
        drop(self.withdraw());
    }
}
