//! The admin API: HTTP and JSON on a Unix socket, so that `curl --unix-socket` can do what the CLI does.
//!
//! Holds the words ([`words`]), the server that turns requests into [`Call`]s and hands them up a channel, and the client.
//! Does not know who answers a call or what an answer means. Invariants: a call is answered exactly once or its caller
//! is told that nobody will; only root and the supervisor's own user get past the door.

mod calls;
pub mod client;
mod lines;
mod scaling;
mod scope;
pub mod server;
pub mod words;

pub use calls::Call;
pub use lines::Entries;
pub use scaling::{BadScaling, Scaling};
pub use scope::Scope;
