//! Going back: by itself, when a generation on trial turns out bad, or because somebody asks for it.
//!
//! With the generation from before still at hand its machine swaps the two; without it, what it ran is started anew, from
//! the directory that it ran from, as any other reload. Decides nothing else.

use std::time::Instant;

use super::Supervisor;
use super::outcome::Reload;
use super::settings::plan;
use super::site::{Site, Supervised};
use crate::control::words::Outcome;
use crate::id::{AppName, Generation, Serial};
use crate::lifecycle::{self, Answers, GenerationState, Plan, Size, Trial};

const NOTHING: &str = "there is no earlier generation to go back to, or it ran the same from the same directory: put the \
                       old files back and reload";

impl Supervisor {
    /// Goes back to what served before.
    pub(super) fn begin_rollback(&mut self, name: &AppName, reload: &mut Reload) {
        let Some(Site::Supervised(site)) = self.sites.get_mut(name).filter(|site| !site.is_job()) else {
            return reload.end_because(
                name,
                Outcome::Aborted,
                "it is not an app of which generations follow each other",
            );
        };
        let is_wanted = site.machine.is_wanted();
        // A canary that goes makes way for the one that serves.
        let has_retained = site.has_retained() || site.machine.canary().is_some();
        let recalled = if has_retained || !is_wanted { None } else { site.releases.recall() };
        // What has served before need not prove itself on a few.
        let at_once = |plan: Plan| Plan { trial: Trial { canary: None, ..plan.trial }, ..plan };
        let plan = recalled.map(|app| self.plan_of_reload(name, &app, reload).map(at_once));
        let ticket = self.reloads.fresh_ticket();
        let event = match plan {
            _ if has_retained => lifecycle::Event::GoBack { ticket },
            Some(Some(plan)) => lifecycle::Event::Reload { ticket, plan },
            // It has ended.
            Some(None) => return self.forget_recalled(name),
            None => return reload.end_because(name, Outcome::Aborted, NOTHING),
        };
        reload.await_ticket(name, ticket);
        self.machines.queue.push_back((name.clone(), event));
    }

    /// What was set aside for the next generation is not to run.
    fn forget_recalled(&mut self, name: &AppName) {
        if let Some(Site::Supervised(site)) = self.sites.get_mut(name) {
            site.releases.forget_recalled();
        }
    }

    /// The machine has gone back.
    pub(super) fn rolled_back(&mut self, app: &AppName, generation: Generation, to: Generation, reason: &str) {
        tracing::warn!(%app, %generation, %to, %reason, "rolled back: the generation from before serves again");
        self.outlook.metrics.rolled_back(app);
        let Some(Site::Supervised(site)) = self.sites.get_mut(app) else { return };
        site.releases.note_rolled_back(generation, to);
        // Whoever has scaled it meanwhile means the app, not one of its generations.
        if let Some(scaled) = self.roster.scaled(&site.upcoming) {
            let intensity = plan(&site.upcoming, Some(scaled)).restart.intensity;
            let resize = lifecycle::Event::Resize(Size { workers: scaled.get(), intensity });
            self.machines.queue.push_back((app.clone(), resize));
        }
    }
}

impl Supervised {
    pub(super) fn has_retained(&self) -> bool {
        self.machine.report().generations.iter().any(|one| one.state == GenerationState::Retained)
    }

    /// Notes what a worker has answered; if its generation is on trial and worse than the one before, that is an event.
    pub(super) fn note_answers(&mut self, serial: Serial, now: Instant, answers: Answers) -> Option<lifecycle::Event> {
        let generation = self.workers.get(&serial)?.id.generation;
        self.releases.note_answers(generation, now, answers);
        if answers.bad == 0 {
            return None;
        }
        let mut generations = self.machine.report().generations.into_iter();
        let is_watched =
            |state| matches!(state, GenerationState::Baking | GenerationState::Canary | GenerationState::Rolling);
        let is_watched = generations.any(|one| one.number == generation && is_watched(one.state));
        let reason = self.releases.fault(generation).filter(|_| is_watched)?;
        Some(lifecycle::Event::Condemn { generation, reason })
    }
}
