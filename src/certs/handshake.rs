//! How the TLS listeners shake hands.
//!
//! It does not know sockets or HTTP, only that some protocols are offered. Invariant: what lets a client resume, the
//! keys of its tickets, is no matter of certificates, and outlives every swap of them.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::NoServerSessionStorage;

use super::error::{CertError, Fault};
use super::store::Store;
use super::tickets::Tickets;

/// TLS 1.2 and 1.3 with certificates out of `store`; `alpn` lists protocols by preference (RFC 7301).
///
/// Sessions are kept by clients in their `tickets`, none here, so that memory does not grow with clients. Nothing is taken
/// before a handshake is over: no early data.
///
/// # Errors
/// When the library does not take what we ask of it.
pub fn server_config(store: Arc<Store>, tickets: Arc<Tickets>, alpn: &[&[u8]]) -> Result<ServerConfig, CertError> {
    let library = |error: rustls::Error| Fault::Library(error.to_string()).of("TLS");
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(library)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(store);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = tickets;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

#[cfg(test)]
mod tests;
