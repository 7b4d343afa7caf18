//! Another number of workers for an app that runs: asked for, judged, remembered, and waited for.
//!
//! Which worker comes or goes when is the machine's to say. A refusal changes nothing, for none of the apps. In a list of our
//! own the number is written down; for a file that is somebody else's it is remembered (see [`super::roster`]).

use std::num::NonZeroU32;
use std::sync::Arc;

use super::Supervisor;
use super::outcome::{End, Hope, Reload, Reply, SHOWN_LINES};
use super::settings::{configured_workers, plan};
use super::site::{Site, Supervised};
use crate::config::{self, App, Kind, Server, defaults, list};
use crate::control::Scaling;
use crate::control::words::{self, Order, Outcome, Refusal, RefusalKind};
use crate::id::AppName;
use crate::lifecycle::{self, AppState, GenerationReport, Size, WorkerReport, WorkerState};

impl Supervisor {
    pub(super) fn scale(&mut self, apps: &[AppName], scaling: Scaling, reply: Reply) {
        match self.prepare_scale(apps, scaling) {
            Ok(numbers) => self.begin_scale(numbers, reply),
            Err(refusal) => {
                tracing::error!("scale refused, everything stays as it was: {}", refusal.error);
                drop(reply.send(Err(refusal)));
            }
        }
    }

    /// The number that an app has, or is to have when it is started; `None`: its servers are not ours.
    fn number(&self, name: &AppName) -> Option<u32> {
        let app = self.config.apps.get(name)?;
        let scaled = self.roster.scaled(app).map(NonZeroU32::get);
        let running = match self.sites.get(name) {
            Some(Site::Supervised(site)) => live(&site.machine.report()).map(|live| live.wanted),
            _ => None,
        };
        let configured = configured_workers(app)?;
        Some(running.and_then(|wanted| wanted.try_into().ok()).or(scaled).unwrap_or(configured))
    }

    /// All that can fail, done: the number for each app.
    fn prepare_scale(&self, apps: &[AppName], scaling: Scaling) -> Result<Vec<(AppName, NonZeroU32)>, Refusal> {
        if self.is_stopping() {
            return Err(Refusal::new(RefusalKind::Stopping, "portreeve is stopping"));
        }
        self.require_known(apps)?;
        let is_job = |name: &&AppName| self.config.apps.get(*name).is_some_and(|app| matches!(app.kind, Kind::Job(_)));
        if let Some(job) = apps.iter().find(is_job) {
            let error =
                format!("{job} is a job: each of its runs has one worker; to run it now: portreeve restart {job}");
            return Err(Refusal::new(RefusalKind::BadRequest, error));
        }
        let number = |name: &AppName| Ok((name.clone(), within_bounds(name, self.number(name), scaling)?));
        let numbers: Vec<_> = apps.iter().map(number).collect::<Result<_, Refusal>>()?;
        if self.roster.is_list() {
            let plain: Vec<_> = numbers.iter().map(|(name, workers)| (name.clone(), workers.get())).collect();
            let text = list::with_workers(&self.list()?, &plain).map_err(|error| self.bad_list(&error))?;
            let path = &self.config.path;
            config::parse(&text, path)
                .map_err(|errors| Refusal::new(RefusalKind::InvalidConfig, errors.render(false)))?;
            let failed = |error| Refusal::new(RefusalKind::Internal, format!("{}: {error}", path.display()));
            list::write(path, &text).map_err(failed)?;
        }
        Ok(numbers)
    }

    fn begin_scale(&mut self, numbers: Vec<(AppName, NonZeroU32)>, reply: Reply) {
        let apps: Vec<_> = numbers.iter().map(|(name, _)| name.clone()).collect();
        let deploy = self.open_deploy(Order::Scale, &apps);
        let mut change = Reload::new(deploy, Order::Scale, Vec::new(), Some(reply));
        for (name, workers) in numbers {
            let from = self.number(&name).unwrap_or_default() as usize;
            self.note_number(&name, workers);
            let Some(Site::Supervised(site)) = self.sites.get_mut(&name) else { continue };
            if !site.machine.is_wanted() {
                change.end(&name, Outcome::Noted);
                continue;
            }
            let to = workers.get() as usize;
            tracing::info!(app = %name, from, to, "scale began");
            site.renew_slots(from.min(to));
            let intensity = plan(&site.upcoming, Some(workers)).restart.intensity;
            let resize = lifecycle::Event::Resize(Size { workers: workers.get(), intensity });
            self.machines.queue.push_back((name.clone(), resize));
            change.expect(&name, Hope::Has { from, to });
        }
        // Before anybody asks whether it is there.
        self.run_queue();
        self.reloads.open.push(change);
    }

