//! A client's socket, with or without TLS, as hyper reads and writes it.
//!
//! Tells the connection's pulse of what comes in, and lingers at the end when request bytes may still be under way: closing
//! on unread bytes would make the kernel send a reset, which can overtake the answer (RFC 9112, section 9.6), and nobody
//! would know that a request was lost. Does not know HTTP. Invariant: it never reads ahead of its reader.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::alarm::Alarm;
use super::meter::Meter;
use super::pulse::{Order, Pulse};
use super::refusal;
use super::socket::Socket;
use crate::sys::arrived::{Arrived, arrived};

/// How long a closing connection goes on reading what its client still sends.
const LINGER: Duration = Duration::from_secs(2);

/// A client's connection.
pub(crate) struct Io {
    stream: Stream,
    pulse: Arc<Pulse>,
    /// What was read and put back.
    unread: Bytes,
    /// `None`: HTTP/1, where bytes from an idle client begin a head.
    meter: Option<Box<Meter>>,
    closing: Option<Closing>,
}

/// What carries the bytes.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// Reads on after our side has been closed.
struct Closing {
    until: Instant,
    alarm: Alarm,
    is_shut: bool,
}

impl Io {
    pub(crate) fn new(stream: Stream, pulse: Arc<Pulse>, is_http2: bool) -> Self {
        Self { stream, pulse, unread: Bytes::new(), meter: is_http2.then(Box::default), closing: None }
    }

    /// Has anything come, as far as the runtime knows? If not, the task is woken when it does.
    pub(crate) fn poll_heard(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.unread.is_empty() {
            return Poll::Ready(());
        }
        self.stream.tcp().poll_read_ready(cx).map(drop)
    }

    /// Puts back what was read and not used; it comes again first.
    pub(crate) fn put_back(&mut self, unread: Bytes) {
        self.unread = unread;
    }

    /// Tells the client that it was too slow, and closes. A client that does not take even this much goes without.
    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pulse.leave_unread();
        let mut this = Pin::new(self);
        let _ = this.as_mut().poll_write(cx, refusal::TEXT);
        let _ = this.as_mut().poll_flush(cx);
        this.get_mut().poll_close(cx)
    }

    /// Closes our side, and lingers if need be.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fresh = || Closing { until: Instant::now() + LINGER, alarm: Alarm::default(), is_shut: false };
        let closing = self.closing.get_or_insert_with(fresh);
        if !closing.is_shut {
            ready!(self.stream.poll_shutdown(cx))?;
            closing.is_shut = true;
        }
        if self.pulse.must_linger() { self.poll_linger(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Reads and drops what comes until the client is done or the time is up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, pulse, closing: Some(closing), .. } = self else { return Poll::Ready(Ok(())) };
        let mut scratch = [0; 4096];
        // Gives way after 64 KiB, so that a fast sender does not keep the thread.
        for _ in 0..16 {
            if closing.alarm.poll(cx, closing.until).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(stream.poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            pulse.heard_late();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Stream {
    /// What ALPN has settled on, if it was used.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }

    /// Which TLS is spoken, if it is.
    pub(crate) fn tls_version(&self) -> Option<ProtocolVersion> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.get_ref().1.protocol_version(),
        }
    }

    /// The server that the client has asked for by name, in lower case.
    pub(crate) fn server_name(&self) -> Option<Box<str>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.get_ref().1.server_name().map(|name| name.to_ascii_lowercase().into()),
        }
    }

    /// The address of ours that the client has connected to.
    pub(crate) fn reached(&self) -> Option<SocketAddr> {
        self.tcp().local_addr().ok()
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket.tcp(),
            Self::Tls(tls) => tls.get_ref().0.tcp(),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_some() {
            return this.poll_close(cx);
        }
        match this.pulse.take_order() {
            Order::Read => {}
            Order::Look if arrived(this.stream.tcp()) == Arrived::Nothing => {}
            Order::Look => this.pulse.heard(),
            Order::Refuse => return this.poll_refuse(cx),
        }
        let before = buffer.filled().len();
        if this.unread.is_empty() {
            ready!(this.stream.poll_read(cx, buffer))?;
        } else {
            let length = this.unread.len().min(buffer.remaining());
            buffer.put_slice(&this.unread.split_to(length));
        }
        let new = &buffer.filled()[before..];
        match &mut this.meter {
            _ if new.is_empty() => {}
            None => this.pulse.heard(),
            Some(meter) => {
                meter.read(new);
                this.pulse.heard_frames(meter);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_close(cx)
    }
}
