//! Tools of the machine that some tests need and not every machine has.
//!
//! A missing one skips the test with a line that says so; where everything was to be installed (the variable `CI` is
//! set) it fails the test instead, so that nothing is skipped unnoticed.

use std::path::PathBuf;

/// The tool's path, looked up in `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "this machine has no {name}, and with CI set no test is skipped");
        eprintln!("skipped: this machine has no {name}");
    }
    found
}

/// Whether the machine has a tool.
pub(crate) fn need(name: &str) -> bool {
    find(name).is_some()
}

/// Only root can make the world look different to a process.
pub(crate) fn may_unshare() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can do that");
    }
    is_root && need("unshare")
}
