//! What must never happen, watched from outside the machines that promise it.
//!
//! The machines are proved elsewhere; this counts, in production too, whether the promises hold of what is really
//! published. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Supervisor;
use super::site::Site;
use crate::id::{AppName, Serial};

/// What is remembered to notice a broken promise.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The open endpoints of each app as they were last published.
    open: BTreeMap<AppName, BTreeSet<Serial>>,
    /// Workers that have answered a probe, or said themselves that they can serve.
    proven: BTreeSet<Serial>,
}

impl Watch {
    pub(super) fn prove(&mut self, serial: Serial) {
        self.proven.insert(serial);
    }

    pub(super) fn forget(&mut self, serial: Serial) {
        self.proven.remove(&serial);
    }
}

impl Supervisor {
    /// Counts what is wrong with what is about to be published.
    pub(super) fn watch_invariants(&mut self) {
        let stopping = self.is_stopping();
        for (name, site) in &self.sites {
            let Site::Supervised(supervised) = site else { continue };
            let endpoints = site.endpoints().into_iter();
            let now: BTreeSet<_> = endpoints.filter(|endpoint| endpoint.open).map(|endpoint| endpoint.serial).collect();
            let before = self.published.watch.open.insert(name.clone(), now.clone()).unwrap_or_default();
            let still_runs = |serial: &Serial| supervised.workers.contains_key(serial);
            let is_wanted = !stopping && self.config.apps.contains_key(name) && supervised.machine.is_wanted();
            if is_wanted
                && now.is_empty()
                && before.iter().any(still_runs)
                && !supervised.machine.holds()
                && !site.is_dormant()
            {
                self.outlook.metrics.invariants().self_emptied.inc();
                tracing::error!(app = %name, "invariant broken: an app was left without a worker that could have served");
            }
            for serial in now.difference(&self.published.watch.proven) {
                self.outlook.metrics.invariants().promote_ungated.inc();
                tracing::error!(app = %name, %serial, "invariant broken: a worker is published that never was ready");
            }
        }
    }

    /// Counts generations that were forgotten before they had ended.
    pub(super) fn watch_leak(&self, app: &AppName) {
        if let Some(Site::Supervised(site)) = self.sites.get(app)
            && site.releases.values().len() > 0
        {
            self.outlook.metrics.invariants().generation_leaked.inc_by(site.releases.values().len() as u64);
            tracing::error!(%app, "invariant broken: a generation was forgotten");
        }
    }
}
