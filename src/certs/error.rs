//! What can be wrong with a certificate or its key, in words that say what to do.

use std::io;

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: {fault}")]
pub struct CertError {
    /// Which file, or which of the two texts.
    pub subject: String,
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
}
