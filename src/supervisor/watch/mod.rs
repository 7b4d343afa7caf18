//! Files of apps that are watched, for development: a change reloads the app, as `portreeve reload` does.
//!
//! Keeps one thread for each app that wants it, and hands on what it tells. Invariant: who is watched, and how, is as the
//! configuration in force says since the latest change of it.

mod burst;
mod filter;
mod lookout;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Supervisor;
use super::event::Events;
use crate::config::{self, App, Config, Output, Server};
use crate::control::Scope;
use crate::id::AppName;
use filter::Filter;
use lookout::Leash;

/// The apps whose files are watched.
#[derive(Debug, Default)]
pub(super) struct Watches {
    apps: BTreeMap<AppName, Watched>,
    /// Folders that are ours alone.
    own: Vec<PathBuf>,
}

#[derive(Debug)]
struct Watched {
    settings: config::Watch,
    roots: Vec<PathBuf>,
    #[expect(dead_code, reason = "held for its drop")]
    leash: Leash,
}

impl Watches {
    /// What is in the folders of `own` is never looked at.
    pub(super) fn new(own: Vec<PathBuf>) -> Self {
        Self { apps: BTreeMap::new(), own }
    }

    /// Watches what this configuration says, from now on.
    pub(super) fn follow(&mut self, config: &Config, events: &Events) {
        self.apps.retain(|name, _| config.apps.get(name).is_some_and(|app| app.enabled && app.watch.is_some()));
        for app in config.apps.values().filter(|app| app.enabled) {
            let Some(settings) = &app.watch else { continue };
            if let Err(reason) = self.watch(app, settings, config, events) {
                tracing::error!(app = %app.name, %reason, "files cannot be watched: changes reload nothing");
            }
        }
    }

    fn watch(&mut self, app: &App, settings: &config::Watch, config: &Config, events: &Events) -> Result<(), String> {
        let name = &app.name;
        // A symlink among them may lead elsewhere since.
        let real = |path: &PathBuf| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
        let roots = settings.paths.iter().map(real).collect::<Result<Vec<_>, _>>();
        let roots = roots.inspect_err(|_| drop(self.apps.remove(name)))?;
        if self.apps.get(name).is_some_and(|watched| watched.settings == *settings && watched.roots == roots) {
            return Ok(());
        }
        self.apps.remove(name);
        let own = self.own.iter().cloned().chain(own_files(app, config)).map(real_place).collect();
        let filter = Filter::new(settings, roots.clone(), own)?;
        let leash = lookout::post(name.clone(), filter, settings.debounce, events.clone())?;
        self.apps.insert(name.clone(), Watched { settings: settings.clone(), roots, leash });
        Ok(())
    }
}

/// What we write ourselves, each as the beginning of a path: logs with what rotation makes of them, the list, sockets.
fn own_files(app: &App, config: &Config) -> Vec<PathBuf> {
    let logs = match &app.server {
        Server::Command(command) => {
            let Output { file, out, err, per_worker, .. } = &command.output;
            [file, out, err].into_iter().flatten().map(|path| log_file(path, *per_worker)).collect()
        }
        Server::Fixed(_) => Vec::new(),
    };
    let access = config.log.access.as_ref().and_then(|access| access.path.clone());
    let socket = &config.admin.socket;
    logs.into_iter()
        .chain(access)
        .chain([config.path.clone(), socket.clone(), socket.with_file_name("workers-")])
        .collect()
}

/// With the symlinks on the way to it followed.
fn real_place(path: PathBuf) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    folder.zip(path.file_name()).map(|(folder, name)| folder.join(name)).unwrap_or(path)
}

/// Where each slot has its own, the number stands in front of the extension.
fn log_file(path: &Path, per_worker: bool) -> PathBuf {
    let mut stem = path.with_extension("").into_os_string();
    stem.push("-");
    if per_worker { stem.into() } else { path.to_owned() }
}

impl Supervisor {
    /// Files of an app have changed.
    pub(super) fn files_changed(&mut self, app: &AppName, path: &Path) {
        let is_watched = self.config.apps.get(app).is_some_and(|app| app.enabled && app.watch.is_some());
        if is_watched && !self.is_stopping() {
            tracing::info!(%app, changed = %path.display(), "files have changed: the app is reloaded");
            self.reload(Scope { apps: vec![app.clone()], profile: None }, None);
        }
    }
}
