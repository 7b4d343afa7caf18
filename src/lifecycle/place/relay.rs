//! The planned replacement of a slot's worker: its successor is brought up beside it, takes its seat, and it leaves.
//!
//! Does not decide when a successor may start (the generation does). Invariants: one process at most stands beside the
//! sitter; who was the sitter closes in the version in which its successor opens, unless it leaves by its own will. Where
//! no process may stand beside another, the sitter leaves first, and the next one is waited for as for any other replacement.
//!
//! ```text
//!          recycle            permit                   ready: it sits down, the sitter stands up
//!   (none) ───────► Wished ──────────► Successor ──────────────────────────────────────────────► Leaver ─ gone ─► (none)
//!                     ▲                    │  └── the sitter ends by itself: it sits down ──► (none)
//!                     └── after a while ───┴── fails, or is late and leaves
//!
//!   (none) ── the sitter leaves by its own will: its seat is free ──► Leaver
//!
//!          recycle            permit                 gone                    in service
//!   (none) ───────► Wished ──────────► Leaving ────────────────► Coming ──────────────────────► (none)
//! ```

use std::time::Instant;

use super::{Place, Seat};
use crate::id::Serial;
use crate::lifecycle::report::WorkerReport;
use crate::lifecycle::state::State;
use crate::lifecycle::todo::Step;
use crate::lifecycle::worker::{End, Failure, Worker};
use crate::lifecycle::{Backoff, Plan, RecycleReason, Recycles};

/// What is going on in a slot beside its sitter.
#[derive(Clone, Debug, Default)]
pub(in crate::lifecycle) struct Relay {
    pub(in crate::lifecycle) wish: Option<Wish>,
    pub(in crate::lifecycle) beside: Option<Beside>,
    pub(in crate::lifecycle) shift: Option<Shift>,
    pub(in crate::lifecycle) recycles: Recycles,
}

/// The sitter is to be replaced.
#[derive(Clone, Debug)]
pub(in crate::lifecycle) struct Wish {
    pub(in crate::lifecycle) reason: RecycleReason,
    /// Who has wished first comes first.
    pub(in crate::lifecycle) since: Instant,
    /// After a successor that failed: not before then.
    pub(in crate::lifecycle) until: Option<Instant>,
    /// Successors that have failed in a row.
    pub(in crate::lifecycle) failures: u32,
}

/// A replacement without a second process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lifecycle) enum Shift {
    /// The sitter is on its way out, for this reason.
    Leaving(RecycleReason),
    /// Its successor is to sit here, and does not serve yet.
    Coming,
}

/// A second process in the slot.
#[derive(Clone, Debug)]
pub(in crate::lifecycle) struct Beside {
    pub(in crate::lifecycle) worker: Box<Worker>,
    pub(in crate::lifecycle) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lifecycle) enum Role {
    /// It comes.
    Successor,
    /// It goes: it was replaced for this reason, or is a successor that nobody wants any more.
    Leaver(Option<RecycleReason>),
}

impl Place {
    /// Its sitter is to be replaced; no change if that is known.
    pub(in crate::lifecycle) fn wish(&mut self, reason: RecycleReason, now: Instant) {
        self.relay.wish.get_or_insert(Wish { reason, since: now, until: None, failures: 0 });
    }

    /// When the replacement was wished for that may begin now.
    pub(in crate::lifecycle) fn wished_since(&self, now: Instant) -> Option<Instant> {
        let wish = self.relay.wish.as_ref().filter(|wish| wish.until.is_none_or(|until| until <= now))?;
        let is_free = self.relay.beside.is_none() && self.is_in_service();
        is_free.then_some(wish.since)
    }

    /// Is a planned replacement under way here? Nobody waits for a process that cannot be killed, unless its slot is served
    /// by nobody else: then no other slot is to be emptied too.
    pub(in crate::lifecycle) fn is_changing(&self) -> bool {
        let is_empty = self.relay.shift.is_some() && !self.is_empty();
        is_empty || self.relay.beside.as_ref().is_some_and(|beside| beside.worker.state != State::Unkillable)
    }

