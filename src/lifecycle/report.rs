//! The internal picture of an app, for status and metrics.
//!
//! Plain values, taken on demand; nothing here decides anything. States have the names that people see, and metrics
//! use as labels. Invariant: [`Report::restarts`] only grows.

use std::fmt;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::App;
use super::circuit::Mode;
use super::generation::{Generation, Stage};
use super::place::Place;
use super::recycle::{RecycleReason, Recycles};
use super::worker::Worker;
use crate::id::{AppName, Generation as Number, Serial, WorkerId};

/// An app as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub app: AppName,
    pub state: AppState,
    /// Oldest first.
    pub generations: Vec<GenerationReport>,
    /// Killed, given up, and not gone yet; they belong to no generation any more.
    pub stranded: Vec<WorkerReport>,
    /// Most of its workers fail their probes, and get requests all the same.
    pub is_panicking: bool,
    /// Of all slots and generations ever.
    pub restarts: Restarts,
    /// The same.
    pub recycles: Recycles,
    /// Events that came from or to nobody, or at a time when they cannot be.
    pub ignored: u64,
}

/// A generation as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationReport {
    pub number: Number,
    pub state: GenerationState,
    /// Of all clients, in ten thousandths, where only some are for it.
    pub share: Option<u32>,
    /// Slots that are wanted; those from there on are on their way out.
    pub wanted: usize,
    /// One per slot, in order.
    pub workers: Vec<WorkerReport>,
    /// Who comes or goes in a slot while another worker sits there.
    pub beside: Vec<WorkerReport>,
}

/// A slot of a generation, and the worker in it if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerReport {
    pub worker: WorkerId,
    /// Of the present worker.
    pub serial: Option<Serial>,
    pub state: WorkerState,
    /// When it came into this state.
    pub since: Instant,
    /// Of this slot in this generation.
    pub restarts: Restarts,
    /// Who sits here, or sat here last.
    pub last: Option<Serial>,
    pub last_failure: Option<String>,
    pub last_exit: Option<String>,
    /// What the latest failed probe of the present worker said.
    pub complaint: Option<String>,
    /// Why the present worker is to be replaced, if it is.
    pub recycle: Option<RecycleReason>,
}

/// How many workers were started again, by what had happened to the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restarts {
    /// It ended by itself.
    pub crash: u64,
    /// Its process could not be started.
    pub spawn_failed: u64,
    /// It was not ready in time.
    pub start_timeout: u64,
    /// It said, or showed, that it would not be ready.
    pub gave_up: u64,
    /// It had said that it stops.
    pub left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Crash,
    SpawnFailed,
    StartTimeout,
    GaveUp,
    Left,
}

impl Restarts {
    /// Each count with the label that it has in metrics.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 5] {
        [
            ("crash", self.crash),
            ("spawn_failed", self.spawn_failed),
            ("start_timeout", self.start_timeout),
            ("gave_up", self.gave_up),
            ("left", self.left),
        ]
    }

    pub(super) fn count(&mut self, reason: Reason) {
        match reason {
            Reason::Crash => self.crash += 1,
            Reason::SpawnFailed => self.spawn_failed += 1,
            Reason::StartTimeout => self.start_timeout += 1,
            Reason::GaveUp => self.gave_up += 1,
            Reason::Left => self.left += 1,
        }
    }

    #[must_use]
    pub(super) fn plus(self, more: Self) -> Self {
        Self {
            crash: self.crash + more.crash,
            spawn_failed: self.spawn_failed + more.spawn_failed,
            start_timeout: self.start_timeout + more.start_timeout,
            gave_up: self.gave_up + more.gave_up,
            left: self.left + more.left,
        }
    }
}

