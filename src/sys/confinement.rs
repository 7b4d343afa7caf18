//! Takes the file system from a process, but for one folder to write in.
//!
//! By Landlock (landlock(7)), which the kernel offers to everybody: no rights are needed, and it cannot be taken back. Files that
//! are open stay so. Where the kernel has less of it than is asked for, as much is enforced as there is, and the caller is told.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// What is asked for: the rights that kernels knew at Linux 6.12.
const RIGHTS: ABI = ABI::V6;

/// Why a process could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum Unconfined {
    #[error("the folder of the log cannot be opened: {0}")]
    Folder(#[from] landlock::PathFdError),
    #[error(transparent)]
    Rules(#[from] RulesetError),
}

/// From now on this thread, and those that it starts, can open no file but to append to, or make, one in `writable`; listens to no
/// new TCP port; signals nobody outside. Connecting stays allowed. Call it before there are other threads.
///
/// Returns whether all of that is enforced: older kernels know less or nothing of it.
///
/// # Errors
/// When the folder cannot be opened, or the kernel refuses rules that it has.
pub fn confine(writable: Option<&Path>) -> Result<bool, Unconfined> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(RIGHTS))?
        .create()?;
    if let Some(folder) = writable {
        let may = AccessFs::WriteFile | AccessFs::MakeReg;
        rules = rules.add_rule(PathBeneath::new(PathFd::new(folder)?, may))?;
    }
    Ok(rules.restrict_self()?.ruleset == RulesetStatus::FullyEnforced)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::{ErrorKind, Write as _};

    use super::*;
    use crate::sys::testing::run_test_in_child;

    #[test]
    fn a_confined_process_writes_its_log_and_nothing_else() {
        run_test_in_child("sys::confinement::tests::in_a_child_confine");
    }

    /// The rules would bind every other test of this process, hence the child.
    #[test]
    #[ignore = "run in a process of its own by the test above"]
    fn in_a_child_confine() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let append = |path: &Path| OpenOptions::new().append(true).create(true).open(path);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut open = append(&other.path().join("open")).unwrap();

        let is_enforced = confine(Some(folder.path())).unwrap();

        if !is_enforced {
            println!("this kernel does not enforce all of it");
            return;
        }
        append(&folder.path().join("access.log")).unwrap().write_all(b"x").unwrap();
        open.write_all(b"what is open stays open").unwrap();
        let refused = [
            append(&other.path().join("x")).unwrap_err().kind(),
            std::fs::read("/etc/passwd").unwrap_err().kind(),
            std::fs::read(folder.path().join("access.log")).unwrap_err().kind(),
            std::fs::read_dir("/proc/self").unwrap_err().kind(),
            std::net::TcpListener::bind("127.0.0.1:0").unwrap_err().kind(),
        ];
        assert_eq!(refused, [ErrorKind::PermissionDenied; 5]);
        let parent = nix::unistd::getppid();
        assert_eq!(nix::sys::signal::kill(parent, None), Err(nix::errno::Errno::EPERM));
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || std::net::TcpStream::connect(address).unwrap()).join().unwrap();
    }
}
