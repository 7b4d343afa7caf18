//! The exchanges of one HTTP/2 connection, each in a task of its own that ends when its client takes nothing.
//!
//! A client grants each stream a window and may grant next to nothing; HTTP/2's own library waits for ever then, with the
//! claim on a worker held. A stream has moved when a piece of its body was asked for, which happens only once the piece
//! before went out: a window that is opened byte by byte moves nothing. Does not know frames or bodies, only what the pulse
//! is told while a task is polled. Invariant: a task that is dropped has its stream reset.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::peer::Peer;
use super::pulse::Turn;
use crate::telemetry::exchange_metrics::Cut;

/// Runs the streams of a connection.
#[derive(Clone)]
pub(crate) struct Streams {
    peer: Arc<Peer>,
    /// The longest that a client may take nothing.
    limit: Duration,
}

impl Streams {
    pub(crate) fn new(peer: Arc<Peer>, limit: Duration) -> Self {
        Self { peer, limit }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    /// The task ends with the connection at the latest: its stream is gone then.
    fn execute(&self, stream: F) {
        let Self { peer, limit } = self.clone();
        // It is large, and on its way into a task it would be copied ten times.
        let mut stream = Box::pin(stream);
        tokio::spawn(async move {
            let mut stall = Stall { limit, since: None, alarm: Alarm::default() };
            let is_stalled = poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(false);
                }
                stall.poll(cx, peer.pulse.take_turn()).map(|()| true)
            });
            if is_stalled.await {
                peer.proxy.metrics.cut(Cut::WriteStall);
            }
        });
    }
}

/// Since when a stream has had something for its client that was not taken.
struct Stall {
    limit: Duration,
    since: Option<Instant>,
    alarm: Alarm,
}

impl Stall {
    /// Has it been for too long? `turn` is what has happened to the stream just now.
    fn poll(&mut self, cx: &mut Context<'_>, turn: Turn) -> Poll<()> {
        match turn {
            Turn::Nothing => {}
            Turn::Worker => self.since = None,
            Turn::Client => self.since = Some(Instant::now()),
        }
        match self.since {
            Some(since) => self.alarm.poll(cx, since + self.limit),
            None => Poll::Pending,
        }
    }
}
