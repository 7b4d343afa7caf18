//! A reload, told in order: read everything, prove that it can be used, then begin; and answer whoever waits.
//!
//! Invariant: up to [`Supervisor::begin`] nothing has changed, so every `?` before it is a full undo. From there on each
//! app is on its own: one that fails keeps its old generation and does not hold the others up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::listeners::Listeners;
use super::settings::{plan, prepare_access_log, read_certificates, recipe};
use super::site::Site;
use super::{Notice, Supervisor};
use crate::config::{self, Config, Server};
use crate::control::Scope;
use crate::control::words::{AppReloaded, Outcome, Refusal, RefusalKind, Reloaded};
use crate::id::{AppName, Generation};
use crate::lifecycle::{self, Ticket};
use crate::link::Certificate;

/// Lines of a failed worker that the caller is shown.
const SHOWN_LINES: usize = 20;

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Result<Reloaded, Refusal>>;

/// All that can fail, done.
struct Prepared {
    config: Config,
    certificates: Vec<Certificate>,
    added: Listeners,
    /// The apps to act on.
    apps: Vec<AppName>,
}

/// Reloads that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    pub(super) open: Vec<Reload>,
    tickets: u64,
}

#[derive(Debug)]
pub(super) struct Reload {
    began: Instant,
    /// Apps whose turn has not come.
    pub(super) later: Vec<AppName>,
    pub(super) waiting: BTreeMap<Ticket, AppName>,
    pub(super) ended: Vec<AppReloaded>,
    reply: Option<Reply>,
}

impl Supervisor {
    /// Reads the configuration again and replaces the workers of one app or of all.
    pub(super) fn reload(&mut self, scope: Scope, reply: Option<Reply>) {
        if !self.is_stopping() {
            self.outlook.tell(Notice::Reloading);
        }
        match self.prepare(scope) {
            Ok(prepared) => self.begin(prepared, reply),
            Err(refusal) => {
                tracing::error!("reload refused, everything stays as it was: {}", refusal.error);
                self.config.apps.keys().for_each(|app| self.outlook.metrics.reload_failed(app, "refused"));
                if !self.is_stopping() {
                    self.outlook.tell(Notice::Ready);
                }
                if let Some(reply) = reply {
                    let _ = reply.send(Err(refusal));
                }
            }
        }
    }

    fn prepare(&self, scope: Scope) -> Result<Prepared, Refusal> {
        if self.is_stopping() {
            return Err(Refusal::new(RefusalKind::Stopping, "portreeve is stopping"));
        }
        let config = load(&self.config, scope.profile.as_deref())?;
        let (config, apps) = match scope.app {
            None => {
                let both = config.apps.keys().chain(self.sites.keys());
                let apps = both.cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
                (config, apps)
            }
            Some(app) => (self.with_one_changed(config, &app)?, vec![app]),
        };
        let certificates = read_certificates(&config).map_err(|error| invalid(error.to_string()))?;
        self.refuse_what_needs_a_restart(&config)?;
        let recipe = recipe(&config, self.proxies.recipe.identity.clone());
        prepare_access_log(&recipe).map_err(invalid)?;
        let threads = self.proxies.recipe.threads as usize;
        let added = self.listeners.bind_added(&config.listen, threads).map_err(|error| invalid(error.to_string()))?;
        Ok(Prepared { config, certificates, added, apps })
    }

    /// Our configuration with the settings of one app from the file.
    fn with_one_changed(&self, mut config: Config, app: &AppName) -> Result<Config, Refusal> {
        let Some(changed) = config.apps.remove(app) else {
            let known: Vec<_> = config.apps.keys().map(AppName::as_str).collect();
            let error = format!("no app `{app}` in {}; there is: {}", config.path.display(), known.join(", "));
            return Err(Refusal::new(RefusalKind::UnknownApp, error));
        };
        let mut merged = self.config.clone();
        merged.apps.insert(app.clone(), changed);
        Ok(merged)
    }

    fn refuse_what_needs_a_restart(&self, config: &Config) -> Result<(), Refusal> {
        let refuse =
            |what: &str| Err(invalid(format!("{what} cannot change while portreeve runs; stop it and start it anew")));
        if config.admin != self.config.admin {
            return refuse("[admin] socket");
        }
        if config.metrics != self.config.metrics {
            return refuse("[metrics] listen");
        }
        if config.proxy != self.config.proxy {
            return refuse("[proxy]");
        }
        if (&config.log.level, config.log.format) != (&self.config.log.level, self.config.log.format) {
            return refuse("[log] level and format");
        }
        for (name, app) in &config.apps {
            let same_kind = match self.sites.get(name) {
                Some(Site::Supervised(_)) => matches!(app.server, Server::Command(_)),
                Some(Site::Fixed(_)) => matches!(app.server, Server::Fixed(_)),
                None => true,
            };
            if !same_kind {
                return refuse(&format!("the kind of app `{name}` (`command` or `upstream`)"));
            }
        }
        Ok(())
    }

    fn begin(&mut self, prepared: Prepared, reply: Option<Reply>) {
        let Prepared { config, certificates, added, apps } = prepared;
        let changed_log = config.log.access != self.config.log.access;
        let listeners_changed = self.listeners.replace(&config.listen, added);
        self.config = config;
        self.certificates = certificates;
        self.chores.calendar.look_soon(Instant::now());
        self.published.dirty = true;
        self.reloads.open.iter_mut().for_each(|older| older.give_way(&apps));
        tracing::info!(apps = apps.len(), "reload began");
        let (began, waiting) = (Instant::now(), BTreeMap::new());
        self.reloads.open.push(Reload { began, later: apps, waiting, ended: Vec::new(), reply });
        self.begin_due();
        if listeners_changed || changed_log {
            self.proxies.recipe = recipe(&self.config, self.proxies.recipe.identity.clone());
            self.start_proxy();
        }
        self.answer_reloads();
    }

