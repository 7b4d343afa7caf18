//! Tasks with a schedule, as the supervisor holds them: what their machine says is done, and every run is told of.
//!
//! When a run begins and ends is decided by `lifecycle::Job`; the app's own machine runs it. Here the clock on the wall is
//! put beside the one of the machines, for those who ask when it ran last.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::archive::Earlier;
use super::outcome::{Hope, Reload};
use super::settings::{plan, terms};
use super::site::{Site, Supervised};
use super::{Supervisor, clock};
use crate::config::{App, Kind};
use crate::control::words::{self, Order, Outcome};
use crate::id::AppName;
use crate::lifecycle::{self, AppState, Job, JobAction, JobEvent, Report, Run, RunResult};
use crate::telemetry::supervisor_metrics;

/// The runs of one app.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub(super) job: Job,
    /// When the run began that is on.
    began: Option<Timestamp>,
    pub(super) last_success: Option<Timestamp>,
    /// Runs and missed times from before our time; the rest of it is of all times.
    before: Counted,
}

/// What is counted of a job, and outlives us.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) runs: u64,
    pub(super) failures: u64,
    pub(super) missed: u64,
    pub(super) last: Option<words::Run>,
    pub(super) last_success: Option<String>,
}

impl Runs {
    /// `None`: it is no job. `earlier`: what there is from before our time.
    pub(super) fn of(app: &App, earlier: &Earlier) -> Option<Box<Self>> {
        let Kind::Job(_) = app.kind else { return None };
        let success = earlier.exits.iter().rev().find(|exit| exit.code == Some(0));
        let success = earlier.runs.last_success.as_ref().or(success.map(|exit| &exit.ended));
        let last_success = success.and_then(|success| success.parse().ok());
        Some(Box::new(Self { last_success, before: earlier.runs.clone(), ..Self::default() }))
    }

    /// With what was counted before our time.
    pub(super) fn counted(&self) -> Counted {
        Counted {
            runs: self.before.runs + self.job.begun(),
            missed: self.before.missed + self.job.missed(),
            last_success: self.last_success.map(|success| success.to_string()),
            ..self.before.clone()
        }
    }

    /// Notes the run that has just ended.
    fn note(&mut self, run: &Run, ended: Timestamp) {
        let began = self.began.take().unwrap_or(ended);
        if run.result == RunResult::Succeeded {
            self.last_success = Some(ended);
        }
        self.before.failures += u64::from(is_failure(run.result));
        let (began, ended, result) = (began.to_string(), ended.to_string(), run.result.to_string());
        self.before.last = Some(words::Run { began, ended, result, reason: run.reason.clone() });
    }

    fn told(&self, schedule: String, next: Option<Timestamp>) -> words::Job {
        let Counted { runs, failures, missed, last, last_success } = self.counted();
        let (next, running_since) = (next.map(|next| next.to_string()), self.began.map(|began| began.to_string()));
        words::Job { schedule, next, running_since, last, last_success, runs, failures, missed }
    }
}

fn is_failure(result: RunResult) -> bool {
    matches!(result, RunResult::Failed | RunResult::TimedOut)
}

impl Supervised {
    /// Goes on with a run that began so long ago, under another supervisor.
    pub(super) fn adopt_run(&mut self, age: Duration) {
        let (Some(runs), Kind::Job(job)) = (&mut self.runs, &self.upcoming.kind) else { return };
        let now = clock::now();
        // What is to be done for it was done then.
        let _ = runs.job.handle(now.checked_sub(age).unwrap_or(now), JobEvent::Asked(terms(job)));
        runs.began = Timestamp::now().checked_sub(jiff::SignedDuration::try_from(age).unwrap_or_default()).ok();
    }

    /// Is it a job that waits for its time?
    pub(super) fn is_between_runs(&self) -> bool {
        self.upcoming.enabled && self.runs.as_ref().is_some_and(|runs| runs.job.running_since().is_none())
    }
}

