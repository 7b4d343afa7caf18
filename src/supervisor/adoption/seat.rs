//! Seats what an earlier supervisor has left: each app with its machine, its workers and what was said of it by hand.
//!
//! Nothing here can fail as a whole: what is lost of an app is told to its machine, which makes it good.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::estate::Estate;
use super::ledger::{AppEntry, AppSettings, ServerEntry, Settings};
use crate::config::{App, Config, Server as Serving};
use crate::id::{AppName, Generation, WorkerId};
use crate::lifecycle::{self, GenerationState, Health, WorkerState};
use crate::link::Epoch;
use crate::supervisor::launch::Found;
use crate::supervisor::loads::Loads;
use crate::supervisor::memory;
use crate::supervisor::primary::Primary;
use crate::supervisor::release::Release;
use crate::supervisor::settings::plan;
use crate::supervisor::site::{Fixed, Server, Site, Supervised};
use crate::supervisor::{Supervisor, clock};
use crate::sys::spawn::Exit;

/// Every text of the configuration that any app is from, read once.
struct Library<'a> {
    settings: &'a Settings,
    read: BTreeMap<usize, Option<Config>>,
}

impl Library<'_> {
    /// `None`: this program does not take it.
    fn app(&mut self, name: &AppName, settings: AppSettings) -> Option<Arc<App>> {
        let parse = || self.settings.parse(settings.text).ok().map(|loaded| loaded.config);
        let config = self.read.entry(settings.text).or_insert_with(parse).as_ref()?;
        Some(Arc::new(settings.apply(config.apps.get(name)?.clone())))
    }
}

impl AppSettings {
    /// With what was said since they were read.
    pub(super) fn apply(self, mut app: App) -> App {
        app.enabled = self.enabled;
        if let Serving::Command(command) = &mut app.server {
            command.workers = self.workers.and_then(NonZeroU32::new);
        }
        app
    }
}

impl Supervisor {
    /// Takes over all apps and proxies; what is new in the configuration is started.
    pub(in crate::supervisor) fn adopt(&mut self, estate: &Estate) {
        let ledger = &estate.ledger;
        let now = clock::now();
        let times = (ledger.written.instant(now), now);
        self.published.epoch = Epoch(estate.epoch());
        let mut library = Library { settings: &ledger.settings, read: BTreeMap::new() };
        for (name, entry) in &ledger.apps {
            self.roster.enrol(name);
            self.adopt_app(name, (entry, times), estate, &mut library);
        }
        for (name, servers) in &ledger.fixed {
            self.roster.enrol(name);
            self.adopt_fixed(name, servers, now);
        }
        for (name, app) in self.config.apps.clone() {
            if !self.sites.contains_key(&name) {
                self.add_site(&name, Arc::new(app));
            }
        }
        self.proxies.loads = Loads::adopt(ledger.loads.clone(), now);
        self.proxies.adopt(ledger.next.proxy, &ledger.proxies, (&self.starter, estate));
        self.published.dirty = true;
        if estate.is_of_a_crash {
            self.end_strays();
        }
        tracing::info!(
            apps = self.sites.len(),
            proxies = self.proxies.iter().len(),
            from = %ledger.written.program,
            "took over from an earlier supervisor"
        );
    }