    /// Sends the sitter away, so that its successor can have the seat.
    pub(in crate::lifecycle) fn send_away(&mut self, step: &mut Step<'_>) {
        if let (Seat::Taken(sitter), Some(wish)) = (&mut self.seat, self.relay.wish.take()) {
            // Wished => Leaving
            sitter.verdict = None;
            sitter.leave(step);
            self.relay.shift = Some(Shift::Leaving(wish.reason));
        }
    }

    /// The sitter is gone: if it was sent away, its successor is to come; false if not.
    pub(in crate::lifecycle) fn refill(&mut self, now: Instant) -> bool {
        let Some(Shift::Leaving(reason)) = self.relay.shift else { return false };
        // Leaving => Coming
        self.relay.shift = Some(Shift::Coming);
        self.relay.recycles.count(reason);
        self.sit(Seat::Waiting, now);
        true
    }

    /// What its sitter is to be replaced for, or is being.
    pub(in crate::lifecycle) fn recycle_reason(&self) -> Option<RecycleReason> {
        match self.relay.shift {
            Some(Shift::Leaving(reason)) => Some(reason),
            _ => self.relay.wish.as_ref().map(|wish| wish.reason),
        }
    }

    /// Orders the successor.
    pub(in crate::lifecycle) fn start_successor(&mut self, plan: &Plan, step: &mut Step<'_>) {
        // Wished => Successor
        let worker = Box::new(Worker::spawn(self.id.clone(), plan, step));
        self.relay.beside = Some(Beside { worker, role: Role::Successor });
    }

    /// Lets the successor take the seat, if it has answered `needed` probes in a row.
    pub(in crate::lifecycle) fn relieve(&mut self, needed: u32, step: &mut Step<'_>) {
        if self.is_in_service() {
            // Coming => (none)
            self.relay.shift.take_if(|shift| *shift == Shift::Coming);
        }
        let Some(Beside { worker, role: Role::Successor }) = &mut self.relay.beside else { return };
        worker.admit(needed, step);
        if worker.state != State::Ready {
            return;
        }
        worker.serve(step);
        if let (Seat::Taken(sitter), Some(wish)) = (&mut self.seat, self.relay.wish.take()) {
            // Successor => Leaver
            std::mem::swap(sitter, worker);
            worker.leave(step);
            self.last = Some(sitter.serial);
            self.relay.recycles.count(wish.reason);
            if let Some(beside) = &mut self.relay.beside {
                beside.role = Role::Leaver(Some(wish.reason));
            }
        }
    }

    /// The sitter has ended by itself and another one is wanted: the successor sits down as it is; false if there is none.
    pub(in crate::lifecycle) fn succeed(&mut self, failure: &Failure, now: Instant) -> bool {
        match self.relay.beside.take_if(|beside| beside.role == Role::Successor) {
            // Successor => (none)
            Some(Beside { worker, .. }) => {
                self.restarts.count(failure.reason);
                self.last = Some(worker.serial);
                self.sit(Seat::Taken(worker), now);
                true
            }
            None => false,
        }
    }

    /// The sitter goes before somebody else serves: its seat is free meanwhile, or a successor's that was on its way. `None`:
    /// another one is on its way out here, and it keeps the seat.
    pub(in crate::lifecycle) fn stand_up(&mut self, why: Option<RecycleReason>, step: &Step<'_>) -> Option<Failure> {
        if self.relay.beside.as_ref().is_some_and(|beside| beside.role != Role::Successor) {
            return None;
        }
        let departure = self.worker()?.departure();
        let successor = self.relay.beside.take();
        // Taken => Empty, (none) => Leaver
        if let Seat::Taken(worker) = std::mem::replace(&mut self.seat, Seat::Empty) {
            self.relay.beside = Some(Beside { worker, role: Role::Leaver(why) });
        }
        self.relay.wish = None;
        // Successor => (none)
        if let Some(Beside { worker, .. }) = successor {
            self.restarts.count(departure.reason);
            self.last = Some(worker.serial);
            self.sit(Seat::Taken(worker), step.now);
        }
        Some(departure)
    }

