//! A body whose every byte is known, as long as one likes, without holding it in memory.
//!
//! The byte at offset `i` depends on `i` modulo a prime near 64 KiB, so lost, doubled and swapped parts show. Worker and
//! tests share this file: one sends, the other checks.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Length of the repeated block: a prime, so that it falls in step with no buffer size.
const PERIOD: usize = 65_521;

/// Two periods, so that a frame may begin anywhere in the first.
static BLOCK: LazyLock<Bytes> = LazyLock::new(|| (0..2 * PERIOD).map(|i| mix(i % PERIOD)).collect::<Vec<_>>().into());

fn mix(offset: usize) -> u8 {
    (offset.wrapping_mul(0x9E37_79B1) >> 13).to_le_bytes()[0]
}

/// A body of a given number of pattern bytes.
#[derive(Debug)]
pub(crate) struct Pattern {
    sent: u64,
    length: u64,
}

impl Pattern {
    pub(crate) fn new(length: u64) -> Self {
        Self { sent: 0, length }
    }
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let left = self.length - self.sent;
        if left == 0 {
            return Poll::Ready(None);
        }
        let begin = phase(self.sent);
        let size = usize::try_from(left).unwrap_or(PERIOD).min(PERIOD);
        self.sent += size as u64;
        Poll::Ready(Some(Ok(Frame::data(BLOCK.slice(begin..begin + size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.sent)
    }
}

/// Compares arriving bytes with the pattern.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) bytes: u64,
    pub(crate) intact: bool,
}

impl Checker {
    pub(crate) fn new() -> Self {
        Self { bytes: 0, intact: true }
    }

    pub(crate) fn take(&mut self, data: &[u8]) {
        for part in data.chunks(PERIOD) {
            let begin = phase(self.bytes);
            self.intact &= part == &BLOCK[begin..begin + part.len()];
            self.bytes += part.len() as u64;
        }
    }
}

fn phase(offset: u64) -> usize {
    usize::try_from(offset % PERIOD as u64).expect("a period fits in memory")
}
