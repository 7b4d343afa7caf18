//! Collects what an HTTP/2 connection writes, and sends it when the connection has nothing more to say for now.
//!
//! The HTTP/2 library flushes after every frame with a payload: a hundred small responses that are ready at once would be a
//! hundred system calls and as many TLS records. Whoever drives the connection holds the other end of the cork and pulls it
//! after each turn. Does not know frames. Invariant: what was accepted is sent in order, and nothing stays behind once the
//! cork has been pulled, unless the socket is full; then the task is woken when it is not.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::io::Io;

/// As much is collected at most: one TLS record.
const FULL: usize = 16 * 1024;

/// A corked connection. Its [`handle`](Self::handle)s are used by the same task, so that nobody ever waits for the lock.
pub(crate) struct Cork<S = Io>(Arc<Mutex<Bottle<S>>>);

struct Bottle<S> {
    io: S,
    collected: Vec<u8>,
    /// How much of it has been sent.
    sent: usize,
    /// Something has been passed on since the last flush.
    is_dirty: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Cork<S> {
    pub(crate) fn new(io: S) -> Self {
        Self(Arc::new(Mutex::new(Bottle { io, collected: Vec::new(), sent: 0, is_dirty: false })))
    }

    /// Another end of the same connection.
    pub(crate) fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Sends what has been collected.
    pub(crate) fn pull(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bottle = self.lock();
        ready!(bottle.drain(cx))?;
        if bottle.is_dirty {
            ready!(Pin::new(&mut bottle.io).poll_flush(cx))?;
            bottle.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    fn lock(&self) -> MutexGuard<'_, Bottle<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Bottle<S> {
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.collected.len() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.collected[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
            self.is_dirty = true;
        }
        self.collected.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Makes room for so many bytes; says whether they are to be collected, or too many for that.
    fn poll_room(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<bool>> {
        if self.collected.len() + length > FULL {
            ready!(self.drain(cx))?;
        }
        Poll::Ready(Ok(length <= FULL))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cork<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut bottle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut bottle.io).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut bottle = self.lock();
        let length = slices.iter().map(|slice| slice.len()).sum();
        if !ready!(bottle.poll_room(cx, length))? {
            bottle.is_dirty = true;
            return Pin::new(&mut bottle.io).poll_write_vectored(cx, slices);
        }
        for slice in slices {
            bottle.collected.extend_from_slice(slice);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Comes after every frame. What is meant is done when the cork is pulled.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pull(cx))?;
        Pin::new(&mut self.lock().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn corked(capacity: usize) -> (Cork<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(capacity);
        (Cork::new(near), far)
    }

    /// What has arrived by now.
    async fn arrived(far: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 * 1024);
        let read = async { while far.read_buf(&mut bytes).await.unwrap() > 0 {} };
        let mut read = std::pin::pin!(read);
        poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_ready())).await;
        bytes
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_written_and_flushed_waits_for_the_pull() {
        let (mut cork, mut far) = corked(1024);
        for part in ["one ", "two ", "three"] {
            cork.write_all(part.as_bytes()).await.unwrap();
            cork.flush().await.unwrap();
        }
        assert_eq!(arrived(&mut far).await, b"");
        poll_fn(|cx| cork.pull(cx)).await.unwrap();
        assert_eq!(arrived(&mut far).await, b"one two three");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_does_not_fit_pushes_out_what_came_before_and_order_is_kept() {
        let (mut cork, mut far) = corked(1024 * 1024);
        let parts: Vec<Vec<u8>> = [10, FULL, 5, FULL + 1, 7].iter().zip(b'a'..).map(|(n, b)| vec![b; *n]).collect();
        for part in &parts {
            cork.write_all(part).await.unwrap();
        }
        poll_fn(|cx| cork.pull(cx)).await.unwrap();
        let mut all = Vec::new();
        while all.len() < parts.concat().len() {
            all.extend(arrived(&mut far).await);
        }
        assert_eq!(all, parts.concat());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_full_socket_holds_the_writer_back_and_loses_nothing() {
        let (mut cork, mut far) = corked(100);
        let text: Vec<u8> = (0..50_000_u32).map(|n| n as u8).collect();
        let write = async {
            cork.write_all(&text).await.unwrap();
            cork.shutdown().await.unwrap();
        };
        let mut all = Vec::new();
        let read = async { far.read_to_end(&mut all).await.unwrap() };
        tokio::join!(write, read);
        assert_eq!(all, text);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_empty_cork_can_be_pulled() {
        let (cork, mut far) = corked(10);
        poll_fn(|cx| cork.pull(cx)).await.unwrap();
        assert_eq!(arrived(&mut far).await, b"");
    }
}
