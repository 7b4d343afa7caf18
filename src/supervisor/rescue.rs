//! The last moment of a worker that is killed with requests in flight: those that it has not read are not lost with it.
//!
//! It stands still, so that what it has not read stays unread; the proxies are told of that, and say that they know; then it is
//! killed, its connections break, and the proxies send what was unread to others, whatever it is. Nobody waits long: without
//! an answer the kill comes all the same. Invariant: every worker that is to be killed is killed, once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::site::Site;
use super::workers::Worker;
use super::{Supervisor, clock};
use crate::id::{Address, AppName, Serial};
use crate::link::{self, ToProxy};
use crate::sys::unread::Unread;

/// How long the proxies may take to say that they know.
const PATIENCE: Duration = Duration::from_millis(500);

/// Workers whose kill waits for the proxies.
#[derive(Debug, Default)]
pub(super) struct Rescues(BTreeMap<Serial, Rescue>);

#[derive(Debug)]
struct Rescue {
    app: AppName,
    /// Proxies that have not said that they know.
    awaited: BTreeSet<u64>,
    until: Instant,
}

impl Rescues {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|rescue| rescue.until).min()
    }

    /// Takes out those for whom nothing is waited for any more.
    fn take_due(&mut self, now: Instant) -> Vec<(AppName, Serial)> {
        let due = self.0.extract_if(.., |_, rescue| rescue.awaited.is_empty() || rescue.until <= now);
        due.map(|(serial, rescue)| (rescue.app, serial)).collect()
    }
}

impl Supervisor {
    /// Kills a worker, at once if nothing is in flight on it.
    pub(super) fn kill_worker(&mut self, app: &AppName, serial: Serial) {
        let worker = self.worker(app, serial);
        let place = worker.and_then(|worker| Some((worker.tree.clone(), worker.berth.address()?)));
        match place {
            Some((tree, Address::Tcp(address))) if self.proxies.may_be_busy(serial) => {
                self.starter.effects.stand_still(&self.starter, (app.clone(), serial), tree, address);
            }
            // Of a Unix socket the proxies learn by themselves what was unread.
            _ => self.kill_now(app, serial),
        }
    }

    /// It stands still.
    pub(super) fn stands(&mut self, app: AppName, serial: Serial, unread: &[Unread]) {
        let awaited: BTreeSet<u64> = self.proxies.iter().map(|(number, _)| number).collect();
        if unread.is_empty() || awaited.is_empty() {
            return self.kill_now(&app, serial);
        }
        tracing::info!(%app, %serial, connections = unread.len(), "a worker is killed that has not read all that it was sent");
        let told = |one: &Unread| link::Unread { proxy: one.client, bytes: one.bytes };
        let connections = unread.iter().map(told).collect();
        self.proxies.broadcast(&ToProxy::Unread { serial, connections });
        self.chores.rescues.0.insert(serial, Rescue { app, awaited, until: clock::now() + PATIENCE });
    }

    /// A proxy knows what this worker has not read.
    pub(super) fn noted(&mut self, proxy: u64, serial: Serial) {
        if let Some(rescue) = self.chores.rescues.0.get_mut(&serial) {
            rescue.awaited.remove(&proxy);
        }
        self.end_rescues(clock::now());
    }

    /// A proxy that has ended has nothing to send again.
    pub(super) fn forget_in_rescues(&mut self, proxy: u64) {
        for rescue in self.chores.rescues.0.values_mut() {
            rescue.awaited.remove(&proxy);
        }
        self.end_rescues(clock::now());
    }

    pub(super) fn end_rescues(&mut self, now: Instant) {
        for (app, serial) in self.chores.rescues.take_due(now) {
            self.kill_now(&app, serial);
        }
    }

    fn kill_now(&self, app: &AppName, serial: Serial) {
        if let Some(worker) = self.worker(app, serial) {
            worker.process.kill();
        }
    }

    fn worker(&self, app: &AppName, serial: Serial) -> Option<&Worker> {
        match self.sites.get(app)? {
            Site::Supervised(site) => site.workers.get(&serial),
            Site::Fixed(_) => None,
        }
    }
}
