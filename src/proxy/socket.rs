//! Looks into a socket's receive queue without taking anything out, past what the runtime has been told.
//!
//! Readiness reaches a task through epoll, some time after the kernel knew. Before a connection is used after a pause, or
//! closed for being idle, it pays to ask the kernel itself. One system call that never waits.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use socket2::SockRef;

/// What lies in a socket's receive queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    Nothing,
    Bytes,
    /// The peer has closed, or the connection is broken.
    End,
}

/// Asks the kernel what has arrived. The socket must be non-blocking.
pub(crate) fn arrived(socket: &impl AsFd) -> Arrived {
    match SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]) {
        Ok(0) => Arrived::End,
        Ok(_) => Arrived::Bytes,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Arrived::Nothing,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Arrived::Nothing,
        Err(_) => Arrived::End,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn it_tells_nothing_bytes_and_end_apart() {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        assert_eq!(arrived(&near), Arrived::Nothing);
        far.write_all(b"x").unwrap();
        assert_eq!(arrived(&near), Arrived::Bytes);
        drop(far);
        assert_eq!(arrived(&near), Arrived::Bytes, "what was sent before the end comes first");
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert_eq!(arrived(&near), Arrived::End);
    }
}
