//! PM2's configuration, translated: shapes of files, every key of an app, and the places that apps are to serve.
//!
//! Pure: JSON in, [`Imported`] out. What PM2 does with each key was observed on PM2 7; where portreeve does another
//! thing on purpose, the key has a comment or the app a remark. One file a topic, each taking its keys from the
//! [`record::Record`]; what is left when all have had their turn is a key that PM2 itself does not know.

mod command;
mod environment;
mod keys;
mod output;
mod places;
mod record;
mod restarts;
mod running;
mod shape;
mod stops;
mod task;
mod time_format;
mod units;
mod watching;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml_edit::Table;

use super::draft::Draft;
use super::{Imported, ImportedApp, Remark};
use crate::id::AppName;
use record::Record;
pub(super) use running::configured;

/// How a file is to be translated.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder that the new file is for; relative paths are taken from there.
    pub target: PathBuf,
    /// `--env production`: what `env_production` says holds without a profile.
    pub profile: Option<String>,
    /// `--only a,b`: the apps to translate; empty: all.
    pub only: Vec<String>,
    /// CPUs of this machine, for `instances: -1`.
    pub cpus: u32,
    /// The environment of whoever asks, which is no app's own.
    pub environment: BTreeMap<String, String>,
    pub ports: Ports,
}

/// Where the apps are to be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ports {
    /// They share the listeners, and differ by host or path.
    #[default]
    Shared,
    /// Each at the port that it had under PM2, as in the list of `start`.
    Own,
}

/// What a script turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Missing,
    Text,
    Program,
}

/// Where a configuration comes from.
pub(super) struct Surroundings<'a> {
    /// The folder that PM2 would be called in.
    pub(super) folder: &'a Path,
    /// The file's name.
    pub(super) origin: &'a str,
    pub(super) options: &'a Options,
    pub(super) look: &'a dyn Fn(&Path) -> Look,
}

/// One app on its way: what of it is still to be looked at, and what it has become.
struct Translation<'a> {
    record: Record,
    draft: Draft,
    remarks: Vec<Remark>,
    around: &'a Surroundings<'a>,
    /// PM2's working directory of the app, absolute.
    directory: PathBuf,
    script: String,
    traits: Traits,
}

/// What one topic learns and another needs.
#[derive(Debug, Default)]
struct Traits {
    is_node: bool,
    is_cluster: bool,
    /// It has several workers, or may have.
    is_many: bool,
    /// The port that it is told to listen on.
    port: Option<u16>,
    /// No request is for it.
    is_task: bool,
}

impl Translation<'_> {
    fn remark(&mut self, key: &str, text: impl Into<String>) {
        self.remarks.push(Remark::new(key, text));
    }

    /// An absolute path as the new file has it: from its folder if it is within.
    fn relative(&self, path: &Path) -> String {
        let inner = path.strip_prefix(&self.around.options.target).unwrap_or(path);
        let plain: PathBuf = inner.components().collect();
        if plain.as_os_str().is_empty() { ".".to_owned() } else { plain.to_string_lossy().into_owned() }
    }
}

/// One translated app, and what decides about the place that it serves.
struct Outcome {
    app: ImportedApp,
    traits: Traits,
}

/// Translates what a configuration file means.
///
/// # Errors
/// A sentence: there is no app in it, or none of those that were asked for.
pub(super) fn translate(value: &Value, around: &Surroundings) -> Result<Imported, String> {
    let shape::Shaped { apps, mut remarks } = shape::apps(value)?;
    let mut names = BTreeSet::new();
    let outcomes: Vec<Outcome> = apps
        .into_iter()
        .filter(|app| is_wanted(app, &around.options.only))
        .map(|app| translate_app(app, around, &mut names))
        .collect();
    if outcomes.is_empty() {
        return Err(format!("it has none of the apps {}", around.options.only.join(", ")));
    }
    let (mut apps, sections) = match around.options.ports {
        Ports::Shared => places::spread(outcomes, &mut remarks),
        Ports::Own => (places::own(outcomes), Table::new()),
    };
    output::keep_files_apart(&mut apps);
    Ok(Imported { origin: around.origin.to_owned(), sections, apps, remarks })
}

fn is_wanted(app: &Map<String, Value>, only: &[String]) -> bool {
    let name = app.get("name").map(record::text).unwrap_or_default();
    only.is_empty() || only.contains(&name)
}

fn translate_app(app: Map<String, Value>, around: &Surroundings, names: &mut BTreeSet<AppName>) -> Outcome {
    let mut remarks = Vec::new();
    let record = Record::new(app, &mut remarks);
    let directory = around.folder.to_owned();
    let (draft, traits) = (Draft::default(), Traits::default());
    let mut app = Translation { record, draft, remarks, around, directory, script: String::new(), traits };
    let name = command::name(&mut app, names);
    command::translate(&mut app);
    task::announce(&mut app);
    workers::translate(&mut app);
    environment::translate(&mut app);
    stops::translate(&mut app);
    restarts::translate(&mut app);
    watching::translate(&mut app);
    output::translate(&mut app);
    task::settle(&mut app);
    app.record.finish(&mut app.remarks);
    let Translation { draft, remarks, traits, .. } = app;
    Outcome { app: ImportedApp { name, table: draft.into_table(), remarks }, traits }
}

#[cfg(test)]
mod tests;
