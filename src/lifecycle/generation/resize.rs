//! The size of a generation, and how it comes to another one: new slots are filled, surplus ones emptied in turn.
//!
//! Slots from the wanted number on are surplus, but for those that stand in for one whose worker has ended for good; the
//! highest goes first. Invariants: a worker that serves is let go only
//! when the wanted number serves without it, and no more at a time than there are permits; a slot is removed only when
//! nobody is left in it, and what was counted in it is kept.
//!
//! ```text
//!          resize down            out of service, or enough others serve and a permit
//!   Kept ──────────────► Surplus ─────────────────────────────────────────────────────► Let go ── gone ─► (removed)
//!     ▲                     │                                                              │
//!     └───── resize up ─────┘◄──── resize up: its worker goes all the same, another one comes ──────┘
//! ```

use std::time::Instant;

use super::{Generation, Mode, Place};
use crate::lifecycle::liveness::Gate;
use crate::lifecycle::recycle::{self, Recycles};
use crate::lifecycle::report::Restarts;
use crate::lifecycle::state::State;
use crate::lifecycle::todo::Step;
use crate::lifecycle::{Plan, Size};

/// What was counted in slots that are removed.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::lifecycle) struct Removed {
    pub(in crate::lifecycle) restarts: Restarts,
    pub(in crate::lifecycle) recycles: Recycles,
}

impl Plan {
    /// The number of slots that it wants.
    pub(in crate::lifecycle) fn size(&self) -> usize {
        self.workers.max(1) as usize
    }
}

impl Generation {
    /// Slots that are kept: as many as are wanted, and others in the place of those whose workers have ended for good.
    pub(in crate::lifecycle) fn kept(&self) -> usize {
        let size = self.plan.size();
        let counts = |place: &Place| !place.is_empty() && (place.slot() < size || !place.is_let_go());
        let mut left = size;
        let last = self.places.iter().position(|place| {
            left -= usize::from(counts(place));
            left == 0
        });
        last.map_or(self.places.len(), |last| last + 1)
    }

    /// Is nobody there any more, and nobody to come?
    pub(in crate::lifecycle) fn is_spent(&self) -> bool {
        self.places[..self.kept()].iter().all(Place::is_empty) && !self.places.iter().any(Place::is_in_service)
    }

    /// Wants another number of workers from now on; no change if it is leaving.
    pub(in crate::lifecycle) fn resize(&mut self, size: Size, step: &mut Step<'_>) {
        let before = self.plan.size();
        self.plan.workers = size.workers;
        self.plan.restart.intensity = size.intensity;
        for slot in before..self.plan.size() {
            if slot == self.places.len() {
                self.places.push(self.places[0].sibling(slot, step.now));
            }
            if !self.places[slot].is_taken() {
                self.fill(slot, step.now);
            }
        }
        self.clear_surplus(step);
    }

    /// Lets go of the surplus worker that may go now, if there is one.
    pub(in crate::lifecycle) fn let_go(&mut self, step: &mut Step<'_>) -> bool {
        if !self.is_live() && !self.is_coming() {
            return false;
        }
        self.clear_surplus(step);
        let permits = recycle::permits(self.places.len()).saturating_sub(self.changing());
        let (wanted, serving) = (self.plan.size(), self.serving());
        let open = self.workers().filter(|worker| worker.state.is_open()).count();
        let may_go = |place: &&mut Place| match place.worker().map(|sitter| sitter.state) {
            Some(State::Serving) => serving > wanted,
            Some(State::Unready { .. }) => open > wanted,
            _ => false,
        };
        let kept = self.kept();
        let highest = self.places[kept..].iter_mut().rev().find(may_go).filter(|_| permits > 0);
        highest.map(|place| place.leave(step)).is_some()
    }

    /// Slots in which a planned change is under way. Nobody waits for a process that cannot be killed.
    pub(in crate::lifecycle) fn changing(&self) -> usize {
        let is_going =
            |place: &Place| place.is_let_go() && place.worker().is_some_and(|sitter| sitter.state != State::Unkillable);
        self.places.iter().filter(|place| place.is_changing() || is_going(place)).count()
    }

    /// Whoever was let go of is gone; should the slot be wanted again by now, another one comes.
    pub(super) fn vacated(&mut self, slot: usize, now: Instant) {
        if slot < self.plan.size() {
            self.fill(slot, now);
        }
    }

    /// A worker is to come to this slot, as soon as that may be.
    pub(super) fn fill(&mut self, slot: usize, now: Instant) {
        let place = &mut self.places[slot];
        place.await_first(now);
        match self.circuit.mode {
            Mode::Closed => {}
            Mode::Looping { .. } => place.suspend(now),
            Mode::GivenUp => place.give_up(now),
        }
        if self.is_resting() {
            self.places[slot].suspend(now);
        }
    }

    /// Nobody comes to a surplus slot; who is there and gets no requests goes at once. Empty ones are removed.
    fn clear_surplus(&mut self, step: &mut Step<'_>) {
        let (size, kept) = (self.plan.size(), self.kept());
        for place in &mut self.places[kept..] {
            let state = place.worker().map(|sitter| sitter.state);
            match state {
                Some(State::Serving | State::Unready { gate: Gate::Open, .. }) => place.dismiss_successor(step),
                _ => place.leave(step),
            }
        }
        while let Some(place) = self.places.pop_if(|place| place.is_vacant() && place.slot() >= size) {
            self.removed.restarts = self.removed.restarts.plus(place.restarts);
            self.removed.recycles = self.removed.recycles.plus(place.relay.recycles);
        }
    }
}
