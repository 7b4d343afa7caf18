//! An app as it stands, written down for whoever takes over from this supervisor, and how it is made of that again.
//!
//! Plain values that can be read by another version of this program: names of states, counts, and times that are relative to
//! the moment of writing. A step that only its own supervisor can end, such as a reload whose caller has gone, is not
//! continued: its generation leaves. How each part is written down and taken up is told beside it, in files called
//! `record` too. Invariant: whoever was asked to leave is on its way out, by the deadline that it had.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::recycle::RecycleReason;
use super::report::{Reason, Restarts};
use super::{Recycles, Rollout};
use crate::id::{Generation, Serial, Slot};

/// An app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AppRecord {
    /// The number of the next generation.
    pub next: u64,
    /// The last that was published.
    pub version: u64,
    /// Of generations that are gone.
    pub restarts: Restarts,
    pub recycles: Recycles,
    /// Oldest first.
    pub generations: Vec<GenerationRecord>,
    /// Killed, and not gone.
    pub stranded: Vec<Stray>,
}

/// One of its generations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationRecord {
    pub number: Generation,
    pub stage: StageRecord,
    /// Workers that it is to have.
    pub workers: u32,
    pub circuit: CircuitRecord,
    /// How it takes the place of the one before it.
    #[serde(default)]
    pub rollout: Rollout,
    /// The one that was live when it was declared; none is itself.
    #[serde(default)]
    pub base: Option<Generation>,
    /// Counted in slots that are gone.
    pub restarts: Restarts,
    pub recycles: Recycles,
    pub places: Vec<PlaceRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageRecord {
    /// It was on its way to serve, and is not any more.
    Staging,
    Live,
    /// It has no workers until somebody asks for it.
    Asleep,
    /// It could serve again; `left`: how long it is kept, once that is known.
    Retained {
        left: Option<Duration>,
    },
    Draining,
    /// It was on its way to serve, in steps, and gives back what it had taken.
    Yielding,
    Aborted,
}

/// Is it in a crash loop?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitRecord {
    Closed,
    Looping { since: Duration, next: Duration },
    GivenUp,
}

impl PlaceRecord {
    /// Whoever was kept here serves, and whoever was to come later comes.
    pub(super) fn reinstate(&mut self) {
        match &mut self.seat {
            SeatRecord::Taken(worker) if worker.state == StateRecord::Retained => worker.state = StateRecord::Serving,
            SeatRecord::Parked => self.seat = SeatRecord::Waiting,
            _ => {}
        }
    }
}

/// A slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaceRecord {
    pub slot: Slot,
    pub seat: SeatRecord,
    pub failures: u32,
    pub restarts: Restarts,
    pub owed: Option<Reason>,
    pub last: Option<Serial>,
    pub last_failure: Option<String>,
    pub last_exit: Option<String>,
    pub relay: RelayRecord,
}

/// What goes on beside the sitter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RelayRecord {
    pub wish: Option<RecycleReason>,
    pub beside: Option<(WorkerRecord, RoleRecord)>,
    pub shift: Option<ShiftRecord>,
    pub recycles: Recycles,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleRecord {
    Successor,
    Leaver(Option<RecycleReason>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftRecord {
    Leaving(RecycleReason),
    Coming,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatRecord {
    Waiting,
    Backoff { left: Duration },
    Parked,
    Taken(WorkerRecord),
    Empty,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerRecord {
    pub serial: Serial,
    pub state: StateRecord,
    /// How long it has been in its state.
    pub since: Duration,
    /// Until it is as old as it may become.
    pub expires: Option<Duration>,
    pub quota: Option<f64>,
    /// How often it is to say that it is well.
    pub watchdog: Option<Duration>,
    pub hangs: bool,
    pub farewell: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateRecord {
    /// `wait`: until it counts as ready, if only time is waited for.
    Starting {
        left: Duration,
        wait: Option<Duration>,
    },
    Ready,
    Serving,
    /// Closed, and kept.
    Retained,
    /// `patience`: until it is to be replaced.
    Unready {
        is_open: bool,
        patience: Option<Duration>,
    },
    Draining {
        left: Duration,
    },
    Delisting,
    Stopping {
        left: Duration,
    },
    Killing,
}

/// A worker of a generation that is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stray {
    pub generation: Generation,
    pub slot: Slot,
    pub serial: Serial,
}

/// From now to a time that is to come; none when it is over.
pub(super) fn left(until: Instant, now: Instant) -> Duration {
    until.saturating_duration_since(now)
}

/// A time so long ago, or the earliest there is.
pub(super) fn ago(now: Instant, age: Duration) -> Instant {
    now.checked_sub(age).unwrap_or(now)
}
