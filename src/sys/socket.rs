//! Anonymous channels between two processes: socket pairs and pipes.
//!
//! Both ends are close-on-exec; an end reaches a child only by being placed there
//! ([`crate::sys::spawn::Spawn::descriptors`]). What is said over them is not known here.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::OFlags;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

/// Makes two connected Unix stream sockets, both blocking until told otherwise.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    Ok(pair)
}

/// Claims a socket that the parent placed at a descriptor number of this process.
///
/// # Errors
/// When nothing was placed there, when it is claimed already (it is close-on-exec then), or when it is no socket.
pub fn adopt(descriptor: RawFd) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::from_raw_os_error(nix::libc::EBADF));
    }
    // SAFETY: not negative, and used only for calls that report a closed number as EBADF.
    let number = unsafe { BorrowedFd::borrow_raw(descriptor) };
    if fcntl_getfd(number)?.contains(FdFlags::CLOEXEC) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the descriptor is owned already"));
    }
    rustix::net::sockopt::socket_type(number)?;
    // SAFETY: it is open, and since it was not close-on-exec nobody in this process has made or claimed it.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    Ok(socket)
}

/// Makes a pipe for a worker's output: the read end (first) does not block, the write end does, as programs expect
/// of their standard streams.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    Ok((reader, writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    use rustix::fs::fcntl_getfl;

    #[test]
    fn what_goes_in_at_one_end_of_a_pair_comes_out_at_the_other() {
        let (here, there) = pair().unwrap();
        let mut buffer = [0; 8];
        for (from, to) in [(&here, &there), (&there, &here)] {
            assert_eq!(rustix::io::write(from, b"epoch").unwrap(), 5);
            assert_eq!(rustix::io::read(to, &mut buffer).unwrap(), 5);
            assert_eq!(&buffer[..5], b"epoch");
        }
    }

    #[test]
    fn only_the_read_end_of_a_pipe_refuses_to_block() {
        let (reader, writer) = pipe().unwrap();
        assert!(fcntl_getfl(&reader).unwrap().contains(OFlags::NONBLOCK));
        assert!(!fcntl_getfl(&writer).unwrap().contains(OFlags::NONBLOCK));
        let mut buffer = [0; 8];
        assert_eq!(rustix::io::read(&reader, &mut buffer), Err(rustix::io::Errno::AGAIN));
    }

    #[test]
    fn no_end_survives_an_exec_by_accident() {
        let (a, b) = pair().unwrap();
        let (c, d) = pipe().unwrap();
        for end in [a, b, c, d] {
            assert!(fcntl_getfd(&end).unwrap().contains(FdFlags::CLOEXEC));
        }
    }
}
