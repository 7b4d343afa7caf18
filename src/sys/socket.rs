//! Anonymous channels between two processes: socket pairs and pipes.
//!
//! Both ends are close-on-exec; an end reaches a child only by being placed there
//! ([`crate::sys::spawn::Spawn::descriptors`]). What is said over them is not known here.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

/// Makes two connected Unix stream sockets, both blocking until told otherwise.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    Ok(pair)
}

/// A pipe for a worker's output.
#[derive(Debug)]
pub struct Pipe {
    /// Does not block.
    pub read: OwnedFd,
    /// Blocks, as programs expect of their standard streams.
    pub write: OwnedFd,
}

/// Makes a [`Pipe`].
pub fn pipe() -> io::Result<Pipe> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK)?;
    Ok(Pipe { read, write })
}

#[cfg(test)]
mod tests {
    use super::*;

    use rustix::fs::fcntl_getfl;
    use rustix::io::{FdFlags, fcntl_getfd};

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
        let pipe = pipe().unwrap();
        assert!(fcntl_getfl(&pipe.read).unwrap().contains(OFlags::NONBLOCK));
        assert!(!fcntl_getfl(&pipe.write).unwrap().contains(OFlags::NONBLOCK));
        let mut buffer = [0; 8];
        assert_eq!(rustix::io::read(&pipe.read, &mut buffer), Err(rustix::io::Errno::AGAIN));
    }

    #[test]
    fn no_end_survives_an_exec_by_accident() {
        let (a, b) = pair().unwrap();
        let Pipe { read, write } = pipe().unwrap();
        for end in [a, b, read, write] {
            assert!(fcntl_getfd(&end).unwrap().contains(FdFlags::CLOEXEC));
        }
    }
}
