//! An app whose servers something else runs: which they are, and how they answer.
//!
//! Keeps and decides nothing: how many failures close a server is `lifecycle::Health`'s to say.

use std::sync::Arc;
use std::time::Instant;

use crate::config::{self, App};
use crate::id::{Address, Generation, Serial, Slot};
use crate::lifecycle::Health;
use crate::link;

/// The generation that servers of a fixed upstream are shown with.
const FIXED: Generation = Generation(0);

/// An app whose servers something else runs.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) app: Arc<App>,
    pub(super) servers: Vec<Server>,
}

/// One server of a fixed upstream.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) serial: Serial,
    pub(super) slot: Slot,
    pub(super) address: Address,
    pub(super) health: Health,
    pub(super) since: Instant,
}

impl Fixed {
    /// Takes in the answer to a probe; says whether the server opened or closed.
    pub(super) fn probed(&mut self, serial: Serial, outcome: Result<(), String>, now: Instant) -> bool {
        let Some(server) = self.servers.iter_mut().find(|server| server.serial == serial) else { return false };
        let changed = server.health.probed(now, outcome);
        if changed {
            server.since = now;
            let (address, state) = (&server.address, if server.health.is_open() { "up" } else { "down" });
            tracing::info!(app = %self.app.name, %address, reason = server.health.last_failure(), "server is {state}");
        }
        changed
    }

    pub(super) fn endpoints(&self) -> Vec<link::Endpoint> {
        let endpoint = |server: &Server| link::Endpoint {
            serial: server.serial,
            slot: server.slot,
            generation: FIXED,
            address: server.address.clone(),
            open: server.health.is_open(),
            proxy_protocol: self.app.forwarding.proxy_protocol,
            leaving: false,
            streams: link::Streams::Wait,
            slow_start: None,
        };
        self.servers.iter().map(endpoint).collect()
    }

    /// Takes on new settings; servers whose address stays keep their health.
    pub(super) fn update(&mut self, app: &Arc<App>, mut fresh: impl FnMut(Address, Slot) -> Server) {
        let config::Server::Fixed(addresses) = &app.server else { return };
        let mut before = std::mem::take(&mut self.servers);
        let addresses = if app.enabled { &addresses[..] } else { &[] };
        for (address, slot) in addresses.iter().zip((0..).map(Slot)) {
            let kept = before.iter().position(|server| server.address == *address).map(|at| before.swap_remove(at));
            let server = kept.map(|server| Server { slot, ..server });
            self.servers.push(server.unwrap_or_else(|| fresh(address.clone(), slot)));
        }
        self.app = Arc::clone(app);
    }
}
