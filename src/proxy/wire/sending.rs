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

/// Pieces that one write hands to the kernel.
const SLICES: usize = 16;

/// A request that is being written.
pub(super) struct Sending {
    /// What waits to be written: of the head, and of the body.
    head: Bytes,
    queue: VecDeque<Bytes>,
    left: Left,
    has_begun: bool,
    has_taken: bool,
    is_mute: bool,
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
        let head = request.head.clone();
        Self { head, queue, left, has_begun: false, has_taken: false, is_mute: false }
    }

    /// Has any byte been written?
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Is the request as it was before, so that it can be sent on another connection?
    pub(super) fn is_untouched(&self) -> bool {
        !self.has_begun && !self.has_taken
    }

    /// Has all been written?
    pub(super) fn is_over(&self) -> bool {
        self.is_written() && self.left == Left::Bytes(0)
    }

    fn is_written(&self) -> bool {
        self.head.is_empty() && self.queue.is_empty()
    }

    /// Writes what there is. Ready when all has been written; pending also for good, when writing has failed.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
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
            ready!(self.flush(cx, writer));
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
            self.has_taken = true;
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
                self.queue.push_back(bytes);
            }
            Left::Chunks => self.queue.extend([chunks::before(bytes.len()), bytes, chunks::LINE_END]),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.left {
            Left::Bytes(_) => return Err(Fault::BrokenBody),
            Left::Chunks => self.queue.push_back(chunks::END),
        }
        self.left = Left::Bytes(0);
        Ok(())
    }

    /// Writes until nothing waits, or there is no room.
    fn flush(&mut self, cx: &mut Context<'_>, writer: &mut Writer) -> Poll<()> {
        while !self.is_written() {
            let mut slices = [IoSlice::new(&self.head); SLICES];
            let count = SLICES.min(self.queue.len() + 1);
            for (slice, bytes) in slices[1..].iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
            }
            match ready!(writer.poll_write(cx, &slices[..count])) {
                Ok(written) if written > 0 => {
                    self.has_begun = true;
                    self.take_off(written);
                }
                _ => {
                    self.is_mute = true;
                    self.head.clear();
                    self.queue.clear();
                }
            }
        }
        Poll::Ready(())
    }

    fn take_off(&mut self, written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
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
