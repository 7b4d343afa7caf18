//! Reads and writes of stream sockets on the runtime's readiness, with the fewest and cheapest system calls.
//!
//! As the runtime's own, but that the calls go past the C library, which makes each of them a point at which its thread
//! may be cancelled, and that what is little is put together and sent in one piece, which costs the kernel less than
//! several. Does not know what is read and written. Invariant: a socket of which less came than there was room for, or that took less than
//! there was, counts as not ready until the kernel says otherwise, which spares the call that would only say so: epoll is
//! used with `EPOLLET`, and this is its rule (epoll(7)).
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use rustix::io::writev;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// Bytes that are rather copied than handed to the kernel in pieces.
const LITTLE: usize = 2 * 1024;

thread_local! {
    /// Where they are put together. Holds nothing from one write to the next.
    static PIECE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(LITTLE));
}

/// A stream socket of the runtime's.
pub trait Stream: AsFd {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Does it if the socket is ready; it is not any more if that would have to wait.
    fn attempt<T>(&self, interest: Interest, step: impl FnOnce() -> io::Result<T>) -> io::Result<T>;
}

macro_rules! stream {
    ($($socket:ty),*) => {$(
        impl Stream for $socket {
            fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_read_ready(cx)
            }

            fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_write_ready(cx)
            }

            fn attempt<T>(&self, interest: Interest, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
                self.try_io(interest, step)
            }
        }
    )*};
}

stream!(TcpStream, UnixStream);

/// Reads what there is into the room that the buffer has; 0: the end, or no room.
pub fn poll_read(stream: &impl Stream, cx: &mut Context<'_>, into: &mut impl BufMut) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_readable(cx))?;
        if let Some(read) = step(stream, Interest::READABLE, || receive(stream, into)) {
            return Poll::Ready(read);
        }
    }
}

/// Writes as much as there is room for.
pub fn poll_write(stream: &impl Stream, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_writable(cx))?;
        if let Some(written) = step(stream, Interest::WRITABLE, || give(stream, slices)) {
            return Poll::Ready(written);
        }
    }
}

/// Moved bytes, of those that could have been.
type Moved = (usize, usize);

/// One try; `None`: it would have had to wait.
fn step(stream: &impl Stream, interest: Interest, go: impl FnOnce() -> io::Result<Moved>) -> Option<io::Result<usize>> {
    let mut moved = None;
    let tried = stream.attempt(interest, || {
        let (count, most) = go()?;
        moved = Some(count);
        // The runtime takes this for the end of readiness.
        if (1..most).contains(&count) { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match (moved, tried) {
        (Some(count), _) => Some(Ok(count)),
        (None, Err(error)) if error.kind() == ErrorKind::WouldBlock => None,
        (None, Err(error)) => Some(Err(error)),
        (None, Ok(())) => None,
    }
}

/// recv(2).
fn receive(stream: &impl Stream, into: &mut impl BufMut) -> io::Result<Moved> {
    let chunk = into.chunk_mut();
    let most = chunk.len();
    // SAFETY: nothing is written there but what the kernel has read.
    let room = unsafe { chunk.as_uninit_slice_mut() };
    let count = loop {
        match recv(stream, &mut *room, RecvFlags::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            done => break done?.1,
        }
    };
    // SAFETY: the kernel has filled so much of it.
    unsafe { into.advance_mut(count) };
    Ok((count, most))
}

/// send(2), or writev(2) for what is much and in several pieces.
fn give(stream: &impl Stream, slices: &[IoSlice<'_>]) -> io::Result<Moved> {
    if let [only] = slices {
        return Ok((persist(|| send(stream, only, SendFlags::NOSIGNAL))?, only.len()));
    }
    let most = slices.iter().map(|slice| slice.len()).sum();
    let count = if most <= LITTLE {
        PIECE.with_borrow_mut(|piece| {
            piece.clear();
            for slice in slices {
                piece.extend_from_slice(slice);
            }
            persist(|| send(stream, piece, SendFlags::NOSIGNAL))
        })
    } else {
        persist(|| writev(stream, slices))
    };
    Ok((count?, most))
}

/// Again when a signal has come in between.
fn persist(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::BytesMut;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn read(stream: &UnixStream, room: usize) -> io::Result<Vec<u8>> {
        let mut buffer = BytesMut::with_capacity(room).limit(room);
        poll_fn(|cx| poll_read(stream, cx, &mut buffer)).await?;
        Ok(buffer.into_inner().to_vec())
    }

    async fn write(stream: &UnixStream, pieces: &[&[u8]]) -> io::Result<usize> {
        let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        poll_fn(|cx| poll_write(stream, cx, &slices)).await
    }

    #[tokio::test]
    async fn what_comes_is_read_until_the_end() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"abc").await.unwrap();
        assert_eq!(read(&near, 2).await.unwrap(), b"ab", "no more than there is room for");
        assert_eq!(read(&near, 2).await.unwrap(), b"c");
        let (later, ()) = tokio::join!(read(&near, 8), async { far.write_all(b"de").await.unwrap() });
        assert_eq!(later.unwrap(), b"de", "what comes later is waited for");
        drop(far);
        assert_eq!(read(&near, 8).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn pieces_arrive_in_one_piece_however_many_they_are() {
        for (pieces, length) in [(&[&b"one"[..]][..], 3), (&[b"", b"two", b"", b"three"], 8), (&[], 0), (&[b""], 0)] {
            let (near, mut far) = UnixStream::pair().unwrap();
            assert_eq!(write(&near, pieces).await.unwrap(), length);
            drop(near);
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, pieces.concat());
        }
        for half in [LITTLE / 2, LITTLE] {
            let (near, mut far) = UnixStream::pair().unwrap();
            let (first, second) = (vec![b'a'; half], vec![b'b'; half + 1]);
            assert_eq!(write(&near, &[&first, &second]).await.unwrap(), 2 * half + 1);
            let mut got = vec![0; 2 * half + 1];
            far.read_exact(&mut got).await.unwrap();
            assert_eq!(got, [first, second].concat());
        }
    }

    #[tokio::test]
    async fn a_full_socket_is_waited_for() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let much = vec![b'x'; 4 * 1024 * 1024];
        let sending = async {
            let (mut sent, mut waited) = (0, false);
            while sent < much.len() {
                let count = write(&near, &[&much[sent..], b""]).await.unwrap();
                waited |= sent + count < much.len();
                sent += count;
            }
            drop(near);
            waited
        };
        let mut got = Vec::new();
        let (waited, read) = tokio::join!(sending, far.read_to_end(&mut got));
        assert!(waited, "it took all at once");
        assert_eq!((read.unwrap(), got.len()), (much.len(), much.len()));
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_error_and_no_signal() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert_eq!(write(&near, &[b"x"]).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(write(&near, &[b"x", b"y"]).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
