//! Asking workers that serve whether they still would, and telling the operator what comes of it.
//!
//! What an answer means is the machine's to say. Here the question is asked, what the proxies know of the worker is put
//! beside the answer, and every change is said once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::effects::{About, Question};
use super::site::{Site, Supervised};
use super::{Supervisor, clock};
use crate::id::{AppName, Serial};
use crate::lifecycle::{self, Report, WorkerState};

/// What was said to the operator of one app.
#[derive(Debug, Default)]
pub(super) struct Told {
    unready: BTreeSet<Serial>,
    is_panicking: bool,
    /// Killed, and still there.
    pub(super) stuck: BTreeSet<Serial>,
}

impl Supervisor {
    /// Asks a worker that serves.
    pub(super) fn check(&self, app: &AppName, serial: Serial) {
        let Some(Site::Supervised(site)) = self.sites.get(app) else { return };
        let Some(worker) = site.workers.get(&serial) else { return };
        let Some(settings) = site.releases.get(worker.id.generation).map(|release| Arc::clone(&release.app)) else {
            return;
        };
        let Some(address) = worker.berth.address() else { return };
        let (app, about) = (app.clone(), About::Liveness);
        self.starter.effects.ask(&self.starter, Question { app, serial, address, settings, about });
    }

    /// Takes in the answer.
    pub(super) fn checked(&mut self, app: AppName, serial: Serial, outcome: Result<(), String>) {
        let oldest = self.proxies.loads.of(serial, clock::now()).oldest;
        self.machines.queue.push_back((app, lifecycle::Event::Checked { serial, outcome, oldest }));
    }

    /// Asks a worker that hangs to write down what it does.
    pub(super) fn dump(&self, app: &AppName, serial: Serial) {
        let Some(Site::Supervised(site)) = self.sites.get(app) else { return };
        let Some(worker) = site.workers.get(&serial) else { return };
        if let Some(signal) = worker.dump() {
            tracing::warn!(worker = %worker.id, pid = worker.process.pid(), ?signal, "worker hangs: it is asked for a dump");
        }
    }
}

impl Supervised {
    /// Says which workers have come to be unready or serve again, and when a panic begins and ends.
    pub(super) fn tell_liveness(&mut self, app: &AppName, report: &Report) {
        let workers = || report.generations.iter().flat_map(|generation| &generation.workers);
        let mut before = std::mem::take(&mut self.told.unready);
        for worker in workers().filter(|worker| worker.state == WorkerState::Unready) {
            let Some(serial) = worker.serial else { continue };
            if !before.remove(&serial) {
                let reason = worker.complaint.as_deref().unwrap_or("no answer");
                tracing::warn!(worker = %worker.worker, %reason, "worker is unready");
            }
            self.told.unready.insert(serial);
        }
        let serves_again =
            |serial| workers().find(|one| one.serial == Some(serial) && one.state == WorkerState::Serving);
        for worker in before.into_iter().filter_map(serves_again) {
            tracing::info!(worker = %worker.worker, "worker serves again");
        }
        match (std::mem::replace(&mut self.told.is_panicking, report.is_panicking), report.is_panicking) {
            (false, true) => {
                tracing::error!(%app, "most workers fail their probes: requests go to all of them as if none did");
            }
            (true, false) => tracing::info!(%app, "workers that fail their probes are out of routing again"),
            _ => {}
        }
    }
}
