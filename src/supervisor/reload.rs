//! A change, told in order: read everything, prove that it can be used, then begin. A reload is the change that matters most.
//!
//! Invariant: up to [`Supervisor::begin`] nothing has changed, so every `?` before it is a full undo. From there on each
//! app is on its own: one that fails keeps its old generation and does not hold the others up. Who waits for the end of
//! a change is told by [`super::outcome`].

use std::collections::BTreeSet;
use std::sync::Arc;

use super::listeners::Listeners;
use super::outcome::{Hope, Reload, Reply};
use super::settings::{plan, prepare_access_log, read_certificates, recipe};
use super::site::Site;
use super::{Notice, Supervisor, clock};
use crate::config::{self, App, Config, Kind, Server};
use crate::control::Scope;
use crate::control::words::{Order, Outcome, Refusal, RefusalKind};
use crate::id::AppName;
use crate::lifecycle::{self, JobEvent};
use crate::link::Certificate;

/// What is to be changed.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) order: Order,
    /// No apps, which only a reload says: all, and all else that the configuration says.
    pub(super) scope: Scope,
    pub(super) source: Source,
}

/// Where the settings come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The configuration's file, as it is now.
    File,
    /// This text, which is to become the list of apps.
    List(String),
    /// Those in force: what is on its way out needs no others.
    InForce,
}

/// All that can fail, done.
struct Prepared {
    order: Order,
    config: Config,
    certificates: Vec<Certificate>,
    added: Listeners,
    /// The apps to act on.
    apps: Vec<AppName>,
}

impl Supervisor {
    /// Reads the configuration again and replaces the workers of these apps, or of all.
    pub(super) fn reload(&mut self, scope: Scope, reply: Option<Reply>) {
        self.change(Change { order: Order::Reload, scope, source: Source::File }, reply);
    }

    /// Makes a change, or refuses it as a whole.
    pub(super) fn change(&mut self, change: Change, reply: Option<Reply>) {
        if !self.is_stopping() {
            self.outlook.tell(Notice::Reloading);
        }
        let order = change.order;
        match self.prepare(change) {
            Ok(prepared) => self.begin(prepared, reply),
            Err(refusal) => {
                tracing::error!("{} refused, everything stays as it was: {}", order.word(), refusal.error);
                if order == Order::Reload {
                    self.config.apps.keys().for_each(|app| self.outlook.metrics.reload_failed(app, "refused"));
                }
                if !self.is_stopping() {
                    self.outlook.tell(Notice::Ready);
                }
                if let Some(reply) = reply {
                    let _ = reply.send(Err(refusal));
                }
            }
        }
    }

    fn prepare(&self, change: Change) -> Result<Prepared, Refusal> {
        if self.is_stopping() {
            return Err(Refusal::new(RefusalKind::Stopping, "portreeve is stopping"));
        }
        let Change { order, scope: Scope { apps, profile }, source } = change;
        let read = match &source {
            Source::File => self.read_again(profile.as_deref())?,
            Source::List(text) => parse(text, &self.config)?,
            Source::InForce => self.config.clone(),
        };
        let read = self.roster.in_force(read, order, &apps);
        let (config, apps) = if apps.is_empty() {
            let both = read.apps.keys().chain(self.sites.keys());
            let apps = both.cloned().collect::<BTreeSet<_>>().into_iter().collect();
            (read, apps)
        } else {
            (self.with_changed(read, order, &apps)?, apps)
        };
        let certificates = read_certificates(&config).map_err(|error| invalid(error.to_string()))?;
        self.refuse_what_needs_a_restart(&config)?;
        let recipe = recipe(&config, self.proxies.recipe.identity.clone(), self.starter.line);
        prepare_access_log(&recipe).map_err(invalid)?;
        let threads = self.proxies.recipe.threads as usize;
        let added = self.listeners.bind_added(&config, threads).map_err(|error| invalid(error.to_string()))?;
        if let Source::List(text) = source {
            let failed = |error| Refusal::new(RefusalKind::Internal, format!("{}: {error}", config.path.display()));
            config::list::write(&config.path, &text).map_err(failed)?;
        }
        Ok(Prepared { order, config, certificates, added, apps })
    }

