//! Tools of the machine that some tests need and not every machine has.

use std::path::PathBuf;

/// The tool's path; says on standard error when the machine has none, so that a skipped test does not look like a passed one.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: this machine has no {name}");
    }
    found
}
