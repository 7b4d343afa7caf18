//! Which generation of an app a client is for, while a new one is tried on a few.
//!
//! Pure. A client is told by its address, as the crowd counts them (of IPv6 a /64): so nothing is added to any answer, and a client
//! keeps its side over connections, proxies and supervisors. The few are others with each generation, or the same ones would
//! always get what is new. Invariant: where nothing is tried nothing is looked at.

use std::net::IpAddr;

use super::crowd;
use crate::id::Generation;
use crate::link;
use crate::upstream::Span;

/// Shares are counted in so many parts.
const PARTS: u64 = 10_000;

/// What decides for whom which generation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    canary: link::Canary,
}

impl Versions {
    /// `None`: any is for anybody.
    pub(crate) fn of(said: &link::Requests) -> Option<Self> {
        said.canary.map(|canary| Self { canary })
    }

    pub(crate) fn span(self, client: IpAddr) -> Span {
        let link::Canary { generation, share } = self.canary;
        let draw = draw(generation, crowd::key(client));
        if draw < u64::from(share) { Span::From(generation) } else { Span::Below(generation) }
    }
}

/// A number for each client, the same each time, below [`PARTS`].
fn draw(generation: Generation, client: u128) -> u64 {
    [(client >> 64) as u64, client as u64].into_iter().fold(mix(generation.0), |hash, part| mix(hash ^ part)) % PARTS
}

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of as many clients as there are in a /16, those that are for the new generation.
    fn few(generation: u64, share: u32) -> Vec<IpAddr> {
        let generation = Generation(generation);
        let versions = Versions { canary: link::Canary { generation, share } };
        let clients = (0..=u16::MAX).map(|low| IpAddr::from([10, 0, (low >> 8) as u8, low as u8]));
        clients.filter(|client| versions.span(*client) == Span::From(generation)).collect()
    }

    #[test]
    fn as_many_clients_as_the_share_says_are_for_the_new_one() {
        for share in [1, 50, 500, 2_000, 5_000] {
            let expected = 65_536.0 * f64::from(share) / 10_000.0;
            let off = few(2, share).len() as f64 - expected;
            assert!(off.abs() <= 4.0 * expected.sqrt(), "{share}: {off} more than {expected}");
        }
    }

    #[test]
    fn a_client_stays_on_its_side_and_with_the_next_generation_it_is_others() {
        assert_eq!(few(2, 500), few(2, 500));
        let again = few(3, 500).iter().filter(|client| few(2, 500).contains(client)).count();
        assert!(again < 350, "{again} of about 3277 again");
        let small = few(2, 100);
        let large = few(2, 500);
        assert!(small.iter().all(|client| large.contains(client)), "a larger share has those of a smaller one");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let versions = Versions { canary: link::Canary { generation: Generation(7), share: 5_000 } };
        for network in 0..50 {
            let host = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, last]);
            assert_eq!(versions.span(host(1)), versions.span(host(2)));
        }
    }
}
