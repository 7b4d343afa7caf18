//! Commands of the operator around a reload: one before the new generation takes requests, one after.
//!
//! Each runs once a reload, as the workers of the new generation do: its user, its directory, its variables, its limits. What
//! follows is the machine's affair: it waits for the first, and need not know of the second. Invariant: a hook ends, by itself
//! or because its time is over or nobody wants it any more, and with it all that it has started.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::effects::Summons;
use super::outcome::SHOWN_LINES;
use super::output::Tail;
use super::process::Process;
use super::site::Site;
use super::{Supervisor, clock};
use crate::config::{self, App, Program, Server, format_duration};
use crate::id::{AppName, Generation, Serial};
use crate::lifecycle::{self, Outcome, Ticket};
use crate::sys::spawn::Exit;

/// Hooks that run, and what has become of those that have failed.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    running: BTreeMap<Serial, Hook>,
    complaints: BTreeMap<AppName, Complaint>,
}

/// One that runs.
#[derive(Debug)]
struct Hook {
    app: AppName,
    generation: Generation,
    moment: Moment,
    process: Process,
    tail: Tail,
    limit: Duration,
    /// When its time is over; `None`: it was, or nobody wants it any more.
    until: Option<Instant>,
    is_late: bool,
    /// Reloads that have ended, and of which that is told when it has.
    owed: Vec<(Ticket, Outcome)>,
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The new generation is ready, and gets no requests yet.
    Before,
    /// All proxies send requests to it.
    After,
}

/// Why a hook has failed, and the last lines that it has printed.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) reason: String,
    pub(super) lines: Vec<String>,
}

impl Moment {
    /// The key in the configuration.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Before => "pre_promote",
            Self::After => "post_promote",
        }
    }

    fn program(self, deploy: &config::Deploy) -> Option<&Program> {
        match self {
            Self::Before => deploy.pre_promote.as_ref(),
            Self::After => deploy.post_promote.as_ref(),
        }
    }
}

/// What an app runs then, and for how long at most.
pub(super) fn command(app: &App, moment: Moment) -> Option<(&Program, Duration)> {
    let Server::Command(command) = &app.server else { return None };
    Some((moment.program(&command.deploy)?, command.deploy.hook_timeout))
}

impl Hooks {
    pub(super) fn are_none(&self) -> bool {
        self.running.is_empty()
    }

    /// When [`Supervisor::end_late_hooks`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.values().filter_map(|hook| hook.until).min()
    }

    /// What has become of the hook of an app, if it has failed.
    pub(super) fn take_complaint(&mut self, app: &AppName) -> Option<Complaint> {
        self.complaints.remove(app)
    }

    /// Ends all of them.
    pub(super) fn kill_all(&mut self) {
        self.running.values_mut().for_each(Hook::kill);
    }
}

impl Hook {
    fn kill(&mut self) {
        self.until = None;
        self.process.kill();
    }
}

impl Supervisor {
    /// The machine waits for word whether this generation may take over.
    pub(super) fn clear(&mut self, app: &AppName, generation: Generation) {
        match self.start_hook(app, generation, Moment::Before) {
            Ok(true) => {}
            Ok(false) => self.answer(app, generation, Ok(())),
            Err(reason) => self.answer(app, generation, Err(format!("`pre_promote` could not be started: {reason}"))),
        }
    }

    /// All proxies send requests to a generation that has come of a reload.
    pub(super) fn promoted(&mut self, app: &AppName, generation: Generation) {
        if let Err(reason) = self.start_hook(app, generation, Moment::After) {
            let reason = format!("`post_promote` could not be started: {reason}");
            tracing::error!(%app, %generation, %reason);
            self.reloads.hooks.complaints.insert(app.clone(), Complaint { reason, lines: Vec::new() });
        }
    }

    /// A reload of an app has ended; that is told once its last hook has, too.
    pub(super) fn reload_ended(&mut self, app: &AppName, ticket: Ticket, outcome: Outcome) {
        let hooks = &mut self.reloads.hooks.running;
        if matches!(outcome, Outcome::Live { .. }) {
            let mut after = hooks.values_mut().filter(|hook| hook.app == *app && hook.moment == Moment::After);
            if let Some(hook) = after.next_back() {
                return hook.owed.push((ticket, outcome));
            }
        } else if let Outcome::Aborted { .. } | Outcome::Superseded = outcome {
            let before = hooks.values_mut().filter(|hook| hook.app == *app && hook.moment == Moment::Before);
            before.for_each(Hook::kill);
        }
        self.finish(app, ticket, outcome);
    }

    /// Ends those that take too long.
    pub(super) fn end_late_hooks(&mut self, now: Instant) {
        for hook in self.reloads.hooks.running.values_mut().filter(|hook| hook.until.is_some_and(|at| at <= now)) {
            tracing::warn!(app = %hook.app, generation = %hook.generation, "`{}` takes too long: killing it", hook.moment.key());
            hook.is_late = true;
            hook.kill();
        }
    }

    pub(super) fn hook_ended(&mut self, serial: Serial, exit: Exit) {
        let Some(hook) = self.reloads.hooks.running.remove(&serial) else { return };
        let Hook { app, generation, moment, .. } = &hook;
        let key = moment.key();
        let is_called_off = hook.until.is_none() && !hook.is_late;
        let outcome = match exit {
            _ if hook.is_late => Err(format!("`{key}` was not done within {}", format_duration(hook.limit))),
            Exit::Code(0) => Ok(()),
            exit => Err(format!("`{key}` failed: {exit}")),
        };
        match &outcome {
            _ if is_called_off => tracing::info!(%app, %generation, "`{key}` is called off"),
            Ok(()) => tracing::info!(%app, %generation, "`{key}` is done"),
            Err(reason) => {
                tracing::error!(%app, %generation, "{reason}");
                let complaint = Complaint { reason: reason.clone(), lines: hook.tail.last(SHOWN_LINES) };
                self.reloads.hooks.complaints.insert(app.clone(), complaint);
            }
        }
        if *moment == Moment::Before && !is_called_off {
            self.answer(app, *generation, outcome);
        }
        for (ticket, outcome) in hook.owed {
            self.finish(&hook.app, ticket, outcome);
        }
    }

    fn answer(&mut self, app: &AppName, generation: Generation, outcome: Result<(), String>) {
        self.machines.queue.push_back((app.clone(), lifecycle::Event::Cleared { generation, outcome }));
    }

    /// False when there is none.
    fn start_hook(&mut self, app: &AppName, generation: Generation, moment: Moment) -> Result<bool, String> {
        self.reloads.hooks.complaints.remove(app);
        let Some(Site::Supervised(site)) = self.sites.get_mut(app) else { return Ok(false) };
        let Some(release) = site.releases.get_mut(generation) else { return Ok(false) };
        let Some((_, limit)) = command(&release.app, moment) else { return Ok(false) };
        let serial = self.machines.todo.fresh_serial();
        let summons = Summons { serial, generation, moment, release, files: site.files.as_ref() };
        let (process, tail) = self.starter.effects.start_hook(&self.starter, summons)?;
        tracing::info!(%app, %generation, pid = process.pid(), "`{}` begins", moment.key());
        let (app, until) = (app.clone(), Some(clock::now() + limit));
        let hook = Hook { app, generation, moment, process, tail, limit, until, is_late: false, owed: Vec::new() };
        self.reloads.hooks.running.insert(serial, hook);
        Ok(true)
    }
}
