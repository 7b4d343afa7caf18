//! The certificates in force, found by the server name that a client asks for (SNI, RFC 6066 section 3).
//!
//! It does not know what is inside a certificate. Invariant: one handshake sees one set of certificates, before or
//! after a swap, never a mixture.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::parsed::Parsed;

/// The certificates in force. All listeners share one; it may be swapped at any time.
pub struct Store {
    current: ArcSwap<Set>,
}

/// One set of certificates, by name.
#[derive(Default)]
struct Set {
    first: Option<Arc<CertifiedKey>>,
    /// Are there more than the first one, which is shown to whoever asks for none of them?
    has_others: bool,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By the name that follows `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl Store {
    /// A store of these certificates.
    ///
    /// A client gets the one for the exact name it asks for, else the one for the wildcard with one label in its place
    /// (RFC 9525 section 6.3), else the first, as does one that names no server. Of two for the same name the first
    /// counts. An empty store fails every handshake.
    #[must_use]
    pub fn build(certificates: Vec<Parsed>) -> Self {
        Self { current: ArcSwap::from_pointee(Set::build(certificates)) }
    }

    /// Do clients that ask for these two servers, the first maybe for none by name, get the same certificate? Names are in
    /// lower case.
    #[must_use]
    pub fn is_same(&self, one: Option<&str>, other: &str) -> bool {
        let set = self.current.load();
        if !set.has_others {
            return set.first.is_some();
        }
        match (set.find(one), set.find(Some(other))) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Replaces all certificates. Handshakes under way finish with what they began with.
    pub fn swap(&self, certificates: Vec<Parsed>) {
        self.current.store(Arc::new(Set::build(certificates)));
    }
}

impl ResolvesServerCert for Store {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().find(hello.server_name()).cloned()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.current.load();
        let wildcard = set.wildcard.keys().map(|parent| format!("*.{parent}"));
        f.debug_set().entries(set.exact.keys()).entries(wildcard).finish()
    }
}

impl Set {
    fn build(certificates: Vec<Parsed>) -> Self {
        let mut set = Self::default();
        for (names, certified) in certificates.into_iter().map(Parsed::into_parts) {
            for name in names {
                let entry = match name.strip_prefix("*.") {
                    Some(parent) => set.wildcard.entry(parent.to_owned()),
                    None => set.exact.entry(name),
                };
                entry.or_insert_with(|| Arc::clone(&certified));
            }
            set.has_others = set.first.is_some();
            set.first.get_or_insert(certified);
        }
        set
    }

    /// `name` is in lower case.
    fn find(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            let wildcard = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(wildcard)
        });
        named.or(self.first.as_ref())
    }
}
