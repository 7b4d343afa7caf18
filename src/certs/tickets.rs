//! Session tickets (RFC 5077, RFC 8446 section 4.6.1) under keys that are given, so that several processes can share them.
//!
//! It does not know where keys are from, nor when one is too old. A ticket is the name of its key, a nonce that was drawn for it,
//! and the session sealed with AES-256-GCM-SIV (RFC 8452), which forgives a nonce that is drawn twice. Invariant: keys are
//! neither shown nor given back.

use std::fmt;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use rustls::server::ProducesTickets;

/// What a client is told: how long it may come back with a ticket, in seconds. So long a key opens after its last ticket.
pub const LIFETIME: u32 = 24 * 60 * 60;

/// Bytes of a key's name, which stands in clear in each ticket.
const NAME: usize = 16;

/// Bytes of its secret.
const SECRET: usize = 32;

/// The keys in force: the first one seals, all of them open. Without any there are no tickets.
#[derive(Default)]
pub struct Tickets {
    keys: ArcSwap<Vec<Key>>,
}

struct Key {
    name: [u8; NAME],
    key: RandomizedNonceKey,
}

impl Tickets {
    /// Replaces all keys.
    pub fn swap<'a>(&self, keys: impl IntoIterator<Item = (&'a [u8; NAME], &'a [u8; SECRET])>) {
        // The secret has the length that it takes.
        let key = |(name, secret): (&[u8; NAME], &[u8; SECRET])| {
            let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, secret).ok()?;
            Some(Key { name: *name, key })
        };
        self.keys.store(std::sync::Arc::new(keys.into_iter().filter_map(key).collect()));
    }
}

/// A name and a secret that nobody else has.
///
/// # Errors
/// When the system gives no randomness.
pub fn ticket_key() -> Result<([u8; NAME], [u8; SECRET]), super::CertError> {
    let (mut name, mut secret) = ([0; NAME], [0; SECRET]);
    let fill = |bytes: &mut [u8]| aws_lc_rs::rand::fill(bytes);
    let drawn = fill(&mut name).and_then(|()| fill(&mut secret));
    drawn.map_err(|_| super::Fault::Library("the system gives no randomness".to_owned()).of("TLS"))?;
    Ok((name, secret))
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        !self.keys.load().is_empty()
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        let Key { name, key } = keys.first()?;
        let mut sealed = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(name), &mut sealed).ok()?;
        Some([name, &nonce.as_ref()[..], &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys.load();
        let Key { name, key } = keys.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let plain = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(name), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("keys", &self.keys.load().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(keys: &[([u8; NAME], [u8; SECRET])]) -> Tickets {
        let tickets = Tickets::default();
        tickets.swap(keys.iter().map(|(name, secret)| (name, secret)));
        tickets
    }

    #[test]
    fn whoever_has_the_same_key_opens_a_ticket_and_nobody_else() {
        let [old, new, other] = [(); 3].map(|()| ticket_key().unwrap());
        let ticket = tickets(&[old]).encrypt(b"a session").unwrap();
        assert_eq!(tickets(&[new, old]).decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        assert_eq!(tickets(&[new, other]).decrypt(&ticket), None);
        // The right name, and the wrong secret.
        assert_eq!(tickets(&[(old.0, other.1)]).decrypt(&ticket), None);
        let newest = tickets(&[new, old]).encrypt(b"a session").unwrap();
        assert_eq!(tickets(&[old]).decrypt(&newest), None, "the first one seals");
    }

    #[test]
    fn what_was_altered_or_cut_is_no_ticket() {
        let tickets = tickets(&[ticket_key().unwrap()]);
        let ticket = tickets.encrypt(b"a session").unwrap();
        for at in 0..ticket.len() {
            assert_eq!(tickets.decrypt(&ticket[..at]), None);
            let mut altered = ticket.clone();
            altered[at] ^= 1;
            assert_eq!(tickets.decrypt(&altered), None, "{at}");
        }
        assert_ne!(ticket, tickets.encrypt(b"a session").unwrap(), "each has a nonce of its own");
    }

    #[test]
    fn without_a_key_there_are_no_tickets_and_no_key_is_shown() {
        let none = Tickets::default();
        assert!(!none.enabled() && none.encrypt(b"a").is_none() && none.decrypt(&[0; 80]).is_none());
        let one = tickets(&[([7; NAME], [9; SECRET])]);
        assert!(one.enabled());
        assert_eq!(format!("{one:?}"), "Tickets { keys: 1, .. }");
    }
}
