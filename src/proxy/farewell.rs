//! When what lasts has to end because its worker leaves, or this proxy does; and how a WebSocket's client is told.
//!
//! Invariants: until then nothing of a tunnel is altered; what a client is told comes between two messages, and nothing of the
//! worker's follows it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Proxy;
use super::frames::Frames;
use super::wire::Wire;
use super::world::App;
use crate::link::FAREWELL;
use crate::telemetry::exchange_metrics::{StreamEnd, StreamKind};
use crate::upstream::{Endpoint, Streams};

/// A Close frame from a server: code 1012, "service restart" (RFC 6455, section 5.5.1; the code is in IANA's registry).
const CLOSE: &[u8] = b"\x88\x11\x03\xf4service restart";

/// Reads of what nobody is to hear, in one turn.
const MOST_READS: usize = 16;

/// Waits for the moment at which an exchange that lasts is to end: never, if it may wait.
pub(crate) fn due(endpoint: &Endpoint<Wire>, proxy: &Arc<Proxy>) -> impl Future<Output = ()> + Send + use<> {
    let (streams, leaving, proxy) = (endpoint.streams(), endpoint.leaving().clone(), Arc::clone(proxy));
    async move {
        let most = tokio::select! {
            biased;
            () = leaving.cancelled() => Duration::MAX,
            () = proxy.retiring.cancelled() => proxy.retirement().map_or(Duration::ZERO, |retirement| retirement.spread),
        };
        match streams {
            Streams::Wait => std::future::pending().await,
            Streams::Cut => {}
            Streams::Notify { spread } => match spread.min(most) {
                Duration::ZERO => {}
                most => sleep(most.mul_f64(fastrand::f64())).await,
            },
        }
    }
}

/// A stream until it ends: by how, it is counted, if its worker or this proxy is on its way out by then.
pub(crate) struct Course {
    app: Arc<App>,
    kind: StreamKind,
    end: StreamEnd,
    leaving: CancellationToken,
    proxy: Arc<Proxy>,
}

impl Course {
    /// It ends by itself, unless [`end`](Self::end) says otherwise.
    pub(crate) fn of(endpoint: &Endpoint<Wire>, proxy: &Arc<Proxy>, app: &Arc<App>, kind: StreamKind) -> Self {
        let (leaving, proxy) = (endpoint.leaving().clone(), Arc::clone(proxy));
        Self { app: Arc::clone(app), kind, end: StreamEnd::Waited, leaving, proxy }
    }

    pub(crate) fn end(&mut self, end: StreamEnd) {
        self.end = end;
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        if self.leaving.is_cancelled() || self.proxy.is_retiring() {
            let end = if self.proxy.is_over() { StreamEnd::Cut } else { self.end };
            self.app.metrics.stream_ended(self.kind, end);
        }
    }
}

/// Between whoever knows that a WebSocket is to end and whoever reads what its worker says.
#[derive(Default)]
pub(crate) struct Order {
    is_given: AtomicBool,
    is_carried_out: Notify,
}

impl Order {
    /// Has the client told, and gives it time to answer. To be polled by the task that reads.
    pub(crate) async fn carry_out(&self) {
        self.is_given.store(true, Relaxed);
        // Whoever reads is to look.
        tokio::task::yield_now().await;
        self.is_carried_out.notified().await;
        sleep(FAREWELL).await;
    }
}

/// The worker's end of a WebSocket: says what the worker says until there is an order, and then, between two messages, that it is
/// over.
pub(crate) struct Speaker<'a, S> {
    worker: S,
    /// `None`: there will be no order.
    frames: Option<Frames>,
    order: &'a Order,
    has_closed: bool,
}

impl<'a, S> Speaker<'a, S> {
    /// `is_told`: may there be an order?
    pub(crate) fn new(worker: S, order: &'a Order, is_told: bool) -> Self {
        Self { worker, frames: is_told.then(Frames::default), order, has_closed: false }
    }

    /// Was its client told that it is over?
    pub(crate) fn has_told(&self) -> bool {
        self.has_closed
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.worker
    }
}

impl<S: AsyncRead + Unpin> Speaker<'_, S> {
    /// Reads what nobody is to hear any more, up to its end.
    fn poll_ignored(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        for _ in 0..MOST_READS {
            let mut ignored = ReadBuf::new(buffer.initialize_unfilled());
            ready!(Pin::new(&mut self.worker).poll_read(cx, &mut ignored))?;
            if ignored.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Speaker<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.has_closed {
            return this.poll_ignored(cx, buffer);
        }
        let Some(frames) = &mut this.frames else { return Pin::new(&mut this.worker).poll_read(cx, buffer) };
        if !this.order.is_given.load(Relaxed) {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.worker).poll_read(cx, buffer))?;
            frames.pass(&buffer.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        if frames.may_speak() && buffer.remaining() >= CLOSE.len() {
            buffer.put_slice(CLOSE);
            this.has_closed = true;
            this.order.is_carried_out.notify_one();
            return Poll::Ready(Ok(()));
        }
        // No further than to the next place where it may be said.
        let room = usize::try_from(frames.room()).unwrap_or(usize::MAX).min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.worker).poll_read(cx, &mut part))?;
        frames.pass(part.filled());
        let count = part.filled().len();
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Speaker<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.worker).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.worker).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.worker).poll_shutdown(cx)
    }
}
