//! One slot of one generation: who sits there, how often that went wrong, and when the next one may try.
//!
//! Does not decide whether a failure is made good by a restart (the generation does), nor what a state means (the
//! worker does). Invariant: at most one process sits here; the next one is ordered only when the last is gone, unless
//! it is to take over from it (see [`relay`]). So a process that cannot be killed keeps its place: another one would most
//! likely get stuck beside it.
//!
//! ```text
//!            permit            failure, tried again
//!   Waiting ────────► Taken ─────────────────────► Backoff
//!      ▲                │ └─ had served long ─┐       │ deadline     (Waiting | Backoff | Parked) ─ leave ─► Empty
//!      │                │ gone, not wanted    │       │              (Waiting | Backoff) ─ crash loop ─► Parked
//!      │                ▼                     │       │              (Empty) ─ failure in a crash loop ─► Parked
//!      │              Empty                   │       │
//!      └──────────────────────────────────────┴───────┴─── Parked (tried, or the loop is over)
//! ```
//! In a generation that is retained, or sleeps, too, whoever is to come is parked.

mod record;
pub(super) mod relay;

use std::time::Instant;

use relay::Relay;

use super::Plan;
use super::report::{Reason, Restarts, WorkerReport, WorkerState};
use super::restart::Restart;
use super::state::State;
use super::todo::Step;
use super::worker::{End, Failure, Worker};
use crate::id::{Serial, Slot, WorkerId};

#[derive(Clone, Debug)]
pub(super) struct Place {
    id: WorkerId,
    pub(super) seat: Seat,
    since: Instant,
    /// Failures in a row, of workers that had not served for long.
    pub(super) failures: u32,
    pub(super) restarts: Restarts,
    /// Why the next worker here is a restart, if it is one.
    owed: Option<Reason>,
    pub(super) relay: Relay,
    /// Who sat here last.
    last: Option<Serial>,
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
    /// Until it is tried in a crash loop, or the loop is over.
    Parked,
    Taken(Box<Worker>),
    /// Nobody is wanted here any more.
    Empty,
}

impl Place {
    pub(super) fn new(id: WorkerId, now: Instant) -> Self {
        Self {
            id,
            seat: Seat::Waiting,
            since: now,
            failures: 0,
            restarts: Restarts::default(),
            owed: None,
            relay: Relay::default(),
            last: None,
            last_failure: None,
            last_exit: None,
        }
    }

    /// Another place of the same generation.
    pub(super) fn sibling(&self, slot: usize, now: Instant) -> Self {
        let slot = Slot(slot.try_into().expect("a plan has no more workers than fit"));
        Self::new(WorkerId { slot, ..self.id.clone() }, now)
    }

    /// Who sits here.
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

