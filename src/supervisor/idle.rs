//! Apps that nobody asks for anything: since when that is so, when they are to sleep, and that somebody asks for one.
//!
//! What becomes of their workers is the machines' to say. Not counted is the time in which an app could not sleep: while
//! something is in flight, as the proxies say, while a change is under way, or while it is diverted by hand. That what the
//! proxies say is a second old does no harm: an app is closed first, and wakes if anything was missed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Supervisor;
use super::site::Site;
use crate::config::Server;
use crate::id::{AppName, Serial};
use crate::lifecycle;

/// Since when each app that could sleep has not been asked for anything.
#[derive(Debug, Default)]
pub(super) struct Quiet(BTreeMap<AppName, Spell>);

#[derive(Clone, Copy, Debug)]
struct Spell {
    since: Instant,
    /// So long is enough.
    enough: Duration,
}

impl Quiet {
    /// Nobody asks this app for anything just now; `None`: somebody does, or it could not sleep.
    fn note(&mut self, app: &AppName, enough: Option<Duration>, now: Instant) {
        match enough {
            Some(enough) => self.0.entry(app.clone()).or_insert(Spell { since: now, enough }).enough = enough,
            None => self.end(app),
        }
    }

    /// Something was asked of it, or it is gone.
    pub(super) fn end(&mut self, app: &AppName) {
        self.0.remove(app);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(Spell::end).min()
    }

    /// Those for whom it has been enough; it is counted anew from then on.
    fn take_due(&mut self, now: Instant) -> Vec<AppName> {
        self.0.extract_if(.., |_, spell| spell.end().is_some_and(|end| end <= now)).map(|(app, _)| app).collect()
    }
}

impl Spell {
    fn end(&self) -> Option<Instant> {
        self.since.checked_add(self.enough)
    }
}

impl Supervisor {
    /// Looks which apps are quiet.
    pub(super) fn note_quiet(&mut self, now: Instant) {
        for (app, site) in &self.sites {
            let is_busy = |serial: &Serial| self.proxies.loads.of(*serial, now).in_flight > 0;
            let enough = match site {
                Site::Supervised(site) if site.machine.may_doze() && !self.roster.traffic.diverts(app) => {
                    idle_timeout(&site.upcoming.server).filter(|_| !site.workers.keys().any(is_busy))
                }
                _ => None,
            };
            self.chores.quiet.note(app, enough, now);
        }
    }

    /// Has those sleep for whom it is time to.
    pub(super) fn send_to_sleep(&mut self, now: Instant) {
        let due = self.chores.quiet.take_due(now).into_iter();
        self.machines.queue.extend(due.map(|app| (app, lifecycle::Event::Doze)));
    }

    /// A proxy says that a request waits for an app that sleeps.
    pub(super) fn wanted(&mut self, app: AppName) {
        if let Some(Site::Supervised(site)) = self.sites.get(&app)
            && site.machine.is_dormant()
        {
            if site.machine.is_asleep() {
                tracing::info!(%app, "a request wakes the app");
            }
            self.machines.queue.push_back((app, lifecycle::Event::Rouse));
        }
    }
}

impl Site {
    /// Does it sleep, or is it about to, so that the next request wakes it?
    pub(super) fn is_dormant(&self) -> bool {
        matches!(self, Self::Supervised(site) if site.machine.is_dormant())
    }
}

/// So long without anything asked for, and it sleeps; `None`: it never does.
pub(super) fn idle_timeout(server: &Server) -> Option<Duration> {
    match server {
        Server::Command(command) => command.timeouts.idle,
        Server::Fixed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_app_is_due_once_when_it_has_been_quiet_for_long_enough() {
        let (mut quiet, began, app) = (Quiet::default(), Instant::now(), "web".parse().unwrap());
        let at = |seconds| began + seconds * SECOND;
        assert_eq!(quiet.deadline(), None);
        quiet.note(&app, Some(10 * SECOND), at(0));
        quiet.note(&app, Some(10 * SECOND), at(5));
        assert_eq!((quiet.deadline(), quiet.take_due(at(9))), (Some(at(10)), Vec::new()));
        assert_eq!(quiet.take_due(at(10)), std::slice::from_ref(&app));
        assert_eq!((quiet.deadline(), quiet.take_due(at(99))), (None, Vec::new()));
    }

    #[test]
    fn whatever_is_asked_begins_the_count_anew() {
        let (mut quiet, began, app) = (Quiet::default(), Instant::now(), "web".parse().unwrap());
        let at = |seconds| began + seconds * SECOND;
        quiet.note(&app, Some(10 * SECOND), at(0));
        quiet.end(&app);
        quiet.note(&app, Some(10 * SECOND), at(5));
        quiet.note(&app, Some(20 * SECOND), at(6));
        assert_eq!(quiet.deadline(), Some(at(25)), "another setting holds from where it is");
        quiet.note(&app, None, at(7));
        assert_eq!(quiet.deadline(), None);
        quiet.note(&app, Some(Duration::MAX), at(8));
        assert_eq!((quiet.deadline(), quiet.take_due(at(9))), (None, Vec::new()));
    }
}
