//! How many connections and requests each address has, and how often it begins them, on all threads.
//!
//! An address of IPv6 stands for its network: whoever has one has a /64 of them. Does not know limits, which are given at
//! each question, nor what becomes of who is refused. Invariants: a place that is dropped is free; an address that has no
//! connection and owes nothing is forgotten at the next sweep.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::link::Rate;

/// So many tables, so that threads seldom wait for each other.
const SHARDS: usize = 16;

/// Everybody, by address.
#[derive(Debug)]
pub(crate) struct Crowd {
    shards: [Mutex<HashMap<u128, Member>>; SHARDS],
    hasher: RandomState,
}

/// What an address does at a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Connect,
    Request,
}

/// One address.
#[derive(Clone, Copy, Debug)]
struct Member {
    connections: u32,
    /// When all that was done up to now is paid for, each deed at the price of its share of time; of each kind.
    paid: [Instant; 2],
}

impl Member {
    fn new(now: Instant) -> Self {
        Self { connections: 0, paid: [now; 2] }
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    key: u128,
}

impl Crowd {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    /// A place for one more connection, unless the address has `most` already.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, most: u32, now: Instant) -> Option<Place> {
        let key = key(address);
        let mut shard = self.shard(key);
        let member = shard.entry(key).or_insert(Member::new(now));
        if member.connections >= most {
            return None;
        }
        member.connections += 1;
        drop(shard);
        Some(Place { crowd: Arc::clone(self), key })
    }

    /// May this address do this once more now? It may save up as many as `rate.burst`.
    pub(crate) fn admits(&self, address: IpAddr, deed: Deed, rate: Rate, now: Instant) -> bool {
        let key = key(address);
        let mut shard = self.shard(key);
        let member = shard.entry(key).or_insert(Member::new(now));
        let owed = &mut member.paid[deed as usize];
        let price = rate.period / rate.count.get();
        let paid = (*owed).max(now) + price;
        let is_admitted = paid - now <= price * rate.burst.get();
        if is_admitted {
            *owed = paid;
        }
        is_admitted
    }

    /// Forgets those who are of no account any more.
    pub(crate) fn sweep(&self, now: Instant) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, member| member.connections > 0 || member.paid.iter().any(|paid| *paid > now));
            if shard.capacity() > 4 * shard.len().max(64) {
                shard.shrink_to_fit();
            }
        }
    }

    fn shard(&self, key: u128) -> MutexGuard<'_, HashMap<u128, Member>> {
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(member) = self.crowd.shard(self.key).get_mut(&self.key) {
            member.connections = member.connections.saturating_sub(1);
        }
    }
}

/// What an address counts as.
pub(crate) fn key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(count: u32, burst: u32) -> Rate {
        let positive = |number| NonZeroU32::new(number).unwrap();
        Rate { count: positive(count), period: SECOND, burst: positive(burst) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many requests in a row are admitted.
    fn admitted(crowd: &Crowd, rate: Rate, now: Instant) -> usize {
        (0..1000).take_while(|_| crowd.admits(ip("192.0.2.1"), Deed::Request, rate, now)).count()
    }

    #[test]
    fn an_address_has_so_many_connections_and_others_have_theirs() {
        let (crowd, now) = (Arc::new(Crowd::new()), Instant::now());
        let enter = |text| crowd.enter(ip(text), 2, now);
        let (first, _second) = (enter("192.0.2.1").unwrap(), enter("::ffff:192.0.2.1").unwrap());
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        drop(first);
        assert!(enter("192.0.2.1").is_some());
    }

    #[test]
    fn an_address_of_ipv6_is_its_network() {
        let (crowd, now) = (Arc::new(Crowd::new()), Instant::now());
        let _one = crowd.enter(ip("2001:db8::1"), 1, now).unwrap();
        assert!(crowd.enter(ip("2001:db8::ffff:2"), 1, now).is_none());
        assert!(crowd.enter(ip("2001:db8:0:1::1"), 1, now).is_some());
    }

    #[test]
    fn requests_come_at_a_rate_with_a_burst_that_is_saved_up() {
        let (crowd, now) = (Crowd::new(), Instant::now());
        let ten = rate(10, 5);
        assert_eq!(admitted(&crowd, ten, now), 5);
        assert_eq!(admitted(&crowd, ten, now + SECOND / 20), 0);
        assert_eq!(admitted(&crowd, ten, now + SECOND / 5), 2);
        assert_eq!(admitted(&crowd, ten, now + 100 * SECOND), 5, "no more than a burst is saved up");
        let connect = |now| crowd.admits(ip("192.0.2.1"), Deed::Connect, rate(1, 1), now);
        assert!(connect(now + 100 * SECOND), "connections are paid for apart from requests");
        assert!(!connect(now + 100 * SECOND));
    }

    #[test]
    fn who_is_gone_and_owes_nothing_is_forgotten() {
        let (crowd, now) = (Arc::new(Crowd::new()), Instant::now());
        let count = || crowd.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>();
        let place = crowd.enter(ip("192.0.2.9"), 1, now);
        admitted(&crowd, rate(1, 3), now);
        crowd.sweep(now);
        assert_eq!(count(), 2);
        drop(place);
        crowd.sweep(now + SECOND);
        assert_eq!(count(), 1);
        crowd.sweep(now + 3 * SECOND);
        assert_eq!(count(), 0);
    }
}
