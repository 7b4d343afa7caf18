//! What workers that were killed had not read, as the supervisor says.
//!
//! Told before the kill, asked when the connections have broken: whoever is about to send a request pays nothing for it.
//! Invariant: what is said to be unread is all of what was sent; of how many workers that is known is bounded.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::Serial;
use crate::link;

/// Workers that are remembered: their connections break at once when they are killed.
const REMEMBERED: usize = 32;

/// What is known of those that were killed last.
#[derive(Debug, Default)]
pub(crate) struct Unread(Mutex<VecDeque<(Serial, HashMap<SocketAddr, u32>)>>);

impl Unread {
    /// Notes it of one that stands still.
    pub(crate) fn note(&self, worker: Serial, connections: Vec<link::Unread>) {
        let mut known = self.known();
        known.push_back((worker, connections.into_iter().map(|one| (one.proxy, one.bytes)).collect()));
        if known.len() > REMEMBERED {
            known.pop_front();
        }
    }

    /// Had this worker read nothing of the last so many bytes that were sent from here?
    pub(crate) fn has(&self, worker: Serial, place: SocketAddr, sent: u64) -> bool {
        let known = self.known();
        let connections = known.iter().rev().find(|(of, _)| *of == worker).map(|(_, connections)| connections);
        connections.and_then(|connections| connections.get(&place)).is_some_and(|bytes| u64::from(*bytes) >= sent)
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<(Serial, HashMap<SocketAddr, u32>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_request_is_unread_if_all_of_it_is() {
        let unread = Unread::default();
        unread.note(Serial(7), vec![link::Unread { proxy: place(1), bytes: 100 }]);
        assert!(unread.has(Serial(7), place(1), 100) && unread.has(Serial(7), place(1), 99));
        assert!(!unread.has(Serial(7), place(1), 101), "a part was read, or is still on its way");
        assert!(!unread.has(Serial(7), place(2), 1) && !unread.has(Serial(8), place(1), 1));
    }

    #[test]
    fn those_that_were_killed_last_are_remembered() {
        let unread = Unread::default();
        for serial in 0..100 {
            unread.note(Serial(serial), vec![link::Unread { proxy: place(1), bytes: 5 }]);
        }
        let remembered = (0..100).filter(|serial| unread.has(Serial(*serial), place(1), 5)).count();
        assert_eq!(remembered, REMEMBERED);
        assert!(unread.has(Serial(99), place(1), 5));
    }
}
