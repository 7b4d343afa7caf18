//! How the TLS listeners shake hands.
//!
//! It does not know sockets or HTTP, only that some protocols are offered. Invariant: what lets a client resume, the keys
//! of its tickets, outlives every swap of certificates.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::NoServerSessionStorage;

use super::error::{CertError, Fault};
use super::store::Store;

/// TLS 1.2 and 1.3 with certificates out of `store`; `alpn` lists protocols by preference (RFC 7301).
///
/// Build it once and share it among all listeners and threads: the ticket keys live in it (RFC 5077, RFC 8446 section
/// 4.6.1). Sessions are kept by clients in their tickets, none here, so that memory does not grow with clients.
///
/// # Errors
/// When the system gives no randomness for the ticket keys.
pub fn server_config(store: Arc<Store>, alpn: &[&[u8]]) -> Result<ServerConfig, CertError> {
    let library = |error: rustls::Error| Fault::Library(error.to_string()).of("TLS");
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(library)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(store);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = Ticketer::new().map_err(library)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

#[cfg(test)]
mod tests;
