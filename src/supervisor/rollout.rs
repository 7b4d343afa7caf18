//! What a reload is decided by: the memory that there is, what the workers need, and what the operator wants of both.
//!
//! Looks, and asks `lifecycle::decide`. What it says is logged, and told with the end of the reload.

use super::Supervisor;
use super::outcome::Reload;
use super::settings::{bytes, plan};
use super::site::Site;
use crate::config::{self, App, Server};
use crate::control::words::Outcome;
use crate::id::{AppName, Serial};
use crate::lifecycle::{self, Decision, Plan, Rollout, Room, Share, Strategy, Wishes};
use crate::sys::{memory, process};

/// So much memory is left at least, whatever there is.
const LEAST_RESERVE: u64 = 256 << 20;

impl Supervisor {
    /// The plan of a reload of this app; `None`: there is no room for it, and it has ended.
    pub(super) fn plan_of_reload(&self, name: &AppName, app: &App, reload: &mut Reload) -> Option<Plan> {
        let plan = plan(app, self.roster.scaled(app));
        if app.kind.is_task() {
            return Some(plan);
        }
        match self.decide(name, app, plan.workers) {
            Ok(Decision { rollout, why, .. }) => {
                tracing::info!(app = %name, "reload, {why}");
                reload.note_strategy(name, why);
                Some(with_rollout(plan, rollout))
            }
            Err(why) => {
                tracing::error!(app = %name, "not reloaded: {why}");
                self.outlook.metrics.reload_failed(name, "aborted");
                reload.end_because(name, Outcome::Aborted, &why);
                None
            }
        }
    }

    fn decide(&self, name: &AppName, app: &App, workers: u32) -> Result<Decision, String> {
        let Server::Command(command) = &app.server else {
            return lifecycle::decide(workers, &nothing(), &Room::default());
        };
        let serving = match self.sites.get(name) {
            Some(Site::Supervised(site)) => site.serving(),
            _ => Vec::new(),
        };
        let need = lifecycle::need_of(serving.into_iter().filter_map(|serial| self.needs(name, serial)));
        let twentieth = || memory::total().map_or(0, |total| total / 20);
        let reserve = command.deploy.reserve.and_then(bytes).unwrap_or_else(|| LEAST_RESERVE.max(twentieth()));
        let room = Room { need, available: need.and_then(|_| memory::available()), reserve };
        lifecycle::decide(workers, &wishes(&command.deploy), &room)
    }

    /// What a worker needs as it was last measured; of one that was not yet the kernel's own figure will do.
    fn needs(&self, app: &AppName, serial: Serial) -> Option<u64> {
        let measured = self.chores.gauges.of(serial).and_then(|gauge| gauge.latest).map(|latest| latest.bytes);
        let Some(Site::Supervised(site)) = self.sites.get(app) else { return measured };
        let resident = || process::resident_bytes(site.workers.get(&serial)?.process.pid()).ok();
        measured.or_else(resident)
    }

    /// Tells those that are about to start workers beside others whether programs wait for memory.
    pub(super) fn note_pressure(&mut self) {
        let minds = |site: &Site| matches!(site, Site::Supervised(site) if site.machine.minds_pressure());
        if !self.sites.values().any(minds) {
            return;
        }
        let is_short = memory::is_pressed();
        for (app, site) in &self.sites {
            if let Site::Supervised(site) = site
                && site.machine.is_pressed() != is_short
                && site.machine.minds_pressure()
            {
                tracing::warn!(%app, is_short, "programs wait for memory: while they do, no worker is started beside the others");
                self.machines.queue.push_back((app.clone(), lifecycle::Event::Pressure { is_short }));
            }
        }
    }
}

/// Where the old ones go in turn, each of them may take its time.
fn with_rollout(plan: Plan, rollout: Rollout) -> Plan {
    let mut timeouts = plan.timeouts;
    if rollout.is_stepwise() {
        timeouts.progress =
            timeouts.progress.max(timeouts.drain.saturating_add(timeouts.kill).saturating_add(timeouts.start));
    }
    Plan { timeouts, rollout, ..plan }
}

fn nothing() -> Wishes {
    Wishes { strategy: None, max_surge: None, max_unavailable: Share::Count(0), holds: false }
}

fn wishes(deploy: &config::Deploy) -> Wishes {
    let share = |part: config::Part| match part {
        config::Part::Count(count) => Share::Count(count),
        config::Part::Percent(percent) => Share::Percent(percent),
    };
    Wishes {
        strategy: deploy.strategy.map(|strategy| match strategy {
            config::Strategy::BlueGreen => Strategy::BlueGreen,
            config::Strategy::Rolling => Strategy::Rolling,
            config::Strategy::ShrinkFirst => Strategy::ShrinkFirst,
            config::Strategy::Hold => Strategy::Hold,
        }),
        max_surge: deploy.max_surge.map(share),
        max_unavailable: share(deploy.max_unavailable),
        holds: deploy.holds,
    }
}
