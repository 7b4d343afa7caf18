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

/// The descriptor number of the link in a proxy; its listeners follow.
pub const DESCRIPTOR: i32 = 3;

pub use message::{FaultKind, FromProxy, Load, Manifest, ManifestEntry, ToProxy};
pub use snapshot::{
    App, Certificate, Clients, Condition, Crowd, Endpoint, Epoch, Hold, Http2, Limits, Listener, Rate, Snapshot,
};
