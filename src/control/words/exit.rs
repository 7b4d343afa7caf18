//! What is said of a worker that has ended.
//!
//! Records are kept over restarts of the supervisor in this very form: fields are only ever added.

use serde::{Deserialize, Serialize};

use crate::id::{Generation, Slot};

/// A worker that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// As printed, `web 12.0`.
    pub worker: String,
    pub generation: Generation,
    pub slot: Slot,
    pub pid: u32,
    /// As RFC 3339 has it, in UTC; so is `ended`.
    pub started: String,
    pub ended: String,
    /// The exit code; `None`: it was ended by `signal`.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Its memory was dumped.
    pub core: bool,
    #[serde(flatten)]
    pub due: Due,
    #[serde(flatten)]
    pub footprint: Footprint,
    /// What it printed last.
    pub lines: Vec<String>,
}

/// What the end of a worker is due to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// `crashed` (nobody had asked it to end), `finished` (the same, and it may), `late` (not ready in time), `replaced` (by
    /// a new generation), `recycled` (by another worker in its slot, as planned), `aborted` (its reload or its recycle was
    /// called off), `scaled` (the app was to have fewer), `left` (by its own word) or `stopped` (with its app).
    pub cause: String,
    /// What for, if it was recycled: `max-age`, `max-requests`, `memory`, `schedule`, `watch`, `unhealthy`, `hung` or
    /// `asked`.
    #[serde(default)]
    pub reason: Option<String>,
    /// It had not ended within its kill timeout.
    pub killed: bool,
}

/// What memory a worker needed. Its fields stand beside those of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Footprint {
    /// The most that was measured, in bytes; `None`: it ended before the first look.
    pub max_memory: Option<u64>,
    /// Did the kernel kill it, or some process of it, because memory ran out? `None`: there is no telling without a
    /// control group with the memory controller.
    pub oom: Option<bool>,
}
