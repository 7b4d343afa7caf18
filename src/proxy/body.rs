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
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::fault::Fault;
use super::pulse::Turn;
use super::record::Record;
use super::wire::Wire;
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
    incoming: Incoming,
    /// What has come from the worker and not been passed on.
    rest: Bytes,
    is_http2: bool,
    /// Taken when the body is over.
    exchange: Option<(Record, Carriage)>,
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
        if self.wire.is_idle() && !self.keep.is_zero() {
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
pub(crate) fn finish_with(response: Response<Incoming>, carriage: Carriage, record: Record) -> Response<Body> {
    let is_http2 = record.is_http2();
    response.map(|incoming| {
        let mut relayed = Relayed { incoming, rest: Bytes::new(), is_http2, exchange: Some((record, carriage)) };
        if relayed.incoming.is_end_stream() {
            relayed.finish();
        }
        Body::Relayed(Box::new(relayed))
    })
}

impl Relayed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.pass())));
        }
        loop {
            match ready!(self.poll_worker(cx)) {
                None => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Some(Err(_)) => return Poll::Ready(Some(Err(self.cut()))),
                Some(Ok(frame)) => {
                    // Trailers are dropped: nobody has checked the fields in them.
                    let Ok(bytes) = frame.into_data() else { continue };
                    self.rest = bytes;
                    return Poll::Ready(Some(Ok(self.pass())));
                }
            }
        }
    }

    fn poll_worker(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending() {
            self.note_turn(Turn::Worker);
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
        }
        self.note_turn(Turn::Client);
        if self.rest.is_empty() && self.incoming.is_end_stream() {
            self.finish();
        }
        piece
    }

    fn note_turn(&self, turn: Turn) {
        if let Some((record, _)) = &self.exchange {
            record.pulse().note_turn(turn);
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, kept) = (self.incoming.size_hint(), self.rest.len() as u64);
        match hint.exact() {
            Some(exact) => hint.set_exact(exact + kept),
            None => hint.set_lower(hint.lower() + kept),
        }
        hint
    }

    fn finish(&mut self) {
        if let Some((record, carriage)) = self.exchange.take() {
            let now = Instant::now();
            carriage.finish(record.thread(), now);
            record.finish(now);
        }
    }

    /// The worker's body broke off.
    fn cut(&mut self) -> Fault {
        if let Some((record, carriage)) = self.exchange.take() {
            record.blame(&carriage.lease, Fault::Cut);
            record.fail(Fault::Cut);
        }
        Fault::Cut
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
