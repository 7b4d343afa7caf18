//! Certificates for the TLS listeners: read, checked, found by the name a client asks for, and swapped whole.
//!
//! It does not know where connections come from, HTTP, or who wants which certificate or which key of tickets when. Invariants: what is in a
//! [`Store`] has a key that matches its certificate; a swap disturbs neither handshakes under way nor resumption.

mod development;
mod error;
mod handshake;
mod parsed;
mod pem;
mod store;
mod tickets;

pub use development::self_signed;
pub use error::{CertError, Fault};
pub use handshake::server_config;
pub use parsed::{Parsed, load, parse};
pub use store::Store;
pub use tickets::{LIFETIME, Tickets, ticket_key};
