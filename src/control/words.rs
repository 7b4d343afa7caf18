//! What is said over the admin socket, in both directions, as JSON.
//!
//! Knows the shape of answers and nothing of how they come about. Fields are only ever added.

mod diff;
mod exit;
mod info;
mod job;
mod report;
mod traffic;
mod usage;

mod logs;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use logs::{LogEntry, LogLine, LogQuery, LogStream};
use serde::{Deserialize, Serialize};

pub use diff::{AppDiff, Change, Diff, KeyDiff};
pub use exit::{Due, Exit, Footprint};
pub use info::{Flushed, Identity, Info, PastChange, Process};
pub use job::{Job, Run};
pub use report::{AppReport, GenerationProgress, Report};
pub use traffic::Diversion;
pub use usage::{Cpu, Memory, Usage};

use crate::id::{Address, AppName, Generation, Serial, Slot};

/// Answer to `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    /// The configuration in force, absolute.
    #[serde(default)]
    pub config: PathBuf,
    /// Is that the list of apps that `start`, `stop` and `delete` edit?
    #[serde(default)]
    pub is_list: bool,
    pub uptime_seconds: u64,
    #[serde(default)]
    pub line: Line,
    pub listeners: Vec<Listener>,
    pub metrics: Option<SocketAddr>,
    pub proxies: Vec<Proxy>,
    pub apps: Vec<App>,
}

/// Those who took over from each other, this one last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// How many there were before.
    pub before: u64,
    /// Why the one that was to take over has not, if it has tried.
    pub refused: Option<String>,
}

/// One public address that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub address: SocketAddr,
    pub tls: bool,
    /// Was it handed down by the service manager?
    pub inherited: bool,
    /// The app whose own it is.
    #[serde(default)]
    pub app: Option<AppName>,
}

/// One proxy process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    pub number: u64,
    pub pid: u32,
    /// `starting`, `serving` or `retiring`.
    pub state: String,
}

/// One app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct App {
    /// A small number that stands for the name in orders, and is never another app's while the supervisor lives.
    #[serde(default)]
    pub id: u32,
    pub name: AppName,
    #[serde(flatten)]
    pub purpose: Purpose,
    pub state: String,
    #[serde(flatten)]
    pub by_hand: ByHand,
    /// Do workers that fail their probes get requests, because most of them do?
    #[serde(default)]
    pub panic_routing: bool,
    /// The generation that serves, if one does.
    pub generation: Option<Generation>,
    /// All that there are, oldest first.
    #[serde(default)]
    pub generations: Vec<GenerationProgress>,
    pub workers: Vec<Worker>,
    /// Why a worker last ended or failed to start.
    pub last_failure: Option<String>,
    /// How workers ended, oldest first; the last 32.
    #[serde(default)]
    pub exits: Vec<Exit>,
    /// Workers that are to be replaced as planned.
    #[serde(default)]
    pub recycling: Vec<Recycling>,
}

/// What an app is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purpose {
    /// [`WEB`], or [`TASK`]: no request is for it.
    #[serde(default = "web")]
    pub kind: String,
    /// Of a task with a schedule.
    #[serde(default)]
    pub job: Option<Job>,
}

/// What was said by hand, and lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// `open`, `paused` (requests wait) or `maintenance` (they are answered with a page).
    #[serde(default = "open")]
    pub traffic: String,
    /// `None`: we start no workers.
    #[serde(default)]
    pub scale: Option<Scale>,
}

impl Default for Purpose {
    fn default() -> Self {
        Self { kind: web(), job: None }
    }
}

impl Default for ByHand {
    fn default() -> Self {
        Self { traffic: open(), scale: None }
    }
}

/// Nothing was said by hand.
fn open() -> String {
    "open".to_owned()
}

/// How many workers an app has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// It is to have.
    pub wanted: u32,
    /// As the configuration says, or as many as there are CPUs.
    pub configured: u32,
}

pub const WEB: &str = "web";
pub const TASK: &str = "task";

fn web() -> String {
    WEB.to_owned()
}

/// A worker that is to be replaced as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recycling {
    /// As printed, `web 12.0`.
    pub worker: String,
    pub serial: Serial,
    /// As in [`Due::reason`].
    pub reason: String,
    /// Its successor is on its way; else it waits for its turn.
    pub begun: bool,
}

