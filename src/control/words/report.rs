//! What a change has cost those who asked for something meanwhile, and how far a generation has come.
//!
//! Knows the shape of answers, as its parent does.

use serde::{Deserialize, Serialize};

use crate::id::{AppName, Generation};

/// Answer to `GET /v1/report?deploy=N`: what there was from the beginning of a change until all that it replaced was gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// As in [`Reloaded::deploy`](super::Reloaded::deploy).
    pub deploy: u64,
    pub millis: u64,
    pub apps: Vec<AppReport>,
}

/// The same of one app, as the proxies have counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppReport {
    pub app: AppName,
    /// Requests that have ended, whichever way.
    pub requests: u64,
    /// Those of them that waited for a worker.
    pub held: u64,
    /// The longest that one of those has waited.
    pub longest_hold_ms: Option<u64>,
    /// Requests that were sent a second time.
    pub retried: u64,
    /// Requests that were in flight when their worker's drain timeout was over, and it was told to stop.
    pub forced: u64,
    /// Requests that had no whole answer from a worker; not those that their client gave up.
    pub failed: u64,
}

/// How far a generation has come, or how much of it is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationProgress {
    pub number: Generation,
    /// `staging`, `verified`, `canary`, `promoting`, `live`, `draining` or `aborted`.
    pub state: String,
    /// Workers that it is to have.
    pub slots: usize,
    /// Those that serve, or can.
    pub ready: usize,
    /// Those whose processes are there.
    pub running: usize,
    /// Requests that they are at work on, as of about a second ago.
    pub inflight: u32,
    /// Of all clients, in ten thousandths, where only some are for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<u32>,
}
