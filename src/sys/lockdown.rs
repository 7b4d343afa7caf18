//! Takes rights from a process: to start programs, to look into other processes, to change the system.
//!
//! Meant for the proxy, which reads what clients send and has no business with any of that. A seccomp filter answers these
//! calls with EPERM; everything else stays as it was, so threads and sockets work. What files it may touch is another matter,
//! see `confinement`. The filter cannot be taken back, and every thread and child of the process has it too.

use std::io;

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// The bit that marks a call by the x32 convention, under which x86-64 kernels may offer the same calls again.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// What is refused. Every way into a new program; other processes' memory and descriptors; keys, modules, mounts and
/// namespaces; and interfaces so wide that the kernel's own faults are found there.
const REFUSED: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Calls with numbers of their own under the x32 convention: `execve`, `execveat`, `ptrace`, `process_vm_readv`,
/// `process_vm_writev` and `kexec_load`.
#[cfg(target_arch = "x86_64")]
const REFUSED_IN_X32: &[i64] = &[520, 545, 521, 539, 540, 528];

/// Forbids the calling process, with all its threads, ever to start a program or to touch other processes and the system; an
/// attempt fails with EPERM.
///
/// Sets `no_new_privs` as well, without which an unprivileged process may not filter itself (seccomp(2)). Call it
/// before threads start: a thread that already has another filter makes this fail. Calls by a foreign convention
/// (32-bit code in a 64-bit process) kill the process.
///
/// # Errors
/// `Unsupported` on an architecture that the filter compiler does not know; otherwise what the kernel says.
pub fn lock_down() -> io::Result<()> {
    let filter = filter().map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error))?;
    seccompiler::apply_filter_all_threads(&filter).map_err(|error| match error {
        seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => source,
        other => io::Error::other(other),
    })
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut refused: Vec<i64> = REFUSED.to_vec();
    #[cfg(target_arch = "x86_64")]
    refused.extend(REFUSED.iter().chain(REFUSED_IN_X32).map(|number| X32 | number));
    let refused = refused.into_iter().map(|number| (number, Vec::new())).collect();
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
        run_test_in_child("sys::lockdown::tests::in_a_child_lock_down");
    }

    /// The filter would bind every other test of this process, hence the child.
    #[test]
    #[ignore = "run in a process of its own by the test above"]
    fn in_a_child_lock_down() {
        let run_true = || std::process::Command::new("/bin/true").status();
        let (start, started) = std::sync::mpsc::channel::<()>();
        let earlier_thread = std::thread::spawn(move || started.recv().map(|()| run_true().unwrap_err().kind()));
        assert!(run_true().unwrap().success(), "before the lockdown programs run");

        lock_down().unwrap();

        assert_eq!(run_true().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let unshared = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS);
        assert_eq!(unshared, Err(nix::errno::Errno::EPERM));
        start.send(()).unwrap();
        assert_eq!(earlier_thread.join().unwrap(), Ok(io::ErrorKind::PermissionDenied), "threads from before too");
        let later_thread = std::thread::spawn(move || run_true().unwrap_err().kind());
        assert_eq!(later_thread.join().unwrap(), io::ErrorKind::PermissionDenied);
        std::net::TcpListener::bind("127.0.0.1:0").expect("sockets still work");
    }
}
