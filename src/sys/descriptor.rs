//! The other end of [`super::spawn::Spawn::descriptors`]: a program claims what its parent placed.
//!
//! What the descriptor is for is the caller's business. Invariant: each number is claimed at most once.
#![allow(unsafe_code)]

use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, FdFlags};

/// Claims the descriptor that the parent placed at a number, and makes it close-on-exec.
///
/// A descriptor that came through an exec is not close-on-exec, one that this process opened or has claimed is: so a
/// number can be claimed only once, and nothing that has an owner already can be claimed at all.
///
/// # Errors
/// `InvalidData`, naming the number, when nothing was placed there or it has an owner.
pub(super) fn claim(number: RawFd) -> io::Result<OwnedFd> {
    let refuse = |reason: &dyn std::fmt::Display| {
        io::Error::new(ErrorKind::InvalidData, format!("descriptor {number}: {reason}"))
    };
    if number < 0 {
        return Err(refuse(&io::Error::from(Errno::BADF)));
    }
    // SAFETY: not negative, and used only for one call, which reports a closed number as EBADF.
    let placed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = rustix::io::fcntl_getfd(placed).map_err(|error| refuse(&io::Error::from(error)))?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(refuse(&"it has an owner already"));
    }
    // SAFETY: it is open, and since it is not close-on-exec nothing in this process has made or claimed it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    #[test]
    fn what_was_placed_is_claimed_once_and_what_has_an_owner_never() {
        let owned = std::fs::File::open("/dev/null").unwrap();
        let refusal = claim(owned.as_raw_fd()).unwrap_err();
        assert_eq!(refusal.to_string(), format!("descriptor {}: it has an owner already", owned.as_raw_fd()));

        // As it looks after an exec: open, not close-on-exec, owned by no value.
        let placed = rustix::io::dup(&owned).unwrap().into_raw_fd();
        let claimed = claim(placed).unwrap();
        assert!(rustix::io::fcntl_getfd(&claimed).unwrap().contains(FdFlags::CLOEXEC));
        assert_eq!(claim(placed).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn a_number_at_which_nothing_stands_is_named() {
        assert_eq!(claim(-1).unwrap_err().to_string(), "descriptor -1: Bad file descriptor (os error 9)");
        assert_eq!(claim(999_999).unwrap_err().to_string(), "descriptor 999999: Bad file descriptor (os error 9)");
    }
}
