//! The programs under test, as cargo built them.

use std::path::{Path, PathBuf};

/// portreeve itself.
pub(crate) fn portreeve() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_portreeve"))
}

/// The scripted worker.
pub(crate) fn worker() -> PathBuf {
    example("scripted-worker")
}

/// An example of the same build.
pub(crate) fn example(name: &str) -> PathBuf {
    let path = portreeve().with_file_name("examples").join(name);
    assert!(path.exists(), "no {}: `cargo test` builds it, `cargo test --test it` does not", path.display());
    path
}
