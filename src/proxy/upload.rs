//! A request's body on its way to a worker: counted, limited, and watched for silence.
//!
//! Does not know where it goes. Nothing is read ahead: a chunk is asked of the client when the worker has taken the one
//! before. Trailers are dropped, since no field in them has been checked. Invariant: a body that ends without an error is
//! the whole body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::fault::Fault;
use super::pace::Pace;
use super::peer::Peer;
use crate::telemetry::exchange_metrics::Cut;

/// Longest body, in bytes, that is kept so that it can be sent again.
const KEPT: u64 = 64 * 1024;

/// A request's body.
pub(crate) enum Upload {
    /// All of it is here, maybe nothing: it can be sent again.
    Whole(Bytes),
    Streamed(Box<Streamed>),
}

/// A body that is still coming from the client.
pub(crate) struct Streamed {
    incoming: Incoming,
    /// Bytes that it may still have; `None`: unlimited.
    left: Option<u64>,
    pace: Pace,
    alarm: Alarm,
    /// Since when the client owes us bytes.
    waiting: Option<Instant>,
    /// In HTTP/2 a stream that is reset without an error looks like one that ends.
    is_http2: bool,
    is_over: bool,
    progress: Arc<Progress>,
    peer: Arc<Peer>,
}

/// How far a body has come, for those who wait for what follows it.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
    /// Milliseconds from `began` to the last step.
    last: AtomicU64,
    received: AtomicU64,
    is_waiting_for_client: AtomicBool,
}

/// What a body is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes: Option<u64>,
    pub(crate) pace: Pace,
}

impl Upload {
    /// No body.
    pub(crate) const fn none() -> Self {
        Self::Whole(Bytes::new())
    }

    /// The same body, all of it here if it says to be short enough to be kept.
    ///
    /// # Errors
    /// As polling it.
    pub(crate) async fn whole(self) -> Result<Self, Fault> {
        match self {
            Self::Streamed(streamed) if streamed.size_hint().exact().is_some_and(|length| length <= KEPT) => {
                Ok(Self::Whole(streamed.collect().await?.to_bytes()))
            }
            other => Ok(other),
        }
    }

    /// How far it has come; `None` when there is nothing to come.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Whole(_) => None,
            Self::Streamed(streamed) => Some(Arc::clone(&streamed.progress)),
        }
    }
}

impl Streamed {
    /// A body as it comes from `peer`.
    pub(crate) fn new(incoming: Incoming, is_http2: bool, bounds: Bounds, peer: &Arc<Peer>) -> Self {
        let progress = Progress {
            began: Instant::now(),
            last: AtomicU64::new(0),
            received: AtomicU64::new(0),
            is_waiting_for_client: AtomicBool::new(false),
        };
        Self {
            incoming,
            left: bounds.bytes,
            pace: bounds.pace,
            alarm: Alarm::default(),
            waiting: None,
            is_http2,
            is_over: false,
            progress: Arc::new(progress),
            peer: Arc::clone(peer),
        }
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Waits for the next chunk no longer than the client may be silent.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            let Poll::Ready(next) = Pin::new(&mut self.incoming).poll_frame(cx) else {
                return self.poll_silence(cx);
            };
            self.came(next.as_ref());
            self.progress.step();
            return Poll::Ready(match next {
                None if self.is_http2 && !self.incoming.is_end_stream() => Some(Err(Fault::ClientGone)),
                None => None,
                Some(Err(_)) => Some(Err(Fault::BrokenBody)),
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    Some(self.admit(bytes))
                }
            });
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        self.progress.is_waiting_for_client.store(true, Relaxed);
        ready!(self.alarm.poll(cx, since + self.pace.left()));
        self.peer.proxy.metrics.cut(Cut::SlowBody);
        Poll::Ready(Some(Err(Fault::SlowBody)))
    }

    /// The client's time begins anew, as far as what has come pays for it.
    fn came(&mut self, next: Option<&Result<Frame<Bytes>, hyper::Error>>) {
        let Some(since) = self.waiting.take() else { return };
        let bytes = next.into_iter().flatten().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
        self.pace.came(bytes as u64, since.elapsed());
    }

    fn admit(&mut self, bytes: Bytes) -> Result<Bytes, Fault> {
        let length = bytes.len() as u64;
        self.progress.received.fetch_add(length, Relaxed);
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(length).ok_or(Fault::LargeBody)?;
        }
        Ok(bytes)
    }
}

impl Progress {
    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// When the worker last took something; `None` while it is the client that is waited for.
    pub(crate) fn last_step(&self) -> Option<Instant> {
        let last = self.began + Duration::from_millis(self.last.load(Relaxed));
        (!self.is_waiting_for_client.load(Relaxed)).then_some(last)
    }

    fn step(&self) {
        self.last.store(self.began.elapsed().as_millis() as u64, Relaxed);
        self.is_waiting_for_client.store(false, Relaxed);
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let next = ready!(self.poll_next(cx));
        self.is_over = next.is_none() || self.incoming.is_end_stream();
        Poll::Ready(next.map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            self.peer.pulse.leave_unread();
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Streamed(streamed) => Pin::new(streamed).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Streamed(streamed) => streamed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Streamed(streamed) => streamed.size_hint(),
        }
    }
}
