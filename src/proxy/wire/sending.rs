//! A request on its way into a worker's socket: its head, then its body as the client's side gives it.
//!
//! Knows how a body is framed, not where it comes from. Nothing of a body is asked for while as much as [`ENOUGH`] waits to be
//! written. A failed write is not the end of an exchange: a worker may answer before it has read the whole request and
//! close, and that answer is still there to be read. Invariant: what is written is the whole request, or the connection is
//! not used again.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::Body as _;

use super::socket::Writer;
use super::{WorkerRequest, chunks};
use crate::proxy::fault::Fault;
use crate::proxy::headers::Framing;
use crate::proxy::upload::Upload;

/// Bytes of a body that may wait to be written.
const ENOUGH: usize = 64 * 1024;

/// Bytes of a body that are kept until its answer begins, in case that nobody reads them.
const KEPT: usize = 64 * 1024;

/// Pieces that one write hands to the kernel.
const SLICES: usize = 16;

/// A request that is being written.
pub(super) struct Sending {
    /// Bytes of the head that are not written yet.
    head_left: usize,
    /// What waits to be written of the body.
    queue: VecDeque<Bytes>,
    left: Left,
    /// Bytes that were written.
    written: u64,
    taken: Taken,
    is_mute: bool,
}

/// What was taken of a body that cannot be asked for it twice.
enum Taken {
    Nothing,
    /// All that was, so far.
    Kept(Vec<Bytes>),
    /// More than is kept, or in pieces whose sizes nobody had told.
    Gone,
}

/// What is still to come of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Bytes(u64),
    Chunks,
}

impl Sending {
    /// Begins with the head.
    pub(super) fn new(request: &WorkerRequest) -> Self {
        let mut queue = VecDeque::new();
        let left = match (&request.body, request.framing) {
            (Upload::Whole(body), _) => {
                queue.extend((!body.is_empty()).then(|| body.clone()));
                Left::Bytes(0)
            }
            (Upload::Streamed(_), Framing::Chunked) => Left::Chunks,
            (Upload::Streamed(_), Framing::Length(length)) => Left::Bytes(length),
            (Upload::Streamed(_), Framing::Empty) => Left::Bytes(0),
        };
        let head_left = request.head.len();
        Self { head_left, queue, left, written: 0, taken: Taken::Nothing, is_mute: false }
    }

    /// Has any byte been written?
    pub(super) fn has_begun(&self) -> bool {
        self.written > 0
    }

    /// How many bytes were written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The whole body, to be sent again with the same head; `None`: it is not all here.
    pub(super) fn into_body(self) -> Option<Bytes> {
        match self.taken {
            Taken::Kept(pieces) if self.left == Left::Bytes(0) => Some(match <[Bytes; 1]>::try_from(pieces) {
                Ok([whole]) => whole,
                Err(pieces) => pieces.concat().into(),
            }),
            _ => None,
        }
    }

    /// Is the request as it was before, so that it can be sent on another connection?
    pub(super) fn is_untouched(&self) -> bool {
        self.written == 0 && matches!(self.taken, Taken::Nothing)
    }

    /// Has all been written?
    pub(super) fn is_over(&self) -> bool {
        self.is_written() && self.left == Left::Bytes(0)
    }

    fn is_written(&self) -> bool {
        self.head_left == 0 && self.queue.is_empty()
    }

    /// Writes what there is of the request with this head and this body, the same ones each time. Ready when all has been
    /// written; pending also for good, when writing has failed.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        body: &mut Upload,
        writer: &mut Writer,
    ) -> Poll<Result<(), Fault>> {
        loop {
            if self.is_mute {
                return Poll::Pending;
            }
            self.fill(cx, body)?;
            if self.is_written() {
                return if self.left == Left::Bytes(0) { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            ready!(self.flush(cx, head, writer));
        }
    }

    /// Asks for the body until there is enough of it, or no more for now.
    fn fill(&mut self, cx: &mut Context<'_>, body: &mut Upload) -> Result<(), Fault> {
        if self.left == Left::Bytes(0) {
            return Ok(());
        }
        let mut waiting: usize = self.queue.iter().map(Bytes::len).sum();
        while self.left != Left::Bytes(0) && waiting < ENOUGH {
            let Poll::Ready(next) = Pin::new(&mut *body).poll_frame(cx) else { return Ok(()) };
            match next {
                None => self.end()?,
                // Trailers are dropped before they come here.
                Some(frame) => {
                    let bytes = frame?.into_data().unwrap_or_default();
                    waiting += bytes.len();
                    self.push(bytes)?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, bytes: Bytes) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.left {
            Left::Bytes(left) => {
                *left = left.checked_sub(bytes.len() as u64).ok_or(Fault::BrokenBody)?;
                self.taken.add(&bytes);
                self.queue.push_back(bytes);
            }
            Left::Chunks => {
                self.taken = Taken::Gone;
                self.queue.extend([chunks::before(bytes.len()), bytes, chunks::LINE_END]);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.left {
            Left::Bytes(_) => return Err(Fault::BrokenBody),
            Left::Chunks => {
                self.taken = Taken::Gone;
                self.queue.push_back(chunks::END);
            }
        }
        self.left = Left::Bytes(0);
        Ok(())
    }

    /// Writes until nothing waits, or there is no room.
    fn flush(&mut self, cx: &mut Context<'_>, head: &[u8], writer: &mut Writer) -> Poll<()> {
        while !self.is_written() {
            let head = IoSlice::new(&head[head.len() - self.head_left..]);
            let written = if self.queue.is_empty() {
                writer.poll_write(cx, &[head])
            } else {
                let mut slices = [head; SLICES];
                let count = SLICES.min(self.queue.len() + 1);
                for (slice, bytes) in slices[1..].iter_mut().zip(&self.queue) {
                    *slice = IoSlice::new(bytes);
                }
                writer.poll_write(cx, &slices[..count])
            };
            match ready!(written) {
                Ok(written) if written > 0 => {
                    self.written += written as u64;
                    self.take_off(written);
                }
                _ => {
                    self.is_mute = true;
                    self.head_left = 0;
                    self.queue.clear();
                }
            }
        }
        Poll::Ready(())
    }

    fn take_off(&mut self, written: usize) {
        let of_head = written.min(self.head_left);
        self.head_left -= of_head;
        let mut written = written - of_head;
        while let Some(first) = self.queue.front_mut() {
            if written < first.len() {
                return first.advance(written);
            }
            written -= first.len();
            self.queue.pop_front();
        }
    }
}

impl Taken {
    /// Once anything was taken a request is not what it was, even if that is an end alone.
    fn add(&mut self, bytes: &Bytes) {
        match self {
            Self::Nothing if bytes.len() <= KEPT => *self = Self::Kept(vec![bytes.clone()]),
            Self::Kept(pieces) if pieces.iter().map(Bytes::len).sum::<usize>() + bytes.len() <= KEPT => {
                pieces.push(bytes.clone());
            }
            _ => *self = Self::Gone,
        }
    }
}
