//! One slot of one generation: who sits there, how often that went wrong, and when the next one may try.
//!
//! Does not decide whether a failure is made good by a restart (the generation does), nor what a state means (the
//! worker does). Invariant: at most one process sits here; the next one is ordered only when the last is gone. So a
//! process that cannot be killed keeps its place: another one would most likely get stuck beside it.
//!
//! ```text
//!            permit            failure, tried again
//!   Waiting ────────► Taken ─────────────────────► Backoff
//!      ▲                │ └─ had served long ─┐       │ deadline
//!      │                │ gone, not wanted    │       │
//!      │                ▼                     │       │
//!      │              Empty                   │       │
//!      └──────────────────────────────────────┴───────┘      (Waiting | Backoff) ─ leave ─► Empty
//! ```

use std::time::Instant;

use super::report::{Restarts, WorkerReport, WorkerState};
use super::state::State;
use super::todo::Step;
use super::worker::{End, Failure, Worker};
use super::{Backoff, Plan};
use crate::id::{Serial, WorkerId};

#[derive(Clone, Debug)]
pub(super) struct Place {
    id: WorkerId,
    pub(super) seat: Seat,
    since: Instant,
    /// Failures in a row, of workers that had not served for long.
    pub(super) failures: u32,
    pub(super) restarts: Restarts,
    last_failure: Option<String>,
    last_exit: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Seat {
    /// For its turn to start.
    Waiting,
    /// Until the next attempt.
    Backoff {
        until: Instant,
    },
    Taken(Box<Worker>),
    /// Nobody is wanted here any more.
    Empty,
}

impl Place {
    pub(super) fn new(id: WorkerId, now: Instant) -> Self {
        let restarts = Restarts::default();
        Self { id, seat: Seat::Waiting, since: now, failures: 0, restarts, last_failure: None, last_exit: None }
    }

    pub(super) fn worker(&self) -> Option<&Worker> {
        match &self.seat {
            Seat::Taken(worker) => Some(worker),
            _ => None,
        }
    }

    pub(super) fn worker_mut(&mut self) -> Option<&mut Worker> {
        match &mut self.seat {
            Seat::Taken(worker) => Some(worker),
            _ => None,
        }
    }

    pub(super) fn holds(&self, serial: Serial) -> bool {
        self.worker().is_some_and(|worker| worker.serial == serial)
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.seat, Seat::Waiting)
    }

    /// Is there nobody here to wait for? Nobody waits for a process that cannot be killed.
    pub(super) fn is_abandoned(&self) -> bool {
        match &self.seat {
            Seat::Empty => true,
            Seat::Taken(worker) => worker.state == State::Unkillable,
            Seat::Waiting | Seat::Backoff { .. } => false,
        }
    }

    /// Who is left here.
    pub(super) fn into_worker(self) -> Option<Worker> {
        match self.seat {
            Seat::Taken(worker) => Some(*worker),
            _ => None,
        }
    }

    /// Seats a new worker, ordering its process.
    pub(super) fn start(&mut self, plan: Plan, step: &mut Step<'_>) {
        // Waiting => Taken
        let worker = Worker::spawn(self.id.clone(), plan, step);
        self.sit(Seat::Taken(Box::new(worker)), step.now);
    }

    /// Nobody is wanted here from now on; who sits here goes by the stop order.
    pub(super) fn leave(&mut self, step: &mut Step<'_>) {
        match &mut self.seat {
            Seat::Taken(worker) => worker.leave(step),
            // (Waiting | Backoff) => Empty
            Seat::Waiting | Seat::Backoff { .. } => self.sit(Seat::Empty, step.now),
            Seat::Empty => {}
        }
    }

    /// The process is gone. `None`, and no change, when that cannot be.
    pub(super) fn vacate(&mut self, end: &End, now: Instant) -> Option<Failure> {
        let failure = self.worker()?.ended(end, now)?;
        if let End::Exited(how) = end {
            self.last_exit = Some(how.clone());
        }
        // Taken => Empty
        self.sit(Seat::Empty, now);
        Some(failure)
    }

    /// After a failure: another worker is to sit here, at once or after a while.
    pub(super) fn retry(&mut self, failure: &Failure, backoff: &Backoff, step: &mut Step<'_>) {
        self.restarts.count(failure.reason);
        if failure.served.is_some_and(|served| served >= backoff.reset) {
            // Empty => Waiting
            self.failures = 0;
            self.sit(Seat::Waiting, step.now);
        } else {
            // Empty => Backoff
            let delay = backoff.delay(self.failures, step.todo.roll());
            self.failures = self.failures.saturating_add(1);
            self.sit(Seat::Backoff { until: step.after(delay) }, step.now);
        }
    }

    /// Keeps what went wrong, for the report.
    pub(super) fn note(&mut self, failure: &Failure) {
        self.last_failure = Some(failure.sentence.clone());
    }

    /// Acts on what is due; a failure is returned when the worker was not ready in time (it is then on its way out).
    pub(super) fn wake(&mut self, step: &mut Step<'_>) -> Option<Failure> {
        match &mut self.seat {
            // Backoff => Waiting
            Seat::Backoff { until } if step.is_due(*until) => self.sit(Seat::Waiting, step.now),
            Seat::Taken(worker) => return worker.wake(step),
            _ => {}
        }
        None
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.seat {
            Seat::Backoff { until } => Some(*until),
            Seat::Taken(worker) => worker.state.deadline(),
            Seat::Waiting | Seat::Empty => None,
        }
    }

    pub(super) fn report(&self) -> WorkerReport {
        let (serial, state, since) = match &self.seat {
            Seat::Waiting => (None, WorkerState::Pending, self.since),
            Seat::Backoff { .. } => (None, WorkerState::Backoff, self.since),
            Seat::Taken(worker) => (Some(worker.serial), worker.state.name(), worker.since),
            Seat::Empty => (None, WorkerState::Exited, self.since),
        };
        WorkerReport {
            worker: self.id.clone(),
            serial,
            state,
            since,
            restarts: self.restarts,
            last_failure: self.last_failure.clone(),
            last_exit: self.last_exit.clone(),
        }
    }

    fn sit(&mut self, seat: Seat, now: Instant) {
        self.since = now;
        self.seat = seat;
    }
}
