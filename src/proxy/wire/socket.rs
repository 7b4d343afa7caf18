//! A worker's socket, in two halves: what is sent may be on its way while the answer is read.
//!
//! Does not know HTTP. The halves are the runtime's own: they keep in mind when the kernel has nothing more to give or no
//! room, and spare the call that would only say so.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::id::Address;
use crate::sys::arrived::{Arrived, arrived};
use crate::sys::stream;

/// A worker's whole socket.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What comes from the worker.
pub(super) enum Reader {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

/// What goes to the worker. Closes its direction when it is dropped.
pub(super) enum Writer {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

/// Connects. Waits as long as the kernel does; cancellation safe.
pub(super) async fn connect(address: &Address) -> io::Result<(Reader, Writer)> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            Ok((Reader::Tcp(reader), Writer::Tcp(writer)))
        }
        Address::Unix(path) => {
            let (reader, writer) = UnixStream::connect(path).await?.into_split();
            Ok((Reader::Unix(reader), Writer::Unix(writer)))
        }
    }
}

/// Puts the halves together again; `None`: they are not of one socket.
pub(super) fn whole(reader: Reader, writer: Writer) -> Option<Socket> {
    match (reader, writer) {
        (Reader::Tcp(reader), Writer::Tcp(writer)) => reader.reunite(writer).ok().map(Socket::Tcp),
        (Reader::Unix(reader), Writer::Unix(writer)) => reader.reunite(writer).ok().map(Socket::Unix),
        _ => None,
    }
}

impl Reader {
    /// Reads what there is into the room that the buffer has; 0: the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut impl BufMut) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => stream::poll_read(tcp.as_ref(), cx, into),
            Self::Unix(unix) => stream::poll_read(unix.as_ref(), cx, into),
        }
    }

    /// Has nothing come, not even the end, as far as the runtime knows? The kernel is asked only if something has.
    pub(super) fn is_quiet(&self) -> bool {
        let tried = match self {
            Self::Tcp(tcp) => tcp.try_read(&mut [0]),
            Self::Unix(unix) => unix.try_read(&mut [0]),
        };
        tried.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Our end of it, if it is one of TCP.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(tcp) => tcp.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Does this end prove that the worker has not read all that was sent? A Unix socket is reset only if its peer closes it with
    /// bytes in it, or never took it (Linux, `unix_release_sock`). One of TCP can be reset for other reasons.
    pub(super) fn is_left_unread<T>(&self, end: &io::Result<T>) -> bool {
        let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        matches!(self, Self::Unix(_)) && end.as_ref().is_err_and(is_reset)
    }

    /// The same, as far as the kernel knows.
    pub(super) fn is_really_quiet(&self) -> bool {
        let there = match self {
            Self::Tcp(tcp) => arrived(tcp.as_ref()),
            Self::Unix(unix) => arrived(unix.as_ref()),
        };
        there == Arrived::Nothing
    }
}

impl Writer {
    /// Writes what comes before all exchanges. Not cancellation safe: half of it may be left behind.
    pub(super) async fn introduce(&mut self, header: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.write_all(header).await,
            Self::Unix(unix) => unix.write_all(header).await,
        }
    }

    /// Writes as much as there is room for.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => stream::poll_write(tcp.as_ref(), cx, slices),
            Self::Unix(unix) => stream::poll_write(unix.as_ref(), cx, slices),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match &*self {
            Self::Tcp(tcp) => stream::poll_read(tcp, cx, buffer),
            Self::Unix(unix) => stream::poll_read(unix, cx, buffer),
        };
        read.map_ok(drop)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &*self {
            Self::Tcp(tcp) => stream::poll_write(tcp, cx, slices),
            Self::Unix(unix) => stream::poll_write(unix, cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}
