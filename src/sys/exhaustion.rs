//! Has a call failed because something has run out, here or on the whole machine, and not because of whom it was for?
//!
//! socket(2), connect(2): descriptors of the process or the system, local ports, memory of the kernel.

use std::io;

use rustix::io::Errno;

/// Has something run out that may be there again later?
#[must_use]
pub fn is_exhausted(error: &io::Error) -> bool {
    const ALL: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::ADDRNOTAVAIL];
    Errno::from_io_error(error).is_some_and(|errno| ALL.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_out_is_told_from_who_is_not_there() {
        assert!(is_exhausted(&Errno::MFILE.into()) && is_exhausted(&Errno::ADDRNOTAVAIL.into()));
        assert!(!is_exhausted(&Errno::CONNREFUSED.into()));
        assert!(!is_exhausted(&io::ErrorKind::TimedOut.into()));
    }
}