/// One worker, or one server of a fixed upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// As printed, `web 12.0`.
    pub id: String,
    pub serial: Serial,
    pub slot: Slot,
    pub generation: Generation,
    pub state: String,
    pub pid: Option<u32>,
    #[serde(flatten)]
    pub place: Place,
    pub uptime_seconds: u64,
    pub restarts: u64,
    #[serde(flatten)]
    pub usage: Usage,
    /// What it says of itself (`STATUS=` on its notify socket).
    #[serde(default)]
    pub says: Option<String>,
    #[serde(flatten)]
    pub load: Load,
}

/// Where a worker is reached. Its fields stand beside those of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub address: Option<Address>,
    /// The loopback port, when it has one.
    pub port: Option<u16>,
}

/// What a worker is asked to do, over all proxies. Its fields stand beside those of its worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Exchanges that it is at work on.
    pub inflight: u32,
    /// Exchanges ever that are over.
    pub requests: u64,
    /// Faults ever that were the worker's.
    pub failed: u64,
    /// Of the last seconds.
    pub req_per_second: f64,
    /// How long the oldest exchange has waited for the head of its response, to about a second, if one does.
    pub oldest_ms: Option<u64>,
}

/// What can be asked for by `POST /v1/WORD?app=NAME&app=NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Replace the workers without losing a request.
    Reload,
    /// Start what is stopped.
    Start,
    /// Stop the workers; the app stays known.
    Stop,
    /// Stop the workers, then start others.
    Restart,
    /// Stop the workers and forget the app.
    Delete,
    /// Let what served before serve again.
    Rollback,
    /// Let the new generation take over that a few of the clients have.
    Promote,
    /// Run another number of workers, `&workers=4`, `+2` or `-1`.
    Scale,
}

impl Order {
    /// Those of which there is nothing to say but the apps.
    pub const PLAIN: [Self; 7] =
        [Self::Reload, Self::Start, Self::Stop, Self::Restart, Self::Delete, Self::Rollback, Self::Promote];

    /// The word in the path.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Delete => "delete",
            Self::Rollback => "rollback",
            Self::Promote => "promote",
            Self::Scale => "scale",
        }
    }
}

/// Answer to `GET /v1/env?app=NAME`: what a worker of the app finds in its environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    pub app: AppName,
    pub variables: BTreeMap<String, String>,
}

/// Answer to `POST /v1/signal` and `POST /v1/reset`: how many workers it reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    pub workers: usize,
}

/// Answer to `POST /v1/reload` and the other orders: one entry an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    pub apps: Vec<AppReloaded>,
    /// The number under which [`Report`] is to be had.
    #[serde(default)]
    pub deploy: Option<u64>,
    /// The report, where somebody has waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// How the reload of one app ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppReloaded {
    pub app: AppName,
    pub outcome: Outcome,
    pub generation: Option<Generation>,
    pub reason: Option<String>,
    /// The last output lines of the worker that failed.
    pub lines: Vec<String>,
    pub millis: u64,
    /// How its workers were replaced, and why so: `rolling, 2 at a time: ...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
}

/// The ways in which a reload ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new generation serves.
    Live,
    /// The new generation failed; the old one serves as before.
    Aborted,
    /// The new generation had served, and was bad; the one before it serves again.
    RolledBack,
    /// A newer reload took this one's place.
    Superseded,
    /// A new app, or a fixed upstream: nothing to wait for.
    Applied,
    /// The app is no longer configured and is being stopped.
    Removed,
    /// It was started, and all its workers serve.
    Started,
    /// It was started, and a worker has failed or ended; others may serve, and more are tried.
    Failed,
    /// It has the number of workers that it was told to have.
    Scaled,
    /// It does not run; it will have the number of workers when it is started.
    Noted,
    /// None of its workers is left.
    Stopped,
    /// It was so already.
    Unchanged,
    /// It runs when its time comes.
    Scheduled,
}

/// Any refusal, with an HTTP status of 400 or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What went wrong, ready to be shown.
    pub error: String,
    /// `invalid_config`, `unknown_app`, `stopping`, `not_found`, `conflict`, `bad_request`, `internal`.
    pub kind: RefusalKind,
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    InvalidConfig,
    UnknownApp,
    Stopping,
    NotFound,
    /// The order does not fit what this supervisor was started with.
    Conflict,
    /// The request makes no sense.
    BadRequest,
    Internal,
}

impl Refusal {
    /// A refusal of the given kind.
    #[must_use]
    pub fn new(kind: RefusalKind, error: impl Into<String>) -> Self {
        Self { error: error.into(), kind }
    }
}
