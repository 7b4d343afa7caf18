//! All there is to know of one app, and what changes of it have come to.
//!
//! Knows the shape of answers, as its parent does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{App, Listener, Outcome, Report};
use crate::id::Generation;

/// Answer to `GET /v1/info?app=NAME`. The fields of [`App`] stand beside these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    #[serde(flatten)]
    pub app: App,
    /// Its own addresses.
    pub listeners: Vec<Listener>,
    /// The configuration that it is in.
    pub config: PathBuf,
    /// What its live generation runs; `None`: nothing runs, or something else runs it.
    pub process: Option<Process>,
    /// The files that its workers' output goes to.
    pub logs: Vec<PathBuf>,
    /// The latest changes, oldest first; as long as this supervisor lives.
    pub changes: Vec<PastChange>,
    /// What holds, by the keys of `[app.NAME]`; secrets are masked.
    pub settings: BTreeMap<String, String>,
    /// The names of the variables that the app gives its workers.
    pub variables: Vec<String>,
}

/// What was looked up when a generation began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub program: PathBuf,
    /// The words of the command; secrets are masked.
    pub words: Vec<String>,
    pub directory: PathBuf,
    /// `None`: as portreeve.
    pub identity: Option<Identity>,
}

/// Whom workers run as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub user: String,
    pub uid: u32,
    pub gid: u32,
}

/// A change of an app that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastChange {
    /// When it began; as RFC 3339 has it, in UTC.
    pub began: String,
    /// What was asked for: `reload`, `restart`, ...
    pub order: String,
    pub outcome: Outcome,
    pub generation: Option<Generation>,
    /// Why it came to nothing, if it did.
    pub reason: Option<String>,
    pub millis: u64,
    /// As of the change itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// What clients had of it, for this app alone; `None`: not known yet.
    #[serde(default)]
    pub report: Option<Report>,
}

/// Answer to `POST /v1/flush`: the files that are empty now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flushed {
    pub files: Vec<PathBuf>,
}
