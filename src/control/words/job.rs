//! What is said of a task with a schedule.
//!
//! Times are as RFC 3339 has them, in UTC. Fields are only ever added.

use serde::{Deserialize, Serialize};

/// The runs of an app that has a schedule; what is counted outlives the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// As it is configured.
    pub schedule: String,
    /// When its time comes next; `None`: never, or it is stopped.
    pub next: Option<String>,
    /// `None`: no run is on.
    pub running_since: Option<String>,
    /// The run that ended last.
    pub last: Option<Run>,
    /// When a run last ended well, as far as is known.
    pub last_success: Option<String>,
    /// Runs that have begun.
    pub runs: u64,
    /// Runs that have failed or took too long.
    pub failures: u64,
    /// Times that were left out because a run went on.
    pub missed: u64,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub began: String,
    pub ended: String,
    /// `succeeded`, `failed`, `timed-out`, `replaced` (another one was to run) or `stopped` (with its app).
    pub result: String,
    pub reason: Option<String>,
}
