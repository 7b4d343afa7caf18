//! Why a proxy could not begin to serve, or had to stop: what the process says before it ends.
//!
//! Not what clients are told: that is [`Fault`](super::fault::Fault).

use std::io;

use super::listener::Unclaimed;
use crate::certs::CertError;

/// Why a proxy could not serve, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the process cannot be locked down: {0}")]
    Lockdown(io::Error),
    #[error("the link to the supervisor: {0}")]
    Link(io::Error),
    #[error("the supervisor did not begin with a manifest")]
    NoManifest,
    #[error("the supervisor went away before it had said what to serve")]
    Abandoned,
    #[error(transparent)]
    Unclaimed(#[from] Unclaimed),
    #[error(transparent)]
    Tls(#[from] CertError),
    #[error("the threads cannot be started: {0}")]
    Start(io::Error),
    #[error("a serving thread has ended by itself")]
    ThreadEnded,
}
