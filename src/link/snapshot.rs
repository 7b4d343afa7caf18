//! The world as the supervisor wants the proxy to see it, whole, in one value.
//!
//! What changes on reload and is read per request lives here and nowhere else.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::id::{Address, AppName, Generation, Serial, Slot};

/// Counts snapshots; a later one replaces an earlier one entirely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Everything a proxy needs to serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub epoch: Epoch,
    /// Everything that is listened on; what comes in elsewhere, on a listener that is on its way out, is for nobody.
    pub listeners: Vec<Listener>,
    pub apps: Vec<App>,
    /// The first one answers clients that name no known server.
    pub certificates: Vec<Certificate>,
    /// Of session tickets: the first one seals, all of them open.
    #[serde(default)]
    pub tickets: Vec<TicketKey>,
    /// When the supervisor has gone and nobody can come back for it, is the proxy to go too?
    #[serde(default)]
    pub ends_alone: bool,
    pub clients: Clients,
    pub limits: Limits,
}

/// Whom the requests on one listener are for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// As the socket has it.
    pub address: SocketAddr,
    /// `None`: host and path tell.
    pub app: Option<AppName>,
}

/// One app as the proxy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    pub name: AppName,
    /// As in `config::App::hosts`; `None`: it is not found by host and path at all.
    pub hosts: Option<Vec<String>>,
    /// As in `config::App::path`.
    pub path: String,
    pub condition: Condition,
    pub endpoints: Vec<Endpoint>,
    pub max_inflight: Option<NonZeroU32>,
    #[serde(flatten)]
    pub requests: Requests,
    pub hold: Hold,
    pub connect_timeout: Duration,
    pub response_timeout: Option<Duration>,
    pub keepalive: Duration,
    /// The page that answers every request; `None`: workers do.
    #[serde(default)]
    pub maintenance: Option<String>,
}

/// What is let through of the requests for an app, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Bytes of a body; `None`: unlimited.
    #[serde(default)]
    pub body_bytes: Option<u64>,
    pub retry_idempotency_key: bool,
    /// Are workers told when each came in?
    #[serde(default)]
    pub request_start: bool,
    #[serde(default)]
    pub canary: Option<Canary>,
    /// Is a client that a generation has answered for no older one any more?
    #[serde(default)]
    pub consistent: bool,
}

/// A generation that a few of the clients are served by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    pub generation: Generation,
    /// Of all clients, in ten thousandths.
    pub share: u32,
}

/// How requests wait for an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub requests: u32,
    pub time: Duration,
    pub shed_after: Option<Duration>,
    /// Does the app sleep, so that a request that waits is to be told of ([`FromProxy::Wanted`](super::FromProxy::Wanted))?
    #[serde(default)]
    pub wakes: bool,
}

/// What to do with a request when no endpoint of its app is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// A worker is expected soon: hold the request.
    Expected,
    /// None is to be expected: answer 503 at once.
    Down,
}

/// Where one worker is reached.
///
/// An endpoint that is listed as closed takes no new claim and is reported as idle once its last exchange has ended;
/// one that is no longer listed has its idle connections dropped and its tunnels ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub serial: Serial,
    pub slot: Slot,
    pub generation: Generation,
    pub address: Address,
    /// May it be claimed?
    pub open: bool,
    /// Is each connection to it to begin with a PROXY protocol header?
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Is it closed for good, its worker on its way out?
    #[serde(default)]
    pub leaving: bool,
    #[serde(default)]
    pub streams: Streams,
    /// Its share of the requests still grows.
    #[serde(default)]
    pub slow_start: Option<SlowStart>,
}

/// How the share of an endpoint grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowStart {
    /// It has served for so long.
    pub age: Duration,
    /// The time from its first request to its full share.
    pub whole: Duration,
}

/// What becomes of tunnels, event streams and answers that last when their endpoint leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Streams {
    /// They may go on for as long as the endpoint is listed.
    #[default]
    Wait,
    /// Each client is told, at a random moment within this time, and has [`FAREWELL`](super::FAREWELL) to answer.
    Notify { spread: Duration },
    /// They end at once.
    Cut,
}

/// A certificate chain with its key, PEM; `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub chain: String,
    pub key: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// What session tickets are sealed with; `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketKey {
    /// Stands in each ticket.
    pub name: [u8; 16],
    pub secret: [u8; 32],
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketKey").finish_non_exhaustive()
    }
}

/// As `config::Clients`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    pub trusted: Vec<IpNet>,
    pub proxy_protocol: Vec<IpNet>,
    pub forwarded: bool,
    #[serde(default)]
    pub start_traces: bool,
    pub allow_headers: Vec<String>,
}

/// As `config::Limits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub connections: u32,
    pub header_bytes: u32,
    pub header_count: u32,
    pub handshake_timeout: Duration,
    pub header_timeout: Duration,
    pub body_idle: Duration,
    pub body_rate: Option<u64>,
    pub write_stall: Duration,
    pub keepalive_idle: Duration,
    pub http2: Http2,
    pub crowd: Crowd,
}

/// As `config::Crowd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowd {
    pub handshakes: u32,
    pub connections_per_ip: Option<u32>,
    #[serde(default)]
    pub connects_per_ip: Option<Rate>,
    pub requests_per_ip: Option<Rate>,
    pub exempt: Vec<IpNet>,
}

/// As `config::Rate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub count: NonZeroU32,
    pub period: Duration,
    pub burst: NonZeroU32,
}

/// As `config::Http2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http2 {
    pub streams: u32,
    pub requests: u32,
}