    /// Who sits here, and who stands beside.
    pub(super) fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.worker().into_iter().chain(self.relay.beside.as_ref().map(|beside| &*beside.worker))
    }

    pub(super) fn workers_mut(&mut self) -> impl Iterator<Item = &mut Worker> {
        let sitter = match &mut self.seat {
            Seat::Taken(worker) => Some(&mut **worker),
            _ => None,
        };
        sitter.into_iter().chain(self.relay.beside.as_mut().map(|beside| &mut *beside.worker))
    }

    pub(super) fn holds(&self, serial: Serial) -> bool {
        self.workers().any(|worker| worker.serial == serial)
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.seat, Seat::Waiting)
    }

    pub(super) fn is_parked(&self) -> bool {
        matches!(self.seat, Seat::Parked)
    }

    pub(super) fn is_taken(&self) -> bool {
        matches!(self.seat, Seat::Taken(_))
    }

    /// Is nobody here, nor beside, and nobody wanted?
    pub(super) fn is_vacant(&self) -> bool {
        self.is_empty() && self.relay.beside.is_none()
    }

    /// Do requests go to its sitter?
    pub(super) fn is_open(&self) -> bool {
        self.worker().is_some_and(|sitter| sitter.state.is_open())
    }

    /// Was its sitter told to leave though nothing was wrong with it?
    pub(super) fn is_let_go(&self) -> bool {
        let is_free_to_stay = |sitter: &Worker| sitter.lateness().is_none() && sitter.said.farewell.is_none();
        self.worker().is_some_and(|sitter| sitter.state.is_leaving() && is_free_to_stay(sitter))
    }

    pub(super) fn slot(&self) -> usize {
        self.id.slot.0 as usize
    }

    /// Is nobody here, and nobody wanted?
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.seat, Seat::Empty)
    }

    /// Is there nobody here to wait for? Nobody waits for a process that cannot be killed.
    pub(super) fn is_abandoned(&self) -> bool {
        let is_awaited = match &self.seat {
            Seat::Empty => false,
            Seat::Taken(worker) => worker.state != State::Unkillable,
            Seat::Waiting | Seat::Backoff { .. } | Seat::Parked => true,
        };
        !is_awaited && !self.is_changing()
    }

    /// Who is left here.
    pub(super) fn into_workers(self) -> impl Iterator<Item = Worker> {
        let sitter = match self.seat {
            Seat::Taken(worker) => Some(*worker),
            _ => None,
        };
        sitter.into_iter().chain(self.relay.beside.map(|beside| *beside.worker))
    }

    /// Seats a new worker, ordering its process.
    pub(super) fn start(&mut self, plan: &Plan, step: &mut Step<'_>) {
        // Waiting => Taken
        if let Some(reason) = self.owed.take() {
            self.restarts.count(reason);
        }
        let worker = Worker::spawn(self.id.clone(), plan, step);
        self.last = Some(worker.serial);
        self.sit(Seat::Taken(Box::new(worker)), step.now);
    }

    /// Nobody is wanted here from now on; who sits here goes by the stop order.
    pub(super) fn leave(&mut self, step: &mut Step<'_>) {
        self.call_off(step);
        match &mut self.seat {
            Seat::Taken(worker) => worker.leave(step),
            // (Waiting | Backoff | Parked) => Empty
            Seat::Waiting | Seat::Backoff { .. } | Seat::Parked => self.sit(Seat::Empty, step.now),
            Seat::Empty => {}
        }
    }

    /// Its sitter is kept, if it serves well; nobody comes here for now.
    pub(super) fn retain(&mut self, step: &mut Step<'_>) {
        self.call_off(step);
        self.suspend(step.now);
        if let Seat::Taken(worker) = &mut self.seat {
            worker.retain(step);
        }
    }

    /// Its sitter, which was kept, serves again; whoever was to come may.
    pub(super) fn reinstate(&mut self, step: &mut Step<'_>) {
        self.resume(step.now);
        if let Seat::Taken(worker) = &mut self.seat {
            worker.reinstate(step);
        }
    }

    /// Whoever is to come may; one that is on its way out makes room, where two may run side by side.
    pub(super) fn rouse(&mut self, overlaps: bool, step: &Step<'_>) {
        let leaves = self.is_let_go() && self.worker().is_some_and(|sitter| sitter.state != State::Unkillable);
        if overlaps && leaves && self.stand_up(None, step).is_some() {
            self.await_first(step.now);
        }
        self.resume(step.now);
    }

    /// Has it a worker that could serve again?
    pub(super) fn is_retained(&self) -> bool {
        self.worker().is_some_and(|worker| matches!(worker.state, State::Retained(_)))
    }

    /// The place is as new: whoever comes next is the first.
    pub(super) fn await_first(&mut self, now: Instant) {
        // (Empty | Waiting | Backoff | Parked) => Waiting
        self.owed = None;
        self.failures = 0;
        self.last_failure = None;
        self.last_exit = None;
        self.sit(Seat::Waiting, now);
    }

    /// A crash loop: whoever is to come here, comes when it is tried.
    pub(super) fn suspend(&mut self, now: Instant) {
        // (Waiting | Backoff) => Parked
        if matches!(self.seat, Seat::Waiting | Seat::Backoff { .. }) {
            self.sit(Seat::Parked, now);
        }
    }

    /// It is tried, or the crash loop is over.
    pub(super) fn resume(&mut self, now: Instant) {
        // Parked => Waiting
        if self.is_parked() {
            self.sit(Seat::Waiting, now);
        }
    }

    /// Everything is given up: nobody comes here who is not here.
    pub(super) fn give_up(&mut self, now: Instant) {
        // (Waiting | Backoff) => Empty
        if matches!(self.seat, Seat::Waiting | Seat::Backoff { .. }) {
            self.sit(Seat::Empty, now);
        }
    }

    /// The process is gone. `None`, and no change, when that cannot be.
    pub(super) fn vacate(&mut self, end: &End, now: Instant) -> Option<Failure> {
        let failure = self.worker()?.ended(end, now)?;
        if let End::Exited { how, .. } = end {
            self.last_exit = Some(how.clone());
        }
        // It was the one who sat here that was to be replaced.
        self.relay.wish = None;
        // Taken => Empty
        self.sit(Seat::Empty, now);
        Some(failure)
    }

    /// After a failure: another worker is to sit here, at once or after a while.
    pub(super) fn retry(&mut self, failure: &Failure, restart: &Restart, step: &mut Step<'_>) {
        self.owed = Some(failure.reason);
        let has_served_long = failure.served.is_some_and(|served| served >= restart.backoff.reset);
        let pause = restart.pause(has_served_long, self.failures, || step.todo.roll());
        self.failures = if has_served_long { 0 } else { self.failures.saturating_add(1) };
        // Empty => (Backoff | Waiting)
        let seat = pause.map_or(Seat::Waiting, |pause| Seat::Backoff { until: step.after(pause) });
        self.sit(seat, step.now);
    }

    /// After a failure in a crash loop: another worker is to sit here when it is tried.
    pub(super) fn park(&mut self, failure: &Failure, now: Instant) {
        // Empty => Parked
        self.owed = Some(failure.reason);
        self.sit(Seat::Parked, now);
    }

    /// Keeps what went wrong, for the report.
    pub(super) fn note(&mut self, failure: &Failure) {
        self.last_failure = Some(failure.sentence.clone());
    }

    /// It has ended as it may: what went wrong before is made good.
    pub(super) fn note_success(&mut self) {
        self.last_failure = None;
    }

    /// Acts on what is due; a failure is returned when the worker was not ready in time (it is then on its way out).
    pub(super) fn wake(&mut self, step: &mut Step<'_>) -> Option<Failure> {
        self.wake_relay(step);
        match &mut self.seat {
            // Backoff => Waiting
            Seat::Backoff { until } if step.is_due(*until) => self.sit(Seat::Waiting, step.now),
            Seat::Taken(worker) => return worker.wake(step),
            _ => {}
        }
        None
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let seat = match &self.seat {
            Seat::Backoff { until } => Some(*until),
            Seat::Taken(worker) => worker.deadline(),
            Seat::Waiting | Seat::Parked | Seat::Empty => None,
        };
        seat.into_iter().chain(self.relay_deadline()).min()
    }

    pub(super) fn report(&self) -> WorkerReport {
        let (serial, state, since) = match &self.seat {
            Seat::Waiting => (None, WorkerState::Pending, self.since),
            Seat::Backoff { .. } | Seat::Parked => (None, WorkerState::Backoff, self.since),
            Seat::Taken(worker) => (Some(worker.serial), worker.state.name(), worker.since),
            Seat::Empty => (None, WorkerState::Exited, self.since),
        };
        WorkerReport {
            worker: self.id.clone(),
            serial,
            state,
            since,
            restarts: self.restarts,
            last: self.last,
            last_failure: self.last_failure.clone(),
            last_exit: self.last_exit.clone(),
            complaint: self.worker().and_then(Worker::complaint).map(str::to_owned),
            recycle: self.recycle_reason(),
        }
    }

    fn sit(&mut self, seat: Seat, now: Instant) {
        self.since = now;
        self.seat = seat;
    }
}
