//! Apps that depend on others: started and reloaded after them, stopped before them.
//!
//! When that is, is decided by `lifecycle::Order`; here it is asked, and its answers are carried out. A held app is in the
//! snapshot as one that is expected, so requests for it wait as for any other that starts.

use std::time::{Duration, Instant};

use super::Supervisor;
use super::outcome::Reload;
use super::settings::plan;
use super::site::Site;
use crate::config::{self, Server};
use crate::control::words::Outcome;
use crate::id::AppName;
use crate::lifecycle;

impl Supervisor {
    /// Starts an app whose site is there, or lets it wait for those that it depends on.
    pub(super) fn start_site(&mut self, name: &AppName) {
        let Some(Site::Supervised(site)) = self.sites.get_mut(name) else { return };
        if !site.upcoming.enabled {
            return;
        }
        let on = site.upcoming.depends_on.clone();
        site.held = !on.is_empty();
        if on.is_empty() {
            self.start_now(name);
        } else {
            let waits: Vec<_> = on.into_iter().map(|app| (app.clone(), self.patience(&app))).collect();
            self.machines.order.hold(name.clone(), waits);
        }
    }

    /// How long others wait for an app from its start.
    fn patience(&self, app: &AppName) -> Duration {
        match self.config.apps.get(app).map(|app| &app.server) {
            Some(Server::Command(command)) => command.timeouts.start,
            Some(Server::Fixed(_)) | None => config::defaults::START_TIMEOUT.default,
        }
    }

    /// Starts those that have waited for long enough.
    pub(super) fn release_held(&mut self, now: Instant) {
        if self.is_stopping() {
            return;
        }
        let sites = &self.sites;
        let is_coming = |app: &AppName| {
            sites.get(app).is_some_and(|site| !site.is_open() && !site.is_dormant() && site.is_expected())
        };
        for lifecycle::Released { app, missing } in self.machines.order.release(now, is_coming) {
            for late in missing {
                tracing::warn!(%app, on = %late, "an app that this one depends on does not serve yet; starting it anyway");
            }
            let Some(Site::Supervised(site)) = self.sites.get_mut(&app) else { continue };
            site.held = false;
            self.start_now(&app);
        }
    }

    /// But for a job, whose time has to come.
    fn start_now(&mut self, name: &AppName) {
        if let Some(Site::Supervised(site)) = self.sites.get(name).filter(|site| !site.is_job()) {
            let plan = plan(&site.upcoming, self.roster.scaled(&site.upcoming));
            self.machines.queue.push_back((name.clone(), lifecycle::Event::Start(plan)));
        }
    }

    /// Begins what is due of every reload: an app's turn comes when those that it depends on have had theirs.
    pub(super) fn begin_due(&mut self) {
        let mut open = std::mem::take(&mut self.reloads.open);
        for reload in &mut open {
            while let Some(name) = self.next_due(reload) {
                reload.later.retain(|other| *other != name);
                if self.is_stopping() {
                    reload.end_because(&name, Outcome::Aborted, "portreeve is stopping");
                } else {
                    self.begin_app(&name, reload);
                }
            }
        }
        self.reloads.open = open;
    }

    fn next_due(&self, reload: &Reload) -> Option<AppName> {
        let is_open = |app: &AppName| reload.later.contains(app) || reload.awaits(app);
        let on = |app: &AppName| self.config.apps.get(app).map_or(&[][..], |app| &app.depends_on);
        reload.later.iter().find(|app| !on(app).iter().any(is_open)).cloned()
    }

    /// Tells the next apps to stop: those that no app depends on which is still there.
    pub(super) fn stop_next(&mut self) {
        let sites = &self.sites;
        let told = |app: &AppName| self.machines.order.has_told(app);
        let is_there = |app: &AppName, site: &Site| !told(app) || site.has_processes();
        let there: Vec<_> = sites.iter().filter(|(app, site)| is_there(app, site)).collect();
        let there = there.into_iter().map(|(app, site)| (app, site.app().depends_on.as_slice()));
        let next = self.machines.order.stop(there.collect::<Vec<_>>());
        self.tell_to_stop(next);
    }

    /// Tells all the others to stop, whoever depends on them.
    pub(super) fn stop_rest(&mut self) {
        let next = self.machines.order.stop(self.sites.keys().map(|app| (app, &[][..])));
        self.tell_to_stop(next);
    }

    fn tell_to_stop(&mut self, apps: Vec<AppName>) {
        if !apps.is_empty() {
            self.machines.queue.extend(apps.into_iter().map(|app| (app, lifecycle::Event::Stop)));
            self.settle();
        }
    }
}
