//! What a client is sent as a body: a worker's, passed on chunk by chunk, or a short text of ours.
//!
//! Does not know HTTP's framing. Invariants: a chunk is asked of the worker when the client's side wants one, so a slow
//! client slows the worker and not the proxy's memory; the lease ends and the record is finished with the last byte, or
//! when the body is dropped before it; a worker's body that breaks off is an error here too, never an end.

use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::fault::Fault;
use super::parting::Parting;
use super::peer::Peer;
use super::pulse::Turn;
use super::record::Record;
use super::wire::Wire;
use crate::telemetry::exchange_metrics::StreamEnd;
use crate::upstream::Lease;

/// Bytes of a body that one HTTP/2 stream is handed at a time: a frame's worth. What a client does not take is held in such
/// pieces, and that it takes something is seen from one to the next.
const PIECE: usize = 16 * 1024;

/// The body of a response.
pub(crate) enum Body {
    /// A text of ours, maybe empty. It fits into any buffer, so nothing waits for its end.
    Text(Bytes),
    Relayed(Box<Relayed>),
}

/// A worker's body.
pub(crate) struct Relayed {
    /// What has come from the worker and not been passed on.
    rest: Bytes,
    is_http2: bool,
    /// The worker's body has broken off.
    broken: Option<Fault>,
    /// Taken when the body is over.
    exchange: Option<(Box<Record>, Carriage)>,
    /// How it ends when its worker leaves before that.
    parting: Option<Box<Parting>>,
}

/// What an exchange holds of its worker: the claim, and the connection it travels on.
pub(crate) struct Carriage {
    pub(crate) lease: Lease<Wire>,
    pub(crate) wire: Wire,
    /// How long the connection may lie idle afterwards.
    pub(crate) keep: Duration,
}

impl Carriage {
    /// Both bodies have ended cleanly: the connection may serve again, and then the claim ends.
    fn finish(mut self, thread: usize, now: Instant) {
        // Whether it has been closed since is looked at when it is taken.
        if self.wire.has_rested() && !self.keep.is_zero() {
            self.wire.rest(now);
            self.lease.put_idle(thread, self.wire, (now + self.keep).into_std());
        }
    }
}

impl Body {
    /// A text of ours.
    pub(crate) const fn text(text: &'static str) -> Self {
        Self::Text(Bytes::from_static(text.as_bytes()))
    }

    /// No body.
    pub(crate) const fn none() -> Self {
        Self::text("")
    }
}

/// Passes a worker's body on; record and carriage are finished with its last byte.
pub(crate) fn finish_with(
    peer: &Peer,
    response: Response<()>,
    carriage: Carriage,
    record: Box<Record>,
) -> Response<Body> {
    let is_http2 = record.is_http2();
    let parting = Parting::of(peer, record.app(), &response, &carriage).map(Box::new);
    response.map(|()| {
        let exchange = Some((record, carriage));
        let mut relayed = Box::new(Relayed { rest: Bytes::new(), is_http2, broken: None, exchange, parting });
        relayed.finish_if_over();
        Body::Relayed(relayed)
    })
}

impl Relayed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        if let Poll::Ready(end) = self.poll_parting(cx) {
            return Poll::Ready(end);
        }
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.pass())));
        }
        if let Some(fault) = self.broken {
            return Poll::Ready(Some(Err(self.cut(fault))));
        }
        match ready!(self.poll_worker(cx)) {
            None => {
                self.finish();
                Poll::Ready(None)
            }
            Some(Err(fault)) => {
                // An error drops what has not been written. So what has come has its turn first.
                self.broken = Some(fault);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Ok(bytes)) => {
                self.rest = bytes;
                if let Some(parting) = &self.parting {
                    parting.shorten(&mut self.rest);
                }
                Poll::Ready(Some(Ok(self.pass())))
            }
        }
    }

    /// Ends the body if it is time to and it may end here; else it goes on.
    fn poll_parting(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let Some(parting) = &mut self.parting else { return Poll::Pending };
        ready!(parting.poll_due(cx));
        if parting.is_cut() {
            parting.end(StreamEnd::Cut);
            self.exchange.take().into_iter().for_each(|(record, _)| record.fail(Fault::Cut));
            return Poll::Ready(Some(Err(Fault::Cut)));
        }
        parting.shorten(&mut self.rest);
        if !self.rest.is_empty() || !parting.may_end() {
            return Poll::Pending;
        }
        parting.end(StreamEnd::Notified);
        self.finish();
        Poll::Ready(None)
    }

    fn poll_worker(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let Some((record, carriage)) = &mut self.exchange else { return Poll::Ready(None) };
        let polled = carriage.wire.poll_body(cx);
        if polled.is_pending() {
            record.pulse().note_turn(Turn::Worker);
        }
        polled
    }

    /// Takes the next piece of what has come.
    fn pass(&mut self) -> Bytes {
        let piece =
            if self.is_http2 && self.rest.len() > PIECE { self.rest.split_to(PIECE) } else { take(&mut self.rest) };
        if let Some((record, _)) = &mut self.exchange {
            record.sent(piece.len());
            if self.is_http2 {
                record.pulse().conduct().pass(piece.len());
            }
            record.pulse().note_turn(Turn::Client);
        }
        if let Some(parting) = &mut self.parting {
            parting.pass(&piece);
        }
        self.finish_if_over();
        piece
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.rest.len() as u64;
        let Some((_, carriage)) = &self.exchange else { return SizeHint::with_exact(kept) };
        let mut hint = carriage.wire.size_hint();
        match hint.exact() {
            Some(exact) => hint.set_exact(exact + kept),
            None => hint.set_lower(hint.lower() + kept),
        }
        hint
    }

    fn finish_if_over(&mut self) {
        let is_over = self.exchange.as_ref().is_some_and(|(_, carriage)| carriage.wire.is_over());
        if is_over && self.rest.is_empty() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some((record, carriage)) = self.exchange.take() {
            let now = Instant::now();
            carriage.finish(record.thread(), now);
            record.finish(now);
        }
    }

    /// The worker's body broke off, or the request's with it.
    fn cut(&mut self, fault: Fault) -> Fault {
        if let Some(parting) = &mut self.parting {
            parting.end(StreamEnd::Cut);
        }
        if let Some((record, carriage)) = self.exchange.take() {
            record.blame(&carriage.lease, fault);
            record.fail(fault);
        }
        fault
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.get_mut() {
            Self::Text(text) => {
                let text = take(text);
                Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text))))
            }
            Self::Relayed(relayed) => relayed.poll_next(cx).map(|next| next.map(|next| next.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Relayed(relayed) => relayed.exchange.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Relayed(relayed) => relayed.size_hint(),
        }
    }
}