    fn adopt_app(
        &mut self,
        name: &AppName,
        (entry, times): (&AppEntry, (Instant, Instant)),
        estate: &Estate,
        library: &mut Library<'_>,
    ) {
        let upcoming = library.app(name, entry.upcoming).or_else(|| self.config.apps.get(name).cloned().map(Arc::new));
        let Some(upcoming) = upcoming.filter(|app| matches!(app.server, Serving::Command(_))) else {
            return tracing::error!(app = %name, "an app cannot be taken over: its settings are lost");
        };
        let mut site = Supervised::new(name.clone(), Arc::clone(&upcoming), self.chores.archive.take(name));
        let apps: BTreeMap<Generation, Arc<App>> = entry
            .settings
            .iter()
            .map(|(number, settings)| (*number, library.app(name, *settings).unwrap_or_else(|| Arc::clone(&upcoming))))
            .collect();
        for (number, app) in &apps {
            site.releases.adopt(*number, self.release(app, entry.directories.get(number)));
        }
        let plan = |number| plan(apps.get(&number).unwrap_or(&upcoming), self.roster.scaled(&upcoming));
        site.machine = lifecycle::App::adopt(name.clone(), &entry.machine, plan, times, &mut self.machines.todo);
        let generations = site.machine.report().generations;
        let kept = generations.iter().find(|one| one.state == GenerationState::Retained).map(|one| one.number);
        site.releases.note_adopted(site.live_generation(), kept);
        let actions = self.machines.todo.take();
        let shared = |index| estate.take(&format!("shared.{name}.{index}"));
        site.primary = Primary::adopt(&entry.primary, shared);
        site.comes_again = entry.comes_again;
        site.note_adopted();
        entry.run.into_iter().for_each(|age| site.adopt_run(age));
        let gone = self.adopt_workers(name, &mut site, entry, estate);
        self.sites.insert(name.clone(), Site::Supervised(Box::new(site)));
        if entry.held {
            self.start_site(name);
        }
        self.machines.queue.extend(gone.into_iter().map(|event| (name.clone(), event)));
        for action in actions {
            self.act(name, action);
        }
    }

    /// What a generation runs, looked up again where it was found: secrets are not written down.
    fn release(&self, app: &Arc<App>, directory: Option<&PathBuf>) -> Release {
        let mut release = Release::new(Arc::clone(app));
        let Serving::Command(command) = &app.server else { return release };
        let mut command = command.clone();
        if let Some(directory) = directory {
            command.directory.clone_from(directory);
        }
        if let Err(reason) = release.resolve(&command, &self.starter.environment) {
            tracing::warn!(app = %app.name, %reason, "cannot look up what its workers run; it is tried again with the next");
        }
        release
    }

    /// Takes over those that are there; gives the ends of the others.
    fn adopt_workers(
        &mut self,
        name: &AppName,
        site: &mut Supervised,
        entry: &AppEntry,
        estate: &Estate,
    ) -> Vec<lifecycle::Event> {
        let report = site.machine.report();
        let all = report.generations.iter().flat_map(|one| one.workers.iter().chain(&one.beside));
        let states: BTreeMap<_, _> =
            all.chain(&report.stranded).filter_map(|one| Some((one.serial?, one.state))).collect();
        let mut gone = Vec::new();
        for (serial, entry) in &entry.workers {
            let id = WorkerId { app: name.clone(), generation: entry.generation, slot: entry.slot };
            let is_starting = matches!(states.get(serial), Some(WorkerState::Starting));
            let Some(release) = site.releases.get(entry.generation) else { continue };
            let found = Found { serial: *serial, id: &id, entry, is_starting };
            match self.starter.adopt(found, estate, release, &mut site.files) {
                Ok(worker) => {
                    tracing::debug!(worker = %id, pid = worker.process.pid(), "worker taken over");
                    site.workers.insert(*serial, worker);
                    self.chores.gauges.add(*serial, &memory::settings(site, *serial));
                    self.published.watch.prove(*serial);
                }
                Err(reason) => {
                    tracing::warn!(worker = %id, %reason, "a worker is not there any more");
                    self.outlook.metrics.worker_ended(name, lifecycle::Cause::Crashed.as_str(), false);
                }
            }
        }
        for serial in states.keys().filter(|serial| !site.workers.contains_key(serial)) {
            let how = Exit::Unseen.to_string();
            gone.push(lifecycle::Event::Exited { serial: *serial, how, code: None });
        }
        gone
    }

    fn adopt_fixed(&mut self, name: &AppName, servers: &[ServerEntry], now: Instant) {
        let Some(app) = self.config.apps.get(name).cloned().map(Arc::new) else { return };
        let health = |is_open| {
            let mut health = Health::new(now, app.probe.interval, app.probe.failures.get());
            if is_open && health.wake(now) {
                health.probed(now, Ok(()));
            }
            health
        };
        let servers = servers.iter().zip((0..).map(crate::id::Slot)).map(|(entry, slot)| Server {
            serial: entry.serial,
            slot,
            address: entry.address.clone(),
            health: health(entry.is_open),
            since: now,
        });
        let servers = servers.collect();
        self.sites.insert(name.clone(), Site::Fixed(Fixed { app: Arc::clone(&app), servers }));
        self.update_fixed(name, &app);
    }
}
