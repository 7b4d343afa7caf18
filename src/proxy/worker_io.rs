//! A worker's socket as hyper reads and writes it, and the meter that says how far an exchange on it has come.
//!
//! Does not know HTTP. Two things are done here that hyper cannot know of. Before the first exchange after a pause the
//! kernel is asked whether the worker has closed meanwhile, or has sent what nobody asked for and what would pass for the
//! answer: hyper reads before it writes, sees an end, and hands the request back unsent. And a failed write is not an end: a worker may answer before it has read the whole request and
//! close, and that answer is still there to be read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::id::Address;
use crate::sys::arrived::{Arrived, arrived};

/// How far an exchange on a worker's connection has come.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    has_sent: AtomicBool,
    has_heard: AtomicBool,
    must_look: AtomicBool,
    is_tunnel: AtomicBool,
}

impl Meter {
    /// A new exchange begins; `after_pause`: ask the kernel first whether the worker has closed.
    pub(crate) fn begin(&self, after_pause: bool) {
        self.has_sent.store(false, Relaxed);
        self.has_heard.store(false, Relaxed);
        self.must_look.store(after_pause, Relaxed);
    }

    /// Has any byte been written since the exchange began?
    pub(crate) fn has_sent(&self) -> bool {
        self.has_sent.load(Relaxed)
    }

    /// Has any byte been read since the exchange began?
    pub(crate) fn has_heard(&self) -> bool {
        self.has_heard.load(Relaxed)
    }

    /// From now on the connection is a tunnel: a failed write ends it.
    pub(crate) fn become_tunnel(&self) {
        self.is_tunnel.store(true, Relaxed);
    }

    fn take_look(&self) -> bool {
        self.must_look.load(Relaxed) && self.must_look.swap(false, Relaxed)
    }
}

/// A connection to a worker.
pub(crate) struct WorkerIo {
    stream: Stream,
    meter: Arc<Meter>,
    /// Writing has failed: what is written from now on goes nowhere.
    is_mute: bool,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl WorkerIo {
    /// Connects. Waits as long as the kernel does; cancellation safe.
    pub(crate) async fn connect(address: &Address, meter: Arc<Meter>) -> io::Result<Self> {
        let stream = match address {
            Address::Tcp(address) => {
                let tcp = TcpStream::connect(address).await?;
                tcp.set_nodelay(true)?;
                Stream::Tcp(tcp)
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
        };
        Ok(Self { stream, meter, is_mute: false })
    }

    /// Writes what comes before all exchanges. Not cancellation safe: half a header is left behind.
    pub(crate) async fn introduce(&mut self, header: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.write_all(header).await,
            Stream::Unix(unix) => unix.write_all(header).await,
        }
    }

    /// Has anything come, were it the end?
    fn is_spent(&self) -> bool {
        let there = match &self.stream {
            Stream::Tcp(tcp) => arrived(tcp),
            Stream::Unix(unix) => arrived(unix),
        };
        there != Arrived::Nothing
    }

    /// Notes what a write has come to; `length` is what it was asked to write.
    fn note(&mut self, written: io::Result<usize>, length: usize) -> Poll<io::Result<usize>> {
        match written {
            Ok(count) => {
                self.meter.has_sent.store(true, Relaxed);
                Poll::Ready(Ok(count))
            }
            Err(error) if self.meter.is_tunnel.load(Relaxed) => Poll::Ready(Err(error)),
            Err(_) => {
                self.is_mute = true;
                Poll::Ready(Ok(length))
            }
        }
    }
}

impl AsyncRead for WorkerIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.meter.take_look() && self.is_spent() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match &mut self.stream {
            Stream::Tcp(tcp) => ready!(Pin::new(tcp).poll_read(cx, buffer))?,
            Stream::Unix(unix) => ready!(Pin::new(unix).poll_read(cx, buffer))?,
        }
        if buffer.filled().len() > before {
            self.meter.has_heard.store(true, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WorkerIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_mute {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = match &mut self.stream {
            Stream::Tcp(tcp) => ready!(Pin::new(tcp).poll_write(cx, bytes)),
            Stream::Unix(unix) => ready!(Pin::new(unix).poll_write(cx, bytes)),
        };
        self.note(written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if self.is_mute {
            return Poll::Ready(Ok(length));
        }
        let written = match &mut self.stream {
            Stream::Tcp(tcp) => ready!(Pin::new(tcp).poll_write_vectored(cx, slices)),
            Stream::Unix(unix) => ready!(Pin::new(unix).poll_write_vectored(cx, slices)),
        };
        self.note(written, length)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets have no buffer of their own to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}
