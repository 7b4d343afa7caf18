//! Who is at the other end of a client connection, as the exchanges on it see it.
//!
//! Plain values; how the connection is served is not known here. Invariant: what was counted and permitted for a connection
//! is held for as long as anything of it lives, tunnels included.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ProtocolVersion;

use super::Proxy;
use super::crowd::Place;
use super::host::Host;
use super::permits::Permit;
use super::pulse::Pulse;
use super::request_head::ClientLines;
use crate::telemetry::exchange_metrics::Raised;

/// A client, as its exchanges see it.
pub(crate) struct Peer {
    pub(crate) proxy: Arc<Proxy>,
    /// The thread that serves it.
    pub(crate) thread: usize,
    pub(crate) address: SocketAddr,
    /// Where it came in.
    pub(crate) listener: SocketAddr,
    /// The address that it has connected to.
    pub(crate) reached: SocketAddr,
    /// What workers are told of it.
    pub(crate) lines: ClientLines,
    pub(crate) is_tls: bool,
    /// `None`: it did not come over TLS.
    pub(crate) tls_version: Option<ProtocolVersion>,
    pub(crate) is_http2: bool,
    /// The name that the client asked for in its handshake, in lower case.
    pub(crate) server_name: Option<Box<str>>,
    pub(crate) pulse: Arc<Pulse>,
    pub(super) _admission: Admission,
}

impl Peer {
    /// Is a request for this host on the wrong connection? It is, when a handshake for that host would have shown another
    /// certificate: what was agreed on for one server is not to be used for another (RFC 9110, section 7.4; RFC 9113,
    /// section 9.1.2).
    pub(crate) fn is_misdirected(&self, host: &Host) -> bool {
        let name = self.server_name.as_deref();
        let is_other = name.map(str::as_bytes) != Some(host.name_bytes());
        self.is_tls && is_other && !self.proxy.certificates.is_same(name, host.name())
    }
}

/// What a connection holds for as long as it lives.
pub(crate) struct Admission {
    _permit: Permit,
    _counted: Raised,
    /// `None`: nobody counts the connections of its address.
    _place: Option<Place>,
}

impl Admission {
    pub(crate) fn new(permit: Permit, counted: Raised, place: Option<Place>) -> Self {
        Self { _permit: permit, _counted: counted, _place: place }
    }
}
