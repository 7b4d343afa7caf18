//! Writes the ledger, and names every descriptor that is to be left.
//!
//! Only reads the supervisor.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Instant;

use super::ledger::{
    AppEntry, AppSettings, Identity, Ledger, Next, Places, ServerEntry, Settings, VERSION, WorkerEntry, Written,
};
use crate::config::{App, Server, Text};
use crate::id::{Generation, Serial};
use crate::supervisor::output::HalfLines;
use crate::supervisor::release::Release;
use crate::supervisor::site::{Fixed, Site, Supervised};
use crate::supervisor::workers::Worker;
use crate::supervisor::{Supervisor, clock};
use crate::sys::cgroup::Group;

/// Texts of the configuration, each once.
#[derive(Default)]
struct Texts(Vec<Text>);

impl Texts {
    fn index(&mut self, text: &Text) -> usize {
        let known = self.0.iter().position(|known| known.0 == text.0);
        known.unwrap_or_else(|| {
            self.0.push(text.clone());
            self.0.len() - 1
        })
    }

    fn settings(&mut self, app: &App) -> AppSettings {
        let workers = match &app.server {
            Server::Command(command) => command.workers.map(std::num::NonZeroU32::get),
            Server::Fixed(_) => None,
        };
        AppSettings { text: self.index(&app.said.whole), workers, enabled: app.enabled }
    }
}

impl Supervisor {
    /// Everything as it is now. `half_lines`: what was read of workers' output and is no line yet.
    pub(in crate::supervisor) fn ledger(&self, half_lines: &BTreeMap<Serial, HalfLines>) -> Ledger {
        let (now, mut texts) = (clock::now(), Texts::default());
        let text = texts.index(&self.config.text);
        let apps = self.config.apps.iter().map(|(name, app)| (name.clone(), texts.settings(app))).collect();
        let (mut entries, mut fixed) = (BTreeMap::new(), BTreeMap::new());
        for (name, site) in &self.sites {
            match site {
                Site::Supervised(site) => {
                    drop(entries.insert(name.clone(), app_entry(site, &mut texts, half_lines, now)));
                }
                Site::Fixed(site) => drop(fixed.insert(name.clone(), servers(site))),
            }
        }
        let (proxy, proxies) = self.proxies.entries();
        let serial = self.machines.todo.next_serial();
        let texts = texts.0.iter().map(|text| text.0.to_string()).collect();
        let settings =
            Settings { path: self.config.path.clone(), profile: self.config.profile.clone(), texts, text, apps };
        Ledger {
            version: VERSION,
            written: Written::now(),
            next: Next { serial, epoch: self.published.epoch.0, proxy },
            settings,
            listeners: self.listeners.entries(),
            proxies,
            apps: entries,
            fixed,
            roster: self.roster.record(),
            counters: self.counters_for_good(),
            loads: self.proxies.loads.record(),
            places: Places {
                mark: self.starter.line,
                sockets: self.starter.sockets.place().to_owned(),
                preload: self.starter.preload.place(),
                metrics: self.outlook.metrics_address,
            },
        }
    }

    /// All descriptors that whoever takes over needs, by the names that the ledger has for them.
    pub(in crate::supervisor) fn ends(&self) -> Vec<(String, BorrowedFd<'_>)> {
        let admin = self.outlook.admin.iter();
        let admin = admin.flat_map(|ends| [("admin.listener", &ends.listener), ("admin.lock", &ends.lock)]);
        let mut ends: Vec<_> = admin.map(|(name, end)| (name.to_owned(), end.as_fd())).collect();
        ends.extend(self.listeners.ends());
        ends.extend(self.proxies.ends());
        for (name, site) in &self.sites {
            let Site::Supervised(site) = site else { continue };
            let shared = site.primary.ends().enumerate();
            ends.extend(shared.map(|(index, end)| (format!("shared.{name}.{index}"), end)));
            for (serial, worker) in &site.workers {
                let copies = worker.ends.copies.iter().map(|(kind, end)| (*kind, end.as_fd()));
                let port = worker.berth.entry().1.map(|end| ("port", end));
                ends.extend(copies.chain(port).map(|(kind, end)| (format!("worker.{serial}.{kind}"), end)));
            }
        }
        ends
    }
}

fn app_entry(site: &Supervised, texts: &mut Texts, half_lines: &BTreeMap<Serial, HalfLines>, now: Instant) -> AppEntry {
    let entry = |(serial, worker): (&Serial, &Worker)| (*serial, worker_entry(*serial, worker, half_lines, now));
    let began = site.runs.as_ref().and_then(|runs| runs.job.running_since());
    AppEntry {
        machine: site.machine.record(now),
        workers: site.workers.iter().map(entry).collect(),
        settings: site.releases.iter().map(|(number, one)| (*number, texts.settings(&one.app))).collect(),
        directories: site.releases.iter().filter_map(directory).collect(),
        upcoming: texts.settings(&site.upcoming),
        held: site.held,
        comes_again: site.comes_again,
        run: began.map(|began| now.saturating_duration_since(began)),
        primary: site.primary.record(),
    }
}

fn directory((number, release): (&Generation, &Release)) -> Option<(Generation, PathBuf)> {
    Some((*number, release.resolved()?.directory.clone()))
}

fn worker_entry(
    serial: Serial,
    worker: &Worker,
    half_lines: &BTreeMap<Serial, HalfLines>,
    now: Instant,
) -> WorkerEntry {
    let asked = worker.process.asked();
    WorkerEntry {
        generation: worker.id.generation,
        slot: worker.id.slot,
        process: Identity { pid: worker.process.pid(), started: worker.process.started() },
        started_at: worker.started_at.to_string(),
        place: worker.berth.entry().0,
        folder: worker.berth.folder().map(ToOwned::to_owned),
        control_group: worker.tree.group().map(|group| Group::folder(group).to_owned()),
        asked: asked.to_end,
        signal_in: asked.signal_at.map(|at| at.into_std().saturating_duration_since(now)),
        half_lines: half_lines.get(&serial).cloned().unwrap_or_default(),
    }
}

fn servers(site: &Fixed) -> Vec<ServerEntry> {
    let entry = |server: &crate::supervisor::site::Server| ServerEntry {
        serial: server.serial,
        address: server.address.clone(),
        is_open: server.health.is_open(),
    };
    site.servers.iter().map(entry).collect()
}
