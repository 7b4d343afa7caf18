//! The states of a worker and what each of them means: routed or not, under which deadline, called what.
//!
//! Moves between them are made in `worker` alone; this file only answers questions. A state carries the data that
//! exists in it and nowhere else, so a deadline cannot outlive the wait it belongs to.

use std::time::Instant;

use super::liveness::{Closed, Fate, Gate};
use super::{Version, WorkerState};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its process was ordered.
    Spawning { until: Instant },
    /// The latest probe failed, or none was answered yet.
    Starting { until: Instant, turn: Turn },
    /// The latest `passed` probes succeeded.
    Probing { until: Instant, turn: Turn, passed: u32 },
    /// It is ready, and is warmed up; `is_over`: no longer, for it is warm, or its time is over.
    Warming { until: Instant, is_over: bool },
    /// It could serve; its generation does not yet.
    Ready,
    /// Published open.
    Serving,
    /// It fails its probes: out of routing, unless too many are.
    Unready { gate: Gate, fate: Fate },
    /// Published closed, and kept running in case that it has to serve again.
    Retained(Closed),
    /// Published closed in this version; some proxy may not act on it yet.
    Quiescing { version: Version, idle: bool },
    /// No new claims; exchanges are in flight.
    Draining { until: Instant },
    /// Published without it in this version; some proxy may not act on it yet.
    Delisting { version: Version },
    /// Its process was ordered, and is to stop as soon as it is there.
    Cancelled { until: Instant },
    /// Asked to end.
    Stopping { until: Instant },
    /// Killed.
    Killing { until: Instant },
    /// Killed and still there.
    Unkillable,
}

/// Whose turn it is while a worker is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The next probe is due then.
    Ours(Instant),
    /// A probe is on its way.
    Theirs,
}

impl State {
    /// When it must be left at the latest, or a probe made.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Starting { until, turn: Turn::Ours(at) } | Self::Probing { until, turn: Turn::Ours(at), .. } => {
                Some(until.min(at))
            }
            Self::Spawning { until }
            | Self::Starting { until, .. }
            | Self::Probing { until, .. }
            | Self::Draining { until }
            | Self::Cancelled { until }
            | Self::Stopping { until }
            | Self::Killing { until }
            | Self::Warming { until, is_over: false }
            | Self::Unready { fate: Fate::Waits(Some(until)) | Fate::Dumping(until), .. } => Some(until),
            // Two wait for an acknowledgement, and the driver sees to it that one comes: a stop signal without it is
            // what must never be. One waits for an exit that nothing more can be done about. The others do not wait.
            Self::Quiescing { .. }
            | Self::Delisting { .. }
            | Self::Unkillable
            | Self::Warming { .. }
            | Self::Ready
            | Self::Serving
            | Self::Unready { .. }
            | Self::Retained(_) => None,
        }
    }

    /// Ordered and not yet ready, or not yet warm.
    pub(super) fn is_starting(self) -> bool {
        matches!(self, Self::Spawning { .. } | Self::Starting { .. } | Self::Probing { .. } | Self::Warming { .. })
    }

    /// It has come to serve, and was not asked to leave.
    pub(super) fn is_in_service(self) -> bool {
        matches!(self, Self::Serving | Self::Unready { .. })
    }

    /// Published open.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Serving | Self::Unready { gate: Gate::Open, .. })
    }

    /// Published closed, on its way out.
    pub(super) fn is_draining(self) -> bool {
        matches!(self, Self::Quiescing { .. } | Self::Draining { .. })
    }

    /// On its way out, whatever for.
    pub(super) fn is_leaving(self) -> bool {
        matches!(
            self,
            Self::Quiescing { .. }
                | Self::Draining { .. }
                | Self::Delisting { .. }
                | Self::Cancelled { .. }
                | Self::Stopping { .. }
                | Self::Killing { .. }
                | Self::Unkillable
        )
    }

    /// Is it possible that no process has come of the order?
    pub(super) fn may_lack_a_process(self) -> bool {
        matches!(self, Self::Spawning { .. } | Self::Cancelled { .. } | Self::Killing { .. } | Self::Unkillable)
    }

    /// When in its life, to end a sentence on what happened to the worker.
    pub(super) fn moment(self) -> &'static str {
        match self {
            Self::Spawning { .. } | Self::Starting { .. } | Self::Probing { .. } => "before it was ready",
            Self::Warming { .. } => "while it was warmed up",
            Self::Ready => "while it waited for the others to be ready",
            Self::Serving => "while it served",
            Self::Unready { .. } => "while it was unready",
            Self::Retained(_) => "while it was retained",
            _ => "on its way out",
        }
    }

    pub(super) fn name(self) -> WorkerState {
        match self {
            Self::Spawning { .. } => WorkerState::Spawning,
            Self::Starting { .. } => WorkerState::Starting,
            Self::Probing { .. } => WorkerState::Probing,
            Self::Warming { .. } => WorkerState::Warming,
            Self::Ready => WorkerState::Ready,
            Self::Serving => WorkerState::Serving,
            Self::Unready { .. } => WorkerState::Unready,
            Self::Retained(_) => WorkerState::Retained,
            Self::Quiescing { .. } => WorkerState::Quiescing,
            Self::Draining { .. } => WorkerState::Draining,
            Self::Delisting { .. } => WorkerState::Delisting,
            Self::Cancelled { .. } | Self::Stopping { .. } => WorkerState::Stopping,
            Self::Killing { .. } => WorkerState::Killing,
            Self::Unkillable => WorkerState::Unkillable,
        }
    }
}