    pub(super) fn begin_app(&mut self, name: &AppName, reload: &mut Reload) {
        let Some(app) = self.config.apps.get(name).cloned().map(Arc::new) else {
            self.remove_site(name);
            return reload.ended.push(reload.plain(name, Outcome::Removed));
        };
        match self.sites.get_mut(name) {
            None => {
                self.add_site(name, app);
                reload.ended.push(reload.plain(name, Outcome::Applied));
            }
            Some(Site::Fixed(_)) => {
                self.update_fixed(name, &app);
                reload.ended.push(reload.plain(name, Outcome::Applied));
            }
            Some(Site::Supervised(site)) if site.held => {
                site.upcoming = Arc::clone(&app);
                reload.ended.push(reload.plain(name, Outcome::Applied));
            }
            // It was on its way out, and is wanted again.
            Some(Site::Supervised(site)) if !site.machine.is_wanted() => {
                site.upcoming = Arc::clone(&app);
                self.machines.queue.push_back((name.clone(), lifecycle::Event::Start(plan(&app))));
                reload.ended.push(reload.plain(name, Outcome::Applied));
            }
            Some(Site::Supervised(site)) => {
                site.upcoming = Arc::clone(&app);
                let ticket = self.reloads.fresh_ticket();
                reload.waiting.insert(ticket, name.clone());
                let plan = plan(&app);
                self.machines.queue.push_back((name.clone(), lifecycle::Event::Reload { ticket, plan }));
            }
        }
    }

    /// Notes how the reload of one app ended; [`Supervisor::answer_reloads`] tells.
    pub(super) fn finish(&mut self, name: &AppName, ticket: Ticket, outcome: lifecycle::Outcome) {
        let lines = match (&outcome, self.sites.get(name)) {
            (lifecycle::Outcome::Aborted { worker: Some(worker), .. }, Some(Site::Supervised(site))) => {
                site.last_lines(*worker, SHOWN_LINES)
            }
            _ => Vec::new(),
        };
        let Some(reload) = self.reloads.open.iter_mut().find(|reload| reload.waiting.contains_key(&ticket)) else {
            return;
        };
        reload.waiting.remove(&ticket);
        let (outcome, generation, reason) = told(outcome);
        let ended = AppReloaded { generation, reason, lines, ..reload.plain(name, outcome) };
        match &ended.reason {
            None => tracing::info!(app = %name, ?outcome, millis = ended.millis, "reload ended"),
            Some(reason) => tracing::error!(app = %name, ?outcome, %reason, "reload ended"),
        }
        match ended.outcome {
            Outcome::Live => self.outlook.metrics.reload_live(name, "live", reload.began.elapsed()),
            Outcome::Superseded => self.outlook.metrics.reload_failed(name, "superseded"),
            _ => self.outlook.metrics.reload_failed(name, "aborted"),
        }
        reload.ended.push(ended);
    }

    /// Answers those who wait for a reload that has ended for every app.
    pub(super) fn answer_reloads(&mut self) {
        let ended: Vec<_> = self.reloads.open.extract_if(.., |reload| reload.is_over()).collect();
        if ended.is_empty() {
            return;
        }
        for reload in ended {
            if let Some(reply) = reload.reply {
                let _ = reply.send(Ok(Reloaded { apps: reload.ended }));
            }
        }
        if self.reloads.open.is_empty() && !self.is_stopping() {
            self.outlook.tell(Notice::Ready);
        }
    }
}

impl Reloads {
    fn fresh_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}

impl Reload {
    /// A newer reload covers these apps: those whose turn has not come yet are left to it.
    fn give_way(&mut self, apps: &[AppName]) {
        for name in self.later.extract_if(.., |name| apps.contains(name)).collect::<Vec<_>>() {
            self.ended.push(self.plain(&name, Outcome::Superseded));
        }
    }

    fn is_over(&self) -> bool {
        self.later.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn plain(&self, app: &AppName, outcome: Outcome) -> AppReloaded {
        let millis = self.began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        AppReloaded { app: app.clone(), outcome, generation: None, reason: None, lines: Vec::new(), millis }
    }
}

fn told(outcome: lifecycle::Outcome) -> (Outcome, Option<Generation>, Option<String>) {
    match outcome {
        lifecycle::Outcome::Live { generation } => (Outcome::Live, Some(generation), None),
        lifecycle::Outcome::Aborted { generation, reason, .. } => (Outcome::Aborted, Some(generation), Some(reason)),
        lifecycle::Outcome::Superseded => (Outcome::Superseded, None, None),
    }
}

/// The file as it is now; without another profile, with the one in use.
fn load(current: &Config, profile: Option<&str>) -> Result<Config, Refusal> {
    let profile = profile.or(current.profile.as_deref());
    let loaded = config::load_with(&current.path, profile).map_err(|errors| invalid(errors.render(false)))?;
    for warning in loaded.warnings.problems() {
        tracing::warn!("{}", warning.message);
    }
    Ok(loaded.config)
}

fn invalid(error: String) -> Refusal {
    Refusal::new(RefusalKind::InvalidConfig, error)
}
