//! What the two processes say to each other.
//!
//! The first frame to a proxy is [`ToProxy::Manifest`]; its first frame back is [`FromProxy::Ready`], sent when every
//! descriptor of the manifest has been claimed and the proxy accepts (once it has a first snapshot).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Epoch, Snapshot};
use crate::id::{AppName, Serial};
use crate::telemetry::exposition::Family;

/// Supervisor to proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToProxy {
    /// What was inherited and how to serve it. Comes first, once.
    Manifest(Manifest),
    /// Swap this in, then acknowledge its epoch.
    Publish(Box<Snapshot>),
    /// Stop accepting, finish what is in flight within the given time, then exit 0.
    Retire {
        within: Duration,
        /// Does no other proxy take over?
        #[serde(default)]
        is_last: bool,
    },
    /// Answer with [`FromProxy::Metrics`].
    Scrape { ticket: u64 },
    /// Open log files anew (they were rotated).
    Reopen,
    /// A worker stands still and is killed next. What it has not read goes to another one, once its connection has broken;
    /// answer with [`FromProxy::Noted`].
    Unread { serial: Serial, connections: Vec<Unread> },
}

/// A connection to a worker with bytes that the worker has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The proxy's end.
    pub proxy: SocketAddr,
    /// So many of those that were sent last.
    pub bytes: u32,
}

/// What a proxy inherits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How many threads serve; each takes every `threads`-th descriptor of an address, or shares the only one.
    pub threads: u32,
    /// Listening sockets.
    pub listeners: Vec<ManifestEntry>,
    /// Where access lines go: `None`: nowhere; an empty path: standard output.
    pub access_log: Option<PathBuf>,
    /// Access lines as JSON, else as text.
    pub access_json: bool,
}

/// One inherited listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The descriptor's number in the proxy.
    pub descriptor: i32,
    pub address: SocketAddr,
    pub tls: bool,
    /// `SO_COOKIE` of the socket: proves that the descriptor is the one that was meant.
    pub cookie: u64,
}

/// Proxy to supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromProxy {
    /// Every descriptor is claimed.
    Ready,
    /// The snapshot of this epoch is in force on every thread: its closed endpoints take no new claim (quiesced), and
    /// what it no longer lists has no idle connection left.
    Published { epoch: Epoch },
    /// A snapshot could not be used; the one before stays in force.
    Rejected { epoch: Epoch, reason: String },
    /// A closed endpoint has no exchange in flight. Sent once per closing, after the `Published` of the snapshot that closes
    /// it and before that of one that opens it again.
    Idle { serial: Serial },
    /// A request waits for an app that sleeps ([`Hold::wakes`](super::snapshot::Hold::wakes)). Sent once per snapshot at most, and
    /// of those that wait as it is put in force before any `Idle` of what it closes.
    Wanted { app: AppName },
    /// It is known what this endpoint has not read.
    Noted { serial: Serial },
    /// An endpoint failed an exchange.
    Fault { app: AppName, serial: Serial, kind: FaultKind },
    /// Endpoints whose load has changed since this was said last; about every [`LOAD_EVERY`](super::LOAD_EVERY).
    Load(Vec<Load>),
    /// All metrics as of now; without being asked, with ticket 0, before the proxy ends.
    Metrics {
        ticket: u64,
        families: Vec<Family>,
        /// The longest that a request of each app was held, of those whose wait has ended since this was last said.
        #[serde(default)]
        longest_holds: Vec<(AppName, Duration)>,
    },
}

/// What one proxy has on one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    pub serial: Serial,
    /// Exchanges from the claim to the last byte.
    pub in_flight: u32,
    /// Exchanges ever that are over, of those for which a request was sent.
    pub finished: u64,
    /// Faults ever that were the endpoint's.
    pub failed: u64,
    /// Its answers ever that were errors (5xx).
    pub errors: u64,
    /// How long the oldest request has waited that waits for the head of its response; too little by about
    /// [`LOAD_EVERY`](super::LOAD_EVERY) at most. `None`: none waits. Streams and tunnels have their heads.
    pub oldest: Option<Duration>,
}

/// How an endpoint failed, as the proxy saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// No connection could be made.
    Connect,
    /// The connection ended before the response did.
    Broken,
    /// No response in time.
    Timeout,
}