/// Declares a fieldless enum whose variants have names for people and metrics.
macro_rules! named {
    ($(#[$doc:meta])* $enum:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        pub enum $enum { $($(#[$variant_doc])* #[serde(rename = $name)] $variant),+ }

        impl $enum {
            /// Every state there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name for people and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(super) use named;

named! {
    /// What an app does.
    AppState {
        Stopped = "stopped",
        /// It is to run and nobody serves yet, or nobody any more.
        Starting = "starting",
        /// Every worker serves.
        Running = "running",
        /// Some serve, some do not.
        Degraded = "degraded",
        /// Its workers have ended too often in too short a time: one is tried now and then.
        CrashLooping = "crash-looping",
        /// The same, and nothing is tried any more.
        GivenUp = "given-up",
        /// All workers have ended and none is to be started again.
        Exited = "exited",
        /// Nobody has asked for it for a while: it has no workers until somebody does.
        Asleep = "asleep",
        /// It serves, and a new generation is on its way.
        Reloading = "reloading",
        Stopping = "stopping",
    }
}

named! {
    /// What a generation does; see the diagram in `lifecycle::generation`.
    GenerationState {
        Staging = "staging",
        Verified = "verified",
        /// A few clients are served by it, to see how it does.
        Canary = "canary",
        /// It takes over in steps: some of its workers serve, and some of those before it.
        Rolling = "rolling",
        Promoting = "promoting",
        /// It serves, and is watched.
        Baking = "baking",
        Live = "live",
        /// It is live and has no workers until somebody asks for it.
        Asleep = "asleep",
        /// It has served, and could at once again.
        Retained = "retained",
        Draining = "draining",
        /// It was on its way to take over in steps, and gives back what it had taken.
        Yielding = "yielding",
        Aborted = "aborted",
    }
}

named! {
    /// What a worker does, or what its slot waits for; see the diagrams in `lifecycle::worker` and `lifecycle::place`.
    WorkerState {
        /// Waits for its turn to start.
        Pending = "pending",
        Spawning = "spawning",
        Starting = "starting",
        Probing = "probing",
        /// It is ready, and requests warm it up before it serves.
        Warming = "warming",
        Ready = "ready",
        Serving = "serving",
        /// It fails its probes, and gets no requests unless most of the others do too.
        Unready = "unready",
        /// It gets no requests and is kept, in case that the generation that took over turns out bad.
        Retained = "retained",
        Quiescing = "quiescing",
        Draining = "draining",
        Delisting = "delisting",
        Stopping = "stopping",
        Killing = "killing",
        Unkillable = "unkillable",
        /// Nobody is here until somebody asks.
        Asleep = "asleep",
        /// Waits until it may be tried again.
        Backoff = "backoff",
        /// Gone, and nobody comes after it.
        Exited = "exited",
    }
}

impl GenerationReport {
    /// Does it serve, or do what it can to?
    #[must_use]
    pub fn is_live(&self) -> bool {
        use GenerationState::{Asleep, Baking, Live, Promoting};
        matches!(self.state, Promoting | Baking | Live | Asleep)
    }
}

impl Report {
    pub(super) fn of(app: &App) -> Self {
        Self {
            app: app.name.clone(),
            state: app_state(&app.generations),
            generations: app.generations.iter().map(generation).collect(),
            stranded: app.stranded.iter().map(WorkerReport::without_seat).collect(),
            is_panicking: app.generations.iter().any(Generation::is_panicking),
            restarts: app.generations.iter().map(Generation::restarts).fold(app.restarts, Restarts::plus),
            recycles: app.generations.iter().map(Generation::recycles).fold(app.recycles, Recycles::plus),
            ignored: app.ignored,
        }
    }
}

fn app_state(generations: &[Generation]) -> AppState {
    let Some(live) = generations.iter().find(|generation| generation.is_live()) else {
        return if generations.is_empty() { AppState::Stopped } else { AppState::Stopping };
    };
    match live.serving() {
        _ if live.circuit.mode == Mode::GivenUp => AppState::GivenUp,
        _ if live.is_spent() => AppState::Exited,
        _ if !live.circuit.is_closed() => AppState::CrashLooping,
        0 if live.is_asleep() && generations.iter().any(Generation::is_coming) => AppState::Starting,
        0 if live.is_asleep() => AppState::Asleep,
        // Its workers are there, and serve whoever comes.
        0 if live.is_dormant() => AppState::Running,
        0 if !generations.iter().any(Generation::is_routed) => AppState::Starting,
        _ if generations.iter().any(|one| one.is_coming() || one.is_yielding()) => AppState::Reloading,
        serving if serving < live.plan.size() => AppState::Degraded,
        _ => AppState::Running,
    }
}

fn generation(generation: &Generation) -> GenerationReport {
    let state = match generation.stage {
        Stage::Staging { .. } => GenerationState::Staging,
        Stage::Verified { .. } => GenerationState::Verified,
        Stage::Canary { .. } => GenerationState::Canary,
        Stage::Rolling { .. } => GenerationState::Rolling,
        Stage::Promoting { .. } => GenerationState::Promoting,
        Stage::Baking { .. } => GenerationState::Baking,
        Stage::Live | Stage::Dozing { .. } | Stage::Waking => GenerationState::Live,
        Stage::Asleep => GenerationState::Asleep,
        Stage::Retained { .. } => GenerationState::Retained,
        Stage::Draining => GenerationState::Draining,
        Stage::Yielding => GenerationState::Yielding,
        Stage::Aborted => GenerationState::Aborted,
    };
    let wanted = generation.plan.size();
    let is_there = |place: &&Place| place.slot() < wanted || !place.is_vacant();
    let told = |place: &Place| {
        let report = place.report();
        let sleeps = generation.is_asleep() && report.state == WorkerState::Backoff;
        WorkerReport { state: if sleeps { WorkerState::Asleep } else { report.state }, ..report }
    };
    let workers = generation.places.iter().filter(is_there).map(told).collect();
    let beside = generation.places.iter().filter_map(Place::report_beside).collect();
    GenerationReport { number: generation.number, state, share: generation.share(), wanted, workers, beside }
}

impl WorkerReport {
    /// Of a worker that is in no seat.
    pub(super) fn without_seat(worker: &Worker) -> Self {
        Self {
            worker: worker.id.clone(),
            serial: Some(worker.serial),
            state: worker.state.name(),
            since: worker.since,
            restarts: Restarts::default(),
            last: Some(worker.serial),
            last_failure: worker.lateness().map(|failure| failure.sentence.clone()),
            last_exit: None,
            complaint: None,
            recycle: None,
        }
    }
}
