//! The door between supervisor and proxy: what is said, and how it is put on a socket.
//!
//! The supervisor publishes a whole [`Snapshot`]; the proxy acknowledges its epoch and reports what it sees.
//! This room does not know who writes and who reads. Invariant: a frame is a length and a JSON text, never
//! longer than [`codec::MAX_FRAME`]; an unknown field is ignored, so that two versions can talk.

pub mod codec;
mod message;
mod snapshot;

use std::time::Duration;

/// How often a proxy says what has changed in the load of its endpoints.
pub const LOAD_EVERY: Duration = Duration::from_secs(1);

/// How long whoever is told that a stream ends may take to answer.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// The descriptor number of the link in a proxy.
pub const DESCRIPTOR: i32 = 3;

/// That of the socket over which a proxy is given another link, each with one byte; its listeners follow.
pub const RELINK: i32 = 4;

/// The first that may be a listener.
pub const FIRST_LISTENER: i32 = 5;

pub use message::{FaultKind, FromProxy, Load, Manifest, ManifestEntry, ToProxy, Unread};
pub use snapshot::{
    App, Canary, Certificate, Clients, Condition, Crowd, Endpoint, Epoch, Hold, Http2, Limits, Listener, Rate,
    Requests, SlowStart, Snapshot, Streams, TicketKey,
};