    /// A successor will not come to serve.
    pub(in crate::lifecycle) fn despair_of_successor(&mut self, why: &str, step: &mut Step<'_>) {
        let successor = self.relay.beside.as_mut().filter(|beside| beside.role == Role::Successor);
        if let Some(failure) = successor.and_then(|beside| beside.worker.despair(why, step)) {
            self.give_up_successor(&failure, step);
        }
    }

    /// No successor is wanted any more; one that is on its way leaves.
    pub(in crate::lifecycle) fn call_off(&mut self, step: &mut Step<'_>) {
        (self.relay.wish, self.relay.shift) = (None, None);
        self.dismiss_successor(step);
    }

    /// No successor is wanted for now; one that is on its way leaves.
    pub(in crate::lifecycle) fn dismiss_successor(&mut self, step: &mut Step<'_>) {
        if let Some(Beside { worker, role }) = &mut self.relay.beside
            && *role == Role::Successor
        {
            // Successor => Leaver
            *role = Role::Leaver(None);
            worker.leave(step);
        }
    }

    /// Who stood beside the sitter is gone. `None` when nobody of this serial stands there; false when that cannot be.
    pub(in crate::lifecycle) fn part(&mut self, serial: Serial, end: &End, step: &mut Step<'_>) -> Option<bool> {
        let beside = self.relay.beside.as_ref().filter(|beside| beside.worker.serial == serial)?;
        let (role, backoff) = (beside.role, beside.worker.plan.restart.backoff);
        let Some(failure) = beside.worker.ended(end, step.now) else { return Some(false) };
        // (Successor | Leaver) => (Wished | none)
        self.relay.beside = None;
        if role == Role::Successor {
            self.postpone(&failure, &backoff, step);
        }
        Some(true)
    }

    /// Acts on what is due of the relay.
    pub(super) fn wake_relay(&mut self, step: &mut Step<'_>) {
        if self.expiry().is_some_and(|at| step.is_due(at)) {
            self.wish(RecycleReason::MaxAge, step.now);
        }
        let late = self.relay.beside.as_mut().and_then(|beside| beside.worker.wake(step));
        if let Some(failure) = late {
            self.give_up_successor(&failure, step);
        }
        if let Some(wish) = &mut self.relay.wish {
            wish.until.take_if(|until| step.is_due(*until));
        }
    }

    pub(super) fn relay_deadline(&self) -> Option<Instant> {
        let until = self.relay.wish.as_ref().and_then(|wish| wish.until);
        let beside = self.relay.beside.as_ref().and_then(|beside| beside.worker.state.deadline());
        until.into_iter().chain(beside).chain(self.expiry()).min()
    }

    pub(in crate::lifecycle) fn report_beside(&self) -> Option<WorkerReport> {
        self.relay.beside.as_ref().map(|beside| WorkerReport::without_seat(&beside.worker))
    }

    /// Has its worker come to serve, and not been asked to leave?
    pub(in crate::lifecycle) fn is_in_service(&self) -> bool {
        self.worker().is_some_and(|sitter| sitter.state.is_in_service())
    }

    /// When the sitter will have lived for long enough, if nobody wishes for another one yet.
    fn expiry(&self) -> Option<Instant> {
        self.worker().filter(|sitter| sitter.state.is_in_service() && self.relay.wish.is_none())?.term.expires
    }

    fn give_up_successor(&mut self, failure: &Failure, step: &mut Step<'_>) {
        if let Some(beside) = &mut self.relay.beside {
            // Successor => Leaver
            beside.role = Role::Leaver(None);
            let backoff = beside.worker.plan.restart.backoff;
            self.postpone(failure, &backoff, step);
        }
    }

    /// A successor has failed: the sitter serves on, and the next one is tried after a while, behind all other wishes.
    fn postpone(&mut self, failure: &Failure, backoff: &Backoff, step: &mut Step<'_>) {
        self.note(failure);
        if let Some(wish) = &mut self.relay.wish {
            let pause = backoff.delay(wish.failures, step.todo.roll());
            let until = step.after(pause);
            *wish = Wish { reason: wish.reason, since: until, until: Some(until), failures: wish.failures + 1 };
        }
    }
}
