//! The child between fork and exec.
//!
//! Another thread of the parent may have held any lock when it was forked, the allocator's among them, so nothing here
//! allocates, locks or panics: only system calls on what [`Image`] prepared (signal-safety(7)). The order matters:
//! signals come first; rights are given up after the descriptors are in place and before the working directory is
//! entered, so that a directory which the new user may not enter is an error here and not a surprise later.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::os::fd::AsRawFd;
use std::ptr;

use nix::libc;
use nix::sys::signal::SigSet;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::Step;
use super::image::{Ids, Image};

/// Exit code of a child whose report could not be read.
const NOT_STARTED: i32 = 127;

/// The largest signal number on Linux (`SIGRTMAX`).
const LAST_SIGNAL: i32 = 64;

/// The step that failed and why, small enough to be written to a pipe in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: i32,
    /// Of several that the step is about, which.
    pub(super) which: u8,
}

impl Failure {
    pub(super) const SIZE: usize = 6;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let [a, b, c, d] = self.errno.to_ne_bytes();
        [self.step as u8, a, b, c, d, self.which]
    }

    pub(super) fn from_bytes([step, a, b, c, d, which]: [u8; Self::SIZE]) -> Self {
        let step = Step::IN_ORDER.into_iter().find(|&known| known as u8 == step).unwrap_or(Step::Exec);
        Self { step, errno: i32::from_ne_bytes([a, b, c, d]), which }
    }
}

/// Turns the child into the program, or reports why not and ends it.
pub(super) fn run(image: &Image) -> ! {
    let failure = match become_program(image) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    let _ = rustix::io::write(&image.report, &failure.to_bytes());
    // SAFETY: ends this process at once, without running what the parent registered to run at its own exit.
    unsafe { libc::_exit(NOT_STARTED) }
}

fn become_program(image: &Image) -> Result<Infallible, Failure> {
    rustix::process::setsid().map_err(at(Step::Session))?;
    reset_signals();
    accept_bounds(image)?;
    image.environment.stamp(std::process::id());
    place_descriptors(image).map_err(at(Step::Place))?;
    close_the_rest(image).map_err(at(Step::Close))?;
    if let Some(user) = &image.user {
        become_user(user)?;
    }
    if image.no_new_privs {
        rustix::thread::set_no_new_privs(true).map_err(at(Step::NoNewPrivs))?;
    }
    if let Some((signal, parent)) = image.bounds.death_signal {
        die_with(signal, parent).map_err(at(Step::DeathSignal))?;
    }
    if let Some(directory) = &image.directory {
        rustix::process::chdir(directory.as_c_str()).map_err(at(Step::Directory))?;
    }
    Err(execute(image)).map_err(at(Step::Exec))
}

/// Default dispositions for every signal, then an empty mask. Exec would reset handlers, but not what is ignored, and
/// Rust programs ignore SIGPIPE. By number, as the C library's call refuses the signals that it keeps for itself.
fn reset_signals() {
    let default = [0u64; 4];
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: an all-zero kernel sigaction (at most 32 bytes, its mask one u64) asks for the default disposition,
        // which runs no code of ours. SIGKILL and SIGSTOP refuse, as they have no other.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null::<u64>(), size_of::<u64>());
        }
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// Everything that may take a right which is given up later. The group comes first, so that all that follows is in it.
fn accept_bounds(image: &Image) -> Result<(), Failure> {
    let bounds = &image.bounds;
    if let Some(entrance) = &bounds.entrance {
        rustix::io::write(entrance, b"0").map_err(at(Step::ControlGroup))?;
    }
    match &bounds.oom_score_adj {
        Some(score) => set_oom_score(score).map_err(at(Step::OomScore))?,
        // Raising one's own score needs no right; where `/proc` cannot be written the protection stays.
        None if bounds.is_protected_from_oom => drop(set_oom_score(b"0")),
        None => {}
    }
    if let Some(nice) = bounds.nice {
        rustix::process::setpriority_process(None, nice).map_err(at(Step::Nice))?;
    }
    for (which, limit) in (0..).zip(&bounds.limits) {
        let failed = |error: Errno| Failure { which, ..at(Step::Limits)(error) };
        rustix::process::setrlimit(limit.limited.resource(), limit.values()).map_err(failed)?;
    }
    if let Some(umask) = bounds.umask {
        rustix::process::umask(Mode::from_raw_mode(umask));
    }
    Ok(())
}

fn set_oom_score(score: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(c"/proc/self/oom_score_adj", flags, Mode::empty())?;
    rustix::io::write(&file, score).map(drop)
}

fn at(step: Step) -> impl Fn(Errno) -> Failure {
    move |error| Failure { step, errno: error.raw_os_error(), which: 0 }
}

fn place_descriptors(image: &Image) -> Result<(), Errno> {
    for (descriptor, number) in &image.placements {
        // SAFETY: both are numbers; what stands at `number` is the parent's in its own table, not in this copy of it.
        // The copy made by dup2 is not close-on-exec.
        if unsafe { libc::dup2(descriptor.as_raw_fd(), *number) } < 0 {
            return Err(last_error());
        }
    }
    Ok(())
}

/// Marks instead of closing, so that the report stays open until exec succeeds. By number, as musl has no wrapper.
fn close_the_rest(image: &Image) -> Result<(), Errno> {
    for &(first, last) in &image.gaps {
        // SAFETY: three numbers; only the close-on-exec flags of this process's own descriptor table change.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) } < 0 {
            return Err(last_error());
        }
    }
    Ok(())
}

/// Groups before user: without root's rights they could not be changed any more. The calls go to the kernel directly;
/// the C library's own would try to bring threads along that this copy of the process does not have.
fn become_user(user: &Ids) -> Result<(), Failure> {
    // A supervisor that is not root but has capabilities would hand the ambient ones on across exec.
    let _ = rustix::thread::clear_ambient_capability_set();
    rustix::thread::set_thread_groups(&user.groups).map_err(at(Step::Groups))?;
    rustix::thread::set_thread_res_gid(user.gid, user.gid, user.gid).map_err(at(Step::Gid))?;
    rustix::thread::set_thread_res_uid(user.uid, user.uid, user.uid).map_err(at(Step::Uid))
}

/// After rights were given up, which would take it back. Who has lost its parent before it could say so is late already.
fn die_with(signal: Signal, parent: Pid) -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(signal))?;
    if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH) }
}

/// Returns only when it failed.
fn execute(image: &Image) -> Errno {
    // SAFETY: C strings and null-ended arrays of them, all owned by `image`, which lives until exec or exit.
    unsafe { libc::execve(image.program.as_ptr(), image.arguments.as_ptr(), image.environment.as_ptr()) };
    last_error()
}

fn last_error() -> Errno {
    Errno::from_raw_os_error(nix::errno::Errno::last_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_pipe() {
        for step in Step::IN_ORDER {
            let failure = Failure { step, errno: libc::ENOENT, which: 3 };
            assert_eq!(Failure::from_bytes(failure.to_bytes()), failure);
        }
    }
}