impl Supervisor {
    /// Hands an event to a job's machine and does what comes of it.
    pub(super) fn drive_job(&mut self, name: &AppName, event: JobEvent) {
        let Some(Site::Supervised(site)) = self.sites.get_mut(name) else { return };
        let Some(runs) = &mut site.runs else { return };
        let (is_on, missed) = (runs.job.running_since().is_some(), runs.job.missed());
        let is_gone = event == JobEvent::Gone;
        let begun = runs.job.begun();
        let action = runs.job.handle(clock::now(), event);
        if (runs.job.begun(), runs.job.missed()) != (begun, missed) || is_gone {
            self.chores.archive.note();
        }
        if let (true, true, Some(run)) = (is_on, is_gone, runs.job.last().cloned()) {
            runs.note(&run, Timestamp::now());
            tell(name, &run);
            self.outlook.metrics.jobs().ended(name, run.result.as_str());
        }
        if runs.job.missed() > missed {
            tracing::warn!(app = %name, "a run goes on at the time of the next one, which is left out");
            self.outlook.metrics.jobs().missed(name);
        }
        let event = match action {
            None => return,
            Some(JobAction::End) => lifecycle::Event::Stop,
            Some(JobAction::Begin) => {
                runs.began = Some(Timestamp::now());
                tracing::info!(app = %name, "run began");
                lifecycle::Event::Start(plan(&site.upcoming, None))
            }
        };
        self.machines.queue.push_back((name.clone(), event));
    }

    /// The time of a job has come.
    pub(super) fn job_is_due(&mut self, name: &AppName) {
        let Some(Site::Supervised(site)) = self.sites.get(name) else { return };
        let Kind::Job(job) = &site.upcoming.kind else { return };
        if !site.upcoming.enabled {
            return;
        }
        if site.held {
            tracing::warn!(app = %name, "its time has come, but what it depends on does not serve yet; left out");
            return;
        }
        let event = JobEvent::Due { terms: terms(job), is_between: site.workers.is_empty() };
        self.drive_job(name, event);
    }

    /// Sees whether a run has come to its end.
    pub(super) fn follow_job(&mut self, name: &AppName, report: &Report) {
        let is_over = matches!(report.state, AppState::Exited | AppState::GivenUp);
        let is_running = |site: &Supervised| site.runs.as_ref().is_some_and(|runs| runs.job.is_running());
        match self.sites.get(name) {
            Some(Site::Supervised(site)) if is_over && is_running(site) => {
                let failure = site.last_failure();
                self.drive_job(name, JobEvent::Ended { failure });
            }
            _ => {}
        }
    }

    /// Ends runs that take too long.
    pub(super) fn wake_jobs(&mut self, now: Instant) {
        let is_due = |site: &Supervised| site.job_deadline().is_some_and(|until| until <= now);
        let due = self.sites.iter().filter(|(_, site)| matches!(site, Site::Supervised(site) if is_due(site)));
        for name in due.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.drive_job(&name, JobEvent::Wake);
        }
    }

    /// A change of a job's settings holds from the next run on; a restart is a run now.
    pub(super) fn begin_job(&mut self, name: &AppName, reload: &mut Reload) {
        let Some(Site::Supervised(site)) = self.sites.get(name) else { return };
        let (Kind::Job(job), Some(runs)) = (&site.upcoming.kind, &site.runs) else { return };
        if reload.order != Order::Restart {
            return reload.end(name, Outcome::Scheduled);
        }
        let hope = Hope::Ran { after: runs.job.begun() };
        let event = JobEvent::Asked(terms(job));
        self.drive_job(name, event);
        reload.await_hope(name, hope);
    }

    /// Adds to the picture of an app what there is to say of its runs.
    pub(super) fn with_runs(&self, mut app: words::App) -> words::App {
        if let Some(Site::Supervised(site)) = self.sites.get(&app.name)
            && let (Some(runs), Kind::Job(job)) = (&site.runs, &site.upcoming.kind)
        {
            app.purpose.job = Some(runs.told(job.schedule.to_string(), self.next_run(&app.name, site)));
        }
        app
    }

    /// The same for metrics.
    pub(super) fn job_sample<'a>(&self, app: &'a AppName, site: &Site) -> Option<supervisor_metrics::Job<'a>> {
        let Site::Supervised(site) = site else { return None };
        let seconds = |time: Timestamp| time.as_millisecond() as f64 / 1000.0;
        let last_success = site.runs.as_ref()?.last_success.map(seconds);
        Some(supervisor_metrics::Job { app, last_success, next: self.next_run(app, site).map(seconds) })
    }

    /// When a job's time comes next.
    pub(super) fn next_run(&self, name: &AppName, site: &Supervised) -> Option<Timestamp> {
        let next = self.chores.calendar.next(name).filter(|_| site.upcoming.enabled);
        next.map(jiff::Zoned::timestamp)
    }
}

/// The end of a run, for the operator.
fn tell(app: &AppName, run: &Run) {
    let took: Duration = run.ended.saturating_duration_since(run.began);
    let (result, reason) = (run.result, run.reason.as_deref());
    match run.result {
        RunResult::Failed | RunResult::TimedOut => tracing::error!(%app, %result, reason, ?took, "run ended"),
        _ => tracing::info!(%app, %result, reason, ?took, "run ended"),
    }
}
