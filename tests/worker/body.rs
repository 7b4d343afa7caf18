//! Bodies of answers: whole texts, channels, and one that breaks off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

/// What every route answers with.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// A body that is known already.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// What the other end of the channel sends, as it sends it; ends with the channel.
pub(crate) fn channel(parts: mpsc::Receiver<Bytes>) -> Body {
    Channel(parts).boxed()
}

/// Promises twice as many bytes as it sends, then breaks the connection off.
pub(crate) fn cut(bytes: Vec<u8>) -> Body {
    let promised = 2 * bytes.len() as u64;
    Cut { rest: Some(bytes.into()), promised }.boxed()
}

struct Channel(mpsc::Receiver<Bytes>);

impl HttpBody for Channel {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|part| part.map(|bytes| Ok(Frame::data(bytes))))
    }
}

struct Cut {
    rest: Option<Bytes>,
    promised: u64,
}

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.rest.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.promised == 0 => Poll::Ready(Some(Err(io::Error::other("cut")))),
            None => {
                // One turn later, so that the bytes before are on the wire when the connection ends.
                self.promised = 0;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
