//! Anonymous channels between two processes: socket pairs and pipes.
//!
//! Both ends are close-on-exec; an end reaches a child only by being placed there
//! ([`crate::sys::spawn::Spawn::descriptors`]). What is said over them is not known here.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use rustix::fs::OFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

use super::descriptor;

/// Makes two connected Unix stream sockets, both blocking until told otherwise.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    Ok(pair)
}

/// Claims a socket that the parent placed at a descriptor number of this process.
///
/// # Errors
/// `InvalidData`, naming the number, when nothing was placed there, when it has an owner already, or when it is no
/// socket; in the last case it is closed.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    let socket = descriptor::claim(number)?;
    match rustix::net::sockopt::socket_type(&socket) {
        Ok(_) => Ok(socket),
        Err(error) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("descriptor {number}: {}", io::Error::from(error))))
        }
    }
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
    use std::os::fd::IntoRawFd;

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
    fn a_placed_socket_is_adopted_and_a_file_is_not() {
        // As after an exec: open, not close-on-exec, owned by no value.
        let place = |descriptor: &OwnedFd| rustix::io::dup(descriptor).unwrap().into_raw_fd();
        let (near, far) = pair().unwrap();
        let adopted = adopt(place(&near)).unwrap();
        assert!(fcntl_getfd(&adopted).unwrap().contains(FdFlags::CLOEXEC));
        assert_eq!(rustix::io::write(&adopted, b"x").unwrap(), 1);
        assert_eq!(rustix::io::read(&far, &mut [0; 2]).unwrap(), 1);

        let number = place(&std::fs::File::open("/dev/null").unwrap().into());
        let refusal = adopt(number).unwrap_err().to_string();
        assert_eq!(refusal, format!("descriptor {number}: Socket operation on non-socket (os error 88)"));
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