    /// From now on this is the number of the app, whenever it is started.
    fn note_number(&mut self, name: &AppName, workers: NonZeroU32) {
        let Some(app) = self.config.apps.get_mut(name) else { return };
        if !self.roster.is_list() {
            return self.roster.scale(app, workers);
        }
        write_down(app, workers);
        if let Some(Site::Supervised(site)) = self.sites.get_mut(name) {
            write_down(Arc::make_mut(&mut site.upcoming), workers);
        }
    }

    /// What is told of an app, with the number of its workers.
    pub(super) fn with_scale(&self, mut told: words::App) -> words::App {
        let configured = self.config.apps.get(&told.name).and_then(configured_workers);
        told.by_hand.scale =
            configured.zip(self.number(&told.name)).map(|(configured, wanted)| words::Scale { wanted, configured });
        told
    }
}

fn write_down(app: &mut App, workers: NonZeroU32) {
    if let Server::Command(command) = &mut app.server {
        command.workers = Some(workers);
    }
}

fn within_bounds(name: &AppName, now: Option<u32>, scaling: Scaling) -> Result<NonZeroU32, Refusal> {
    let refuse = |error: String| Err(Refusal::new(RefusalKind::BadRequest, error));
    let Some(now) = now else {
        return refuse(format!("{name} has no workers of ours: where its servers are is what `upstream` says"));
    };
    let most = defaults::WORKERS.end().get();
    match scaling.of(now) {
        ..1 if scaling == Scaling::To(0) => {
            refuse(format!("{name} cannot have 0 workers; to stop it and keep it known: portreeve stop {name}"))
        }
        ..1 => refuse(format!(
            "{name} has {}, {scaling} would leave none; to stop it and keep it known: portreeve stop {name}",
            if now == 1 { "1 worker".to_owned() } else { format!("{now} workers") }
        )),
        number if number > i64::from(most) => {
            refuse(format!("{name} cannot have {number} workers: {most} are the most there may be"))
        }
        number => Ok(number.try_into().ok().and_then(NonZeroU32::new).expect("it is within the bounds")),
    }
}

fn live(report: &lifecycle::Report) -> Option<GenerationReport> {
    report.generations.iter().find(|generation| generation.is_live()).cloned()
}

/// Has it the number of workers that it is to have, or will it not come to that? `None`: not yet.
pub(super) fn end(site: &Supervised, from: usize, to: usize) -> Option<End> {
    let report = site.machine.report();
    let Some(live) = live(&report).filter(|live| live.wanted == to) else {
        return Some(End { outcome: Outcome::Superseded, generation: None, reason: None, lines: Vec::new() });
    };
    let (outcome, reason, lines) = match (report.state, failed(&live, from.min(to)..to)) {
        (_, Some((worker, failure))) => {
            let lines = worker.last.map(|last| site.last_lines(last, SHOWN_LINES)).unwrap_or_default();
            (Outcome::Failed, Some(failure), lines)
        }
        (AppState::CrashLooping, None) => (
            Outcome::Failed,
            Some("it is in a crash loop, in which one worker is tried at a time".to_owned()),
            Vec::new(),
        ),
        (AppState::GivenUp, None) => {
            (Outcome::Failed, Some("it was given up after a crash loop; a reload ends that".to_owned()), Vec::new())
        }
        _ if has_come_and_gone(&live, from.min(to)) => (Outcome::Scaled, None, Vec::new()),
        _ => return None,
    };
    Some(End { outcome, generation: Some(live.number), reason, lines })
}

/// The first of these slots whose worker has failed, or has ended as it may.
fn failed(live: &GenerationReport, slots: std::ops::Range<usize>) -> Option<(&WorkerReport, String)> {
    let new = live.workers.iter().filter(|worker| slots.contains(&(worker.worker.slot.0 as usize)));
    let mut failed = new.filter_map(|worker| {
        let ended = || worker.last_exit.as_ref().map(|how| format!("worker {} has ended ({how})", worker.worker));
        let ended = || ended().filter(|_| worker.state == WorkerState::Exited);
        Some((worker, worker.last_failure.clone().or_else(ended)?))
    });
    failed.next()
}

/// Do the slots from `first` on serve as far as they are wanted, and is nobody left in the others? Those who stand in for a
/// worker that has ended for good stay.
fn has_come_and_gone(live: &GenerationReport, first: usize) -> bool {
    let slot = |worker: &&WorkerReport| worker.worker.slot.0 as usize;
    let (kept, surplus): (Vec<_>, Vec<_>) = live.workers.iter().partition(|worker| slot(worker) < live.wanted);
    // Who sleeps comes when somebody asks for it.
    let serves = |worker: &&WorkerReport| matches!(worker.state, WorkerState::Serving | WorkerState::Asleep);
    let ended = kept.iter().filter(|worker| worker.state == WorkerState::Exited).count();
    let left: Vec<_> = surplus.into_iter().filter(|worker| worker.state != WorkerState::Unkillable).collect();
    let have_come = kept.iter().filter(|worker| slot(worker) >= first).all(serves);
    have_come && left.len() <= ended && left.iter().all(serves)
}
