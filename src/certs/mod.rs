//! Certificates for the TLS listeners: read, checked, found by the name a client asks for, and swapped whole.
//!
//! It does not know where connections come from, HTTP, or who wants which certificate when. Invariants: what is in a
//! [`Store`] has a key that matches its certificate; a swap does not disturb handshakes under way nor resumption.

mod error;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use error::{CertError, Fault};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A certificate chain with its key, checked.
#[derive(Clone)]
pub struct Parsed {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    not_after: SystemTime,
}

impl Parsed {
    /// The DNS names (lower case, maybe with a leading `*.`) and IP addresses that the certificate is for.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// When clients stop to accept it.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

/// Reads a certificate chain and its key from two PEM files, checks them as [`parse`] does, and returns their texts.
///
/// # Errors
/// Names the file, what is wrong with it, and what to do about it.
pub fn load(cert: &Path, key: &Path) -> Result<(String, String), CertError> {
    let _ = (cert, key);
    todo!()
}

/// Parses a certificate chain, the server's own certificate first, and its key, both PEM.
///
/// # Errors
/// Says which of the two is at fault, what is wrong with it, and what to do about it.
pub fn parse(chain_pem: &str, key_pem: &str) -> Result<Parsed, CertError> {
    let _ = (chain_pem, key_pem);
    todo!()
}

/// Makes a certificate for development: chain and key, PEM.
///
/// # Errors
/// When a name is neither a DNS name nor an IP address.
pub fn self_signed(names: &[&str]) -> Result<(String, String), CertError> {
    let _ = names;
    todo!()
}

/// How the TLS listeners shake hands: TLS 1.2 and 1.3, certificates out of `store`, `alpn` in order of preference.
///
/// Build it once and share it: the keys of session tickets live in it, so that clients resume across swaps of the store.
///
/// # Errors
/// When the system gives no randomness for the ticket keys.
pub fn server_config(store: Arc<Store>, alpn: &[&[u8]]) -> Result<ServerConfig, CertError> {
    let _ = (store, alpn);
    todo!()
}

/// The certificates in force.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// A store of these; the first one answers clients that name no known server, and of two for the same name the
    /// first one counts. An empty store fails every handshake.
    #[must_use]
    pub fn build(certificates: Vec<Parsed>) -> Self {
        let _ = certificates;
        todo!()
    }

    /// Replaces all certificates. Handshakes under way finish with what they began with.
    pub fn swap(&self, certificates: Vec<Parsed>) {
        let _ = certificates;
        todo!()
    }
}

impl ResolvesServerCert for Store {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        todo!()
    }
}
