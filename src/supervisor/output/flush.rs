//! Empties the log files of apps, and what is remembered of their lines.
//!
//! An app's own thread does it, between two batches of lines, so that none is torn or lost. What rotation has put aside
//! stays: it is old, compressed, and bounded in number. Invariant: only a regular file is ever emptied.

use std::path::PathBuf;

use tokio::sync::oneshot;

use super::file::LogFile;
use super::paths;
use crate::config::{Output, Server};
use crate::control::words::{Flushed, Refusal, RefusalKind};
use crate::id::AppName;
use crate::supervisor::Supervisor;
use crate::supervisor::info::slots;
use crate::supervisor::output::Files;
use crate::supervisor::site::{Site, Supervised};

type Reply = oneshot::Sender<Result<Flushed, Refusal>>;

/// What became of some files: those that are empty now, and what was wrong with the others.
#[derive(Debug, Default)]
pub(super) struct Emptied {
    pub(super) files: Vec<PathBuf>,
    pub(super) faults: Vec<String>,
}

impl Emptied {
    pub(super) fn note(&mut self, path: PathBuf, emptied: std::io::Result<bool>) {
        match emptied {
            Ok(true) => self.files.push(path),
            Ok(false) => {}
            Err(error) => self.faults.push(format!("{}: {error}", path.display())),
        }
    }
}

impl Supervisor {
    pub(in crate::supervisor) fn flush(&self, apps: &[AppName], reply: Reply) {
        if let Err(refusal) = self.require_known(apps) {
            return drop(reply.send(Err(refusal)));
        }
        let sites = apps.iter().filter_map(|app| match self.sites.get(app) {
            Some(Site::Supervised(site)) => Some((app, site)),
            _ => None,
        });
        let work: Vec<_> = sites.map(|(app, site)| (app.clone(), site.files.clone(), of_site(site))).collect();
        let feed = self.starter.feed.clone();
        self.starter.tasks.spawn(async move {
            let mut all = Emptied::default();
            for (app, files, paths) in work {
                let emptied = match files {
                    Some(files) => files.flush(paths).await,
                    None => tokio::task::spawn_blocking(move || empty(paths)).await.unwrap_or_default(),
                };
                feed.flush(&app);
                all.files.extend(emptied.files);
                all.faults.extend(emptied.faults);
            }
            let answer = if all.faults.is_empty() {
                Ok(Flushed { files: all.files })
            } else {
                let error = format!("not every log file could be emptied: {}", all.faults.join("; "));
                Err(Refusal::new(RefusalKind::Internal, error))
            };
            // Whoever has asked may be gone.
            let _ = reply.send(answer);
        });
    }
}

/// The files of all generations of an app.
fn of_site(site: &Supervised) -> Vec<PathBuf> {
    let apps = site.releases.values().map(|release| &release.app).chain([&site.upcoming]);
    let outputs = apps.filter_map(|app| match &app.server {
        Server::Command(command) => Some((&command.output, command.workers.map_or(1, std::num::NonZeroU32::get))),
        Server::Fixed(_) => None,
    });
    let of_output = |(output, workers): (&Output, u32)| paths(output, workers.max(slots(site)));
    let mut all: Vec<_> = outputs.flat_map(of_output).collect();
    all.sort();
    all.dedup();
    all
}

/// Where nobody has written yet.
fn empty(paths: Vec<PathBuf>) -> Emptied {
    let mut emptied = Emptied::default();
    for path in paths {
        let result = LogFile::new(path.clone()).empty();
        emptied.note(path, result);
    }
    emptied
}

impl Files {
    /// Waits until all is written that was handed over so far.
    pub(in crate::supervisor) async fn settle(&self) {
        self.flush(Vec::new()).await;
    }

    /// Has the thread empty these files, after the lines that it was handed before.
    async fn flush(&self, paths: Vec<PathBuf>) -> Emptied {
        let (done, emptied) = oneshot::channel();
        self.order_flush(paths, done).await;
        emptied.await.unwrap_or_default()
    }
}