    /// Our configuration with the settings of these apps as they were read.
    fn with_changed(&self, mut read: Config, order: Order, apps: &[AppName]) -> Result<Config, Refusal> {
        let mut merged = self.config.clone();
        if self.roster.is_list() {
            // Where the apps of a list are served depends on which there are.
            merged.listen = read.listen;
            merged.certificates = read.certificates;
        }
        for app in apps {
            match read.apps.remove(app) {
                Some(changed) => drop(merged.apps.insert(app.clone(), changed)),
                None if order == Order::Delete => drop(merged.apps.remove(app)),
                None => {
                    let known: Vec<_> = read.apps.keys().map(AppName::as_str).collect();
                    let error = format!("no app `{app}` in {}; there is: {}", read.path.display(), known.join(", "));
                    return Err(Refusal::new(RefusalKind::UnknownApp, error));
                }
            }
        }
        Ok(merged)
    }

    /// The configuration as its file says it now.
    pub(super) fn read_again(&self, profile: Option<&str>) -> Result<Config, Refusal> {
        load(&self.config, profile)
    }

    pub(super) fn refuse_what_needs_a_restart(&self, config: &Config) -> Result<(), Refusal> {
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
            // What is published of a web app and what of a task do not go together.
            let is_other = |before: &App| std::mem::discriminant(&before.kind) != std::mem::discriminant(&app.kind);
            if self.config.apps.get(name).is_some_and(is_other) {
                return refuse(&format!("whether app `{name}` is a web app, a task or one with a schedule"));
            }
        }
        Ok(())
    }

    fn begin(&mut self, prepared: Prepared, reply: Option<Reply>) {
        let Prepared { order, config, certificates, added, apps } = prepared;
        let changed_log = config.log.access != self.config.log.access;
        let listeners_changed = self.listeners.replace(&config, added);
        self.config = config;
        self.chores.calendar.look_soon(clock::now());
        self.chores.watches.follow(&self.config, &self.starter.events);
        self.roster.note(order, &apps);
        self.roster.forget_scales(&self.config);
        self.published.certificates = certificates;
        self.published.dirty = true;
        self.reloads.open.iter_mut().for_each(|older| older.give_way(&apps));
        tracing::info!(apps = apps.len(), "{} began", order.word());
        let deploy = self.open_deploy(order, &apps);
        self.reloads.open.push(Reload::new(deploy, order, apps, reply));
        self.begin_due();
        if listeners_changed || changed_log {
            // Before the new proxy's first snapshot, so that a request for an app that has just been added is held.
            self.run_queue();
            self.proxies.recipe = recipe(&self.config, self.proxies.recipe.identity.clone(), self.starter.line);
            self.start_proxy();
        }
    }

    pub(super) fn begin_app(&mut self, name: &AppName, reload: &mut Reload) {
        match reload.order {
            Order::Rollback => return self.begin_rollback(name, reload),
            Order::Promote => return self.begin_promotion(name, reload),
            _ => {}
        }
        let Some(app) = self.config.apps.get(name).cloned().map(Arc::new) else {
            self.remove_site(name);
            return reload.expect(name, Hope::Gone(Outcome::Removed));
        };
        if !self.sites.contains_key(name) {
            self.add_site(name, app);
            return reload.expect(name, self.hope(name));
        }
        match self.sites.get_mut(name) {
            Some(Site::Supervised(site)) if !app.enabled => {
                let was_scheduled = site.runs.is_some() && site.upcoming.enabled;
                let was_wanted = site.machine.is_wanted() || site.comes_again || site.held || was_scheduled;
                site.switch_off(&app);
                self.machines.order.forget(name);
                self.drive_job(name, JobEvent::CalledOff);
                self.machines.queue.push_back((name.clone(), lifecycle::Event::Stop));
                let outcome = if was_wanted { Outcome::Stopped } else { Outcome::Unchanged };
                reload.expect(name, Hope::Gone(outcome));
            }
            Some(Site::Supervised(site)) if site.runs.is_some() => {
                site.upcoming = app;
                self.begin_job(name, reload);
            }
            Some(Site::Supervised(site)) if site.machine.is_wanted() => {
                let is_other = *site.upcoming != *app;
                site.upcoming = Arc::clone(&app);
                // To start what runs already is to wait for it, unless there are other settings.
                let order = if reload.order == Order::Start && is_other { Order::Reload } else { reload.order };
                self.begin_replacement(name, &app, order, reload);
            }
            // Its turn to start comes when those that it depends on are there.
            Some(Site::Supervised(site)) if site.held => {
                site.upcoming = Arc::clone(&app);
                reload.expect(name, self.hope(name));
            }
            // It was stopped or on its way out, and is wanted again.
            Some(Site::Supervised(_)) => self.begin_again(name, &app, reload),
            Some(Site::Fixed(_)) | None => {
                self.update_fixed(name, &app);
                reload.expect(name, self.hope(name));
            }
        }
    }

    /// The app runs, and is to run on.
    fn begin_replacement(&mut self, name: &AppName, app: &App, order: Order, reload: &mut Reload) {
        match order {
            Order::Reload if self.must_end_first(name, app) => {
                let hope = self.hope(name);
                self.stop_to_start(name);
                reload.await_hope(name, hope);
            }
            Order::Reload => {
                let Some(plan) = self.plan_of_reload(name, app, reload) else { return };
                let ticket = self.reloads.fresh_ticket();
                reload.await_ticket(name, ticket);
                self.machines.queue.push_back((name.clone(), lifecycle::Event::Reload { ticket, plan }));
            }
            Order::Restart => {
                let hope = self.hope(name);
                self.stop_to_start(name);
                reload.expect(name, hope);
            }
            Order::Start if self.sites.get(name).is_some_and(Site::is_dormant) => {
                self.machines.queue.push_back((name.clone(), lifecycle::Event::Rouse));
                // Before anybody asks whether it is there.
                self.run_queue();
                reload.expect(name, self.hope_of_present(name));
            }
            Order::Start | Order::Stop | Order::Delete | Order::Scale | Order::Rollback | Order::Promote => {
                reload.expect(name, self.hope_of_present(name));
            }
        }
    }

    /// The app does not run, or is on its way out.
    fn begin_again(&mut self, name: &AppName, app: &Arc<App>, reload: &mut Reload) {
        let (is_alone, hope) = (self.must_end_first(name, app), self.hope(name));
        let Some(Site::Supervised(site)) = self.sites.get_mut(name) else { return };
        site.upcoming = Arc::clone(app);
        site.comes_again = is_alone && !site.machine.report().generations.is_empty();
        if site.comes_again {
            return reload.await_hope(name, hope);
        }
        let plan = plan(app, self.roster.scaled(app));
        self.machines.queue.push_back((name.clone(), lifecycle::Event::Start(plan)));
        reload.expect(name, hope);
    }

    /// Is it one whose workers must never run beside those of another generation?
    fn must_end_first(&self, name: &AppName, app: &App) -> bool {
        let alone = Kind::Task { overlaps: false };
        app.kind == alone || self.sites.get(name).is_some_and(|site| site.app().kind == alone)
    }

    fn stop_to_start(&mut self, name: &AppName) {
        if let Some(Site::Supervised(site)) = self.sites.get_mut(name) {
            site.comes_again = true;
        }
        self.machines.queue.push_back((name.clone(), lifecycle::Event::Stop));
    }
}

fn load(current: &Config, profile: Option<&str>) -> Result<Config, Refusal> {
    accepted(config::load_with(&current.path, profile.or(current.profile.as_deref())))
}

fn parse(list: &str, current: &Config) -> Result<Config, Refusal> {
    accepted(config::parse(list, &current.path))
}

fn accepted(read: Result<config::Loaded, config::Problems>) -> Result<Config, Refusal> {
    let loaded = read.map_err(|errors| invalid(errors.render(false)))?;
    for warning in loaded.warnings.problems() {
        tracing::warn!("{}", warning.message);
    }
    Ok(loaded.config)
}

fn invalid(error: String) -> Refusal {
    Refusal::new(RefusalKind::InvalidConfig, error)
}
