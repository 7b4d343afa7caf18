//! What one image of this program hands to the next: descriptors that live through an exec, and one that says what they are.
//!
//! An exec in place keeps the process, with its number, its children and whatever descriptor is not close-on-exec; memory goes.
//! What is written down, and what the descriptors are for, is not known here. Invariants: an exec that fails has changed
//! nothing; a descriptor that was handed over is duplicated to be used, and stays where it is until [`close`], so that a
//! further exec can hand it on once more.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;

/// The number of the first descriptor that a manager passes.
const FIRST_PASSED: RawFd = 3;

/// A file in memory with this text.
pub fn memory(name: &str, text: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file.into())
}

/// All that stands in a file that was handed over, from its beginning; it stays open.
pub fn read(number: RawFd) -> io::Result<String> {
    let mut file = File::from(duplicate(number)?);
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Another descriptor for what was handed over, close-on-exec.
pub fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(borrow(number)?, 3)?)
}

/// Closes what was handed over.
pub fn close(number: RawFd) {
    if borrow(number).is_ok() {
        // SAFETY: it is open, and as it is not close-on-exec, no value of this process owns it.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
    }
}

/// What tells one open file, socket or pipe from all others.
pub fn inode(descriptor: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::fstat(descriptor)?.st_ino)
}

/// The descriptors that a manager has passed to this process (`sd_listen_fds(3)`), by number, with their names.
#[must_use]
pub fn passed() -> Vec<(RawFd, String)> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<i64>().ok());
    if number("LISTEN_PID") != Some(i64::from(std::process::id())) {
        return Vec::new();
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let count = usize::try_from(number("LISTEN_FDS").unwrap_or(0)).unwrap_or(0);
    (FIRST_PASSED..).zip(names.split(':').map(str::to_owned)).take(count).collect()
}

/// The program that this process runs, whatever stands at its path by now.
pub fn own_program() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/self/exe")?.into())
}

/// From now on a panic on any thread ends the process at once, without unwinding: children live on, and whoever starts this
/// program again goes on with them.
pub fn die_of_panics() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        told(panic);
        std::process::abort();
    }));
}

/// Signals are kept for later until [`release_signals`], so that none meets an image that has no handlers yet.
pub fn hold_signals() {
    let _ = held().thread_block();
}

/// Lets those come that were kept.
pub fn release_signals() {
    let _ = held().thread_unblock();
}

fn held() -> SigSet {
    let signals = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2];
    signals.into_iter().collect()
}

/// Becomes another program, which keeps the descriptors in `keep` at their numbers. Returns only if that fails.
pub fn become_program(
    program: BorrowedFd<'_>,
    args: &[OsString],
    environment: impl Iterator<Item = (OsString, OsString)>,
    keep: &[BorrowedFd<'_>],
) -> io::Error {
    let pairs = environment.map(|(name, value)| [name.as_os_str(), OsStr::new("="), &value].into_iter().collect());
    let prepared = (strings(args.iter().cloned()), strings(pairs));
    let (Ok(args), Ok(environment)) = prepared else {
        return io::Error::new(io::ErrorKind::InvalidInput, "a zero byte in an argument or a variable");
    };
    let flag = |flags| keep.iter().try_for_each(|one| rustix::io::fcntl_setfd(one, flags));
    hold_signals();
    let failed = flag(FdFlags::empty()).map_err(io::Error::from).and_then(|()| execute(program, &args, &environment));
    release_signals();
    let _ = flag(FdFlags::CLOEXEC);
    match failed {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn execute(program: BorrowedFd<'_>, args: &[CString], environment: &[CString]) -> io::Result<Infallible> {
    Ok(nix::unistd::fexecve(program, args, environment)?)
}

fn strings(words: impl Iterator<Item = OsString>) -> Result<Vec<CString>, std::ffi::NulError> {
    words.map(|word| CString::new(word.into_vec())).collect()
}

/// It is open, and nobody in this process has made it.
fn borrow(number: RawFd) -> io::Result<BorrowedFd<'static>> {
    let refuse = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("descriptor {number}: {why}"));
    if number < 3 {
        return Err(refuse("it is no descriptor that can be handed over"));
    }
    // SAFETY: not negative, and used for one call at a time, which reports a closed number as EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = rustix::io::fcntl_getfd(borrowed).map_err(|error| refuse(&io::Error::from(error).to_string()))?;
    if flags.contains(FdFlags::CLOEXEC) { Err(refuse("it was not handed over")) } else { Ok(borrowed) }
}

/// Nanoseconds of the clock that all processes of this machine share until it is started anew.
#[must_use]
pub fn monotonic() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to what is ours for the whole call; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// Names this start of the machine.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd, IntoRawFd};

    use super::*;
    use crate::sys::testing::run_test_in_child;

    fn hand_over(descriptor: OwnedFd) -> RawFd {
        rustix::io::fcntl_setfd(&descriptor, FdFlags::empty()).unwrap();
        descriptor.into_raw_fd()
    }

    #[test]
    fn what_was_handed_over_is_read_as_often_as_one_likes_until_it_is_closed() {
        let number = hand_over(memory("ledger", b"what there is").unwrap());
        assert_eq!(read(number).unwrap(), "what there is");
        assert_eq!(read(number).unwrap(), "what there is");
        close(number);
        close(number);
        assert_eq!(read(number).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_somebody_owns_was_not_handed_over() {
        let owned = memory("x", b"").unwrap();
        assert!(duplicate(owned.as_raw_fd()).unwrap_err().to_string().contains("was not handed over"));
        close(owned.as_raw_fd());
        assert!(rustix::io::fcntl_getfd(&owned).is_ok(), "and is not closed");
        assert!(duplicate(1).is_err() && duplicate(-1).is_err());
    }

    #[test]
    fn a_program_that_cannot_run_changes_nothing() {
        let (no_program, kept) = (memory("text", b"no program").unwrap(), memory("x", b"").unwrap());
        let error = become_program(no_program.as_fd(), &["x".into()], std::iter::empty(), &[kept.as_fd()]);
        assert!(error.raw_os_error().is_some(), "{error}");
        assert!(rustix::io::fcntl_getfd(&kept).unwrap().contains(FdFlags::CLOEXEC));
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM));
    }

    #[test]
    fn an_image_hands_its_descriptors_to_the_next() {
        run_test_in_child("sys::handover::tests::in_a_child_hand_over");
    }

    /// Becomes a shell that reads what it was handed.
    #[test]
    #[ignore = "run in a process of its own by the test above"]
    fn in_a_child_hand_over() {
        let kept = memory("kept", b"here\n").unwrap();
        let shell: OwnedFd = File::open("/bin/sh").unwrap().into();
        let script = format!("read word < /dev/fd/{}; test \"$word$X\" = hereit && echo 1 passed", kept.as_raw_fd());
        let environment = [("X".into(), "it".into())];
        let error = become_program(
            shell.as_fd(),
            &["sh".into(), "-c".into(), script.into()],
            environment.into_iter(),
            &[kept.as_fd()],
        );
        panic!("{error}");
    }
}
