//! Who is at the other end of a client connection, as the exchanges on it see it.
//!
//! Plain values; how the connection is served is not known here. Invariant: what was counted and permitted for a connection
//! is held for as long as anything of it lives, tunnels included.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

use super::Proxy;
use super::permits::Permit;
use super::pulse::Pulse;
use crate::telemetry::exchange_metrics::Raised;

/// A client, as its exchanges see it.
pub(crate) struct Peer {
    pub(crate) proxy: Arc<Proxy>,
    /// The thread that serves it.
    pub(crate) thread: usize,
    pub(crate) address: SocketAddr,
    /// Where it came in.
    pub(crate) listener: SocketAddr,
    /// The address as workers are told it.
    pub(crate) forwarded_for: HeaderValue,
    pub(crate) is_tls: bool,
    pub(crate) pulse: Arc<Pulse>,
    pub(super) _admission: Admission,
}

/// What a connection holds for as long as it lives.
pub(crate) struct Admission {
    _permit: Permit,
    _counted: Raised,
}

impl Admission {
    pub(crate) fn new(permit: Permit, counted: Raised) -> Self {
        Self { _permit: permit, _counted: counted }
    }
}
