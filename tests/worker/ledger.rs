//! The ledger: one line for every order that was handled, so that a test can prove that none was handled twice.
//!
//! Lines of all workers go to one file. Invariant: a line is written by one `write(2)` on an `O_APPEND` descriptor, so
//! lines never mix.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// An open ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
}

impl Ledger {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().append(true).create(true).open(path)? })
    }

    /// Notes that the order with this id was handled.
    pub(crate) fn note(&self, id: &str) -> io::Result<()> {
        (&self.file).write_all(format!("{id}\n").as_bytes())
    }
}
