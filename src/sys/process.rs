//! What a process may ask of the kernel about itself and others: its name, its limits, its memory.
//!
//! Plain calls without state; when to make them is decided elsewhere.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::{fs, ptr};

use nix::libc;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, pidfd_open, pidfd_send_signal};

/// Names the calling thread, as `ps -L`, `top` and `/proc/PID/comm` show it; called on the main thread it names the
/// process. The kernel keeps 15 bytes. (What `ps` shows as the command line is the argv given to `spawn`.)
pub fn set_name(name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    Ok(rustix::thread::set_name(&name)?)
}

/// Whether this process may become any user, and so start programs as somebody else.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Raises the soft limit of open descriptors to the hard one and returns it (`u64::MAX`: no limit).
///
/// Programs started afterwards inherit it, and one that uses select(2) breaks on descriptors above 1023: call this
/// where nothing is started, in the proxy.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// How many descriptors this process may have open.
#[must_use]
pub fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Kills a process (`SIGKILL`), which need not be a child; whoever says its number has just seen it alive.
///
/// # Errors
/// `NotFound` when there is none, `PermissionDenied` when it is somebody else's.
pub fn kill(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| match error {
        Errno::SRCH => io::ErrorKind::NotFound.into(),
        error => io::Error::from(error),
    })?;
    Ok(pidfd_send_signal(process, Signal::KILL)?)
}

/// Bytes of a page of memory.
pub(super) fn page_size() -> u64 {
    // SAFETY: a number in, a number out.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

/// What the kernel counts CPU time in (`proc_pid_stat(5)`): ticks of a second.
pub(super) fn ticks_per_second() -> u64 {
    // SAFETY: a number in, a number out.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}

/// Bytes of physical memory that a process holds, shared pages included (`VmRSS` in `proc_pid_status(5)`).
///
/// # Errors
/// `NotFound` when there is no such process or it is already dead and holds none.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse_resident(&status).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn parse_resident(status: &str) -> Option<u64> {
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = size.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Makes the kernel keep the exit status of children until it is asked for.
///
/// A program that was started with SIGCHLD ignored (some shells' `trap '' CHLD`, some containers) inherits that, and
/// the kernel then reaps its children unseen: exits would be lost, and a PID could be used again while we still hold it
/// to be ours. See NOTES in waitpid(2).
pub(super) fn keep_exit_statuses() -> io::Result<()> {
    if !are_exit_statuses_dropped()? {
        return Ok(());
    }
    // SAFETY: the default disposition runs no code of ours, and a disposition of "ignore" that we were started with is
    // nobody's handler that this could take away.
    let previous = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    if previous == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn are_exit_statuses_dropped() -> io::Result<bool> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only asks; the old one is written to memory that we own.
    if unsafe { libc::sigaction(libc::SIGCHLD, ptr::null(), action.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above succeeded, so it has filled the whole structure.
    let action = unsafe { action.assume_init() };
    Ok(action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::run_test_in_child;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(parse_resident("Name:\tcat\nVmRSS:\t    1536 kB\nRssAnon:\t 1 kB\n"), Some(1536 * 1024));
        assert_eq!(parse_resident("Name:\tkthreadd\n"), None);
        assert_eq!(parse_resident("VmRSS:\tmany kB\n"), None);
    }

    #[test]
    fn this_process_holds_memory_and_a_missing_one_is_not_found() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100 * 1024);
        // Above the largest pid_max of Linux (2^22).
        assert_eq!(resident_bytes(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn pages_have_a_size() {
        assert!(page_size() >= 4096 && page_size().is_power_of_two());
    }

    #[test]
    fn a_thread_gets_its_name() {
        let name = std::thread::spawn(|| {
            set_name("portreeve: a name that is too long").unwrap();
            fs::read_to_string("/proc/thread-self/comm").unwrap()
        });
        assert_eq!(name.join().unwrap(), "portreeve: a na\n");
    }

    #[test]
    fn the_soft_descriptor_limit_rises_to_the_hard_one() {
        run_test_in_child("sys::process::tests::in_a_child_raise_the_limit");
    }

    #[test]
    #[ignore = "run in a process of its own by the test above"]
    fn in_a_child_raise_the_limit() {
        let low = Rlimit { current: Some(64), maximum: Some(256) };
        rustix::process::setrlimit(Resource::Nofile, low).unwrap();
        assert_eq!(raise_descriptor_limit().unwrap(), 256);
        assert_eq!(descriptor_limit(), 256);
    }

    #[test]
    fn an_ignored_sigchld_is_put_right() {
        run_test_in_child("sys::process::tests::in_a_child_ignore_sigchld");
    }

    #[test]
    #[ignore = "run in a process of its own by the test above"]
    fn in_a_child_ignore_sigchld() {
        // SAFETY: ignoring a signal runs no code.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        assert!(are_exit_statuses_dropped().unwrap());
        keep_exit_statuses().unwrap();
        assert!(!are_exit_statuses_dropped().unwrap());
    }
}
