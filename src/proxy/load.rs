//! What the supervisor is told of the load on each endpoint: about once a second, and only what has changed.
//!
//! Reads what exchanges count by themselves and adds nothing to their way. Invariant: what is said to be finished only
//! grows.

use std::collections::HashMap;
use std::time::Instant;

use super::wire::Wire;
use super::world::World;
use crate::id::Serial;
use crate::link::Load;
use crate::upstream::Endpoint;

/// What has been told.
#[derive(Default)]
pub(crate) struct Loads {
    told: HashMap<Serial, Load>,
}

impl Loads {
    /// Looks at every endpoint; gives those whose load is another one than was told last.
    pub(crate) fn news(&mut self, world: &World, now: Instant) -> Vec<Load> {
        let (mut current, mut news) = (HashMap::with_capacity(self.told.len()), Vec::new());
        for endpoint in world.endpoints() {
            let before = self.told.get(&endpoint.serial);
            let load = load(&endpoint, before.map_or(0, |load| load.finished), now);
            if before.map_or_else(|| !is_nothing(&load), |before| *before != load) {
                news.push(load);
            }
            current.insert(load.serial, load);
        }
        self.told = current;
        news
    }
}

/// Whoever holds a place and has not sent its request yet is in flight and not begun, hence the floor.
fn load(endpoint: &Endpoint<Wire>, floor: u64, now: Instant) -> Load {
    let (in_flight, seen) = (endpoint.in_flight(), endpoint.look(now));
    let finished = seen.begun.saturating_sub(u64::from(in_flight)).max(floor);
    Load { serial: endpoint.serial, in_flight, finished, failed: seen.failed, errors: seen.errors, oldest: seen.oldest }
}

/// Is it what is known of an endpoint of which nothing has been told?
fn is_nothing(load: &Load) -> bool {
    *load == Load { serial: load.serial, in_flight: 0, finished: 0, failed: 0, errors: 0, oldest: None }
}
