//! The end: proxies finish what is in flight, then the workers are stopped, then we go.
//!
//! A second request to stop hastens: proxies are killed and workers get no more time.

use std::time::{Duration, Instant};

use super::listeners::Listeners;
use super::site::Site;
use super::{Notice, Supervisor, clock};

/// Time beyond its own drain timeout after which a proxy is killed.
const MARGIN: Duration = Duration::from_secs(2);

/// Where the supervisor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    // Running => Retiring
    Running,
    /// The proxies finish what is in flight; when hasty, the workers get no time after that.
    // Retiring => Stopping
    Retiring {
        until: Instant,
        hasty: bool,
    },
    /// The workers are being stopped, each by its own timeouts.
    // Stopping => Done
    Stopping,
    Done,
}

impl Phase {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Retiring { until, .. } => Some(until),
            Self::Running | Self::Stopping | Self::Done => None,
        }
    }
}

impl Supervisor {
    pub(super) fn is_stopping(&self) -> bool {
        self.phase != Phase::Running
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Begins the end, or hastens it.
    pub(super) fn stop(&mut self) {
        match self.phase {
            Phase::Running => {
                tracing::info!("stopping: finishing what is in flight");
                self.outlook.tell(Notice::Stopping);
                let within = self.config.proxy.drain_timeout;
                self.proxies.cancel_restart();
                self.proxies.retire(false, within);
                // Whoever comes from now on is refused at once, instead of waiting for somebody who will not accept.
                self.listeners = Listeners::default();
                self.phase = Phase::Retiring { until: clock::now() + within + MARGIN, hasty: false };
            }
            Phase::Retiring { until, .. } => {
                tracing::warn!("asked to stop again: no more waiting");
                self.proxies.kill_all();
                self.phase = Phase::Retiring { until, hasty: true };
            }
            Phase::Stopping => {
                tracing::warn!("asked to stop again: no more waiting");
                self.kill_workers();
            }
            Phase::Done => {}
        }
    }

    /// Kills proxies that take longer than they were given.
    pub(super) fn hasten(&mut self, now: Instant) {
        if self.phase.deadline().is_some_and(|until| until <= now) {
            tracing::warn!("proxies take too long; killing them");
            self.proxies.kill_all();
            self.phase = Phase::Retiring { until: now + MARGIN, hasty: false };
        }
    }

    /// Moves on when everything that the phase waits for is gone.
    pub(super) fn advance_shutdown(&mut self) {
        if let Phase::Retiring { hasty, .. } = self.phase
            && self.proxies.iter().len() == 0
        {
            self.phase = Phase::Stopping;
            if hasty {
                self.kill_workers();
            }
        }
        if self.phase == Phase::Stopping {
            self.reloads.hooks.kill_all();
            self.stop_next();
        }
        if self.phase == Phase::Stopping
            && !self.sites.values().any(Site::has_processes)
            && self.reloads.hooks.are_none()
            && self.machines.queue.is_empty()
        {
            self.phase = Phase::Done;
        }
    }

    fn kill_workers(&mut self) {
        self.stop_rest();
        for site in self.sites.values() {
            if let Site::Supervised(site) = site {
                site.workers.values().for_each(|worker| worker.process.kill());
            }
        }
    }
}
