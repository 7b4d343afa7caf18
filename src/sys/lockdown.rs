//! Takes from a process the right to start programs.
//!
//! Meant for the proxy, which reads what clients send and has no business starting anything. A seccomp filter
//! answers `execve` and `execveat` with EPERM; everything else stays as it was, so threads and sockets work.
//! The filter cannot be taken back, and every thread and child of the process has it too.

use std::io;

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// The bit that marks a call by the x32 convention, under which x86-64 kernels may offer the same calls again.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Every way into a new program. The last two are `execve` (520) and `execveat` (545) in the x32 table.
#[cfg(target_arch = "x86_64")]
const EXEC_CALLS: &[i64] =
    &[libc::SYS_execve, libc::SYS_execveat, X32 | libc::SYS_execve, X32 | libc::SYS_execveat, X32 | 0x208, X32 | 0x221];

/// Every way into a new program.
#[cfg(not(target_arch = "x86_64"))]
const EXEC_CALLS: &[i64] = &[libc::SYS_execve, libc::SYS_execveat];

/// Forbids the calling process, with all its threads, ever to execute a program; an attempt fails with EPERM.
///
/// Sets `no_new_privs` as well, without which an unprivileged process may not filter itself (seccomp(2)). Call it
/// before threads start: a thread that already has another filter makes this fail. Calls by a foreign convention
/// (32-bit code in a 64-bit process) kill the process.
///
/// # Errors
/// `Unsupported` on an architecture that the filter compiler does not know; otherwise what the kernel says.
pub fn forbid_exec() -> io::Result<()> {
    let filter = exec_filter().map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error))?;
    seccompiler::apply_filter_all_threads(&filter).map_err(|error| match error {
        seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => source,
        other => io::Error::other(other),
    })
}

fn exec_filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = EXEC_CALLS.iter().map(|&number| (number, Vec::new())).collect();
    let answer = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(refused, SeccompAction::Allow, answer, architecture)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::run_test_in_child;

    #[test]
    fn a_locked_process_starts_threads_but_no_program() {
        run_test_in_child("sys::lockdown::tests::in_a_child_forbid_exec");
    }

    /// The filter would bind every other test of this process, hence the child.
    #[test]
    #[ignore = "run in a process of its own by the test above"]
    fn in_a_child_forbid_exec() {
        let run_true = || std::process::Command::new("/bin/true").status();
        let (start, started) = std::sync::mpsc::channel::<()>();
        let earlier_thread = std::thread::spawn(move || started.recv().map(|()| run_true().unwrap_err().kind()));
        assert!(run_true().unwrap().success(), "before the lockdown programs run");

        forbid_exec().unwrap();

        assert_eq!(run_true().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        start.send(()).unwrap();
        assert_eq!(earlier_thread.join().unwrap(), Ok(io::ErrorKind::PermissionDenied), "threads from before too");
        let later_thread = std::thread::spawn(move || run_true().unwrap_err().kind());
        assert_eq!(later_thread.join().unwrap(), io::ErrorKind::PermissionDenied);
        std::net::TcpListener::bind("127.0.0.1:0").expect("sockets still work");
    }
}
