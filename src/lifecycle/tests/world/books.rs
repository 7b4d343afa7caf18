//! The world's own account of restarts: who may come back, how many ends count, how many are tried in a crash loop.
//!
//! Kept from events and plans alone, and held against what the app makes of them. What is late or leaving was ended by
//! us: that is the one thing that the app is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::World;
use crate::id::{Generation, Serial, WorkerId};
use crate::lifecycle::circuit::Mode;
use crate::lifecycle::generation::Generation as Generated;
use crate::lifecycle::place::Place;
use crate::lifecycle::state::State;
use crate::lifecycle::worker::Worker;
use crate::lifecycle::{Event, OnLoop, Plan, Policy};

#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    /// Slots that have had a worker.
    seated: BTreeSet<WorkerId>,
    /// Slots of a live generation that are to stay empty.
    over: BTreeSet<WorkerId>,
    /// Those whose worker has made way for the next one.
    vacated: BTreeSet<WorkerId>,
    /// Unexpected ends in each live generation since it last was out of trouble.
    ends: BTreeMap<Generation, Vec<Instant>>,
    /// How each generation was before this step.
    modes: BTreeMap<Generation, Mode>,
}

impl Books {
    /// What became of the slots from this one on is of no interest any more.
    pub(super) fn renew(&mut self, number: Generation, first: usize) {
        self.over.retain(|id| id.generation != number || (id.slot.0 as usize) < first);
        self.seated.retain(|id| id.generation != number || (id.slot.0 as usize) < first);
    }
}

impl World {
    fn generation(&self, number: Generation) -> Option<&Generated> {
        self.app.generations.iter().find(|generation| generation.number == number)
    }

    /// A process is about to be reported as gone: what must follow?
    pub(super) fn note_end(&mut self, event: &Event) {
        let (serial, code) = match event {
            Event::Exited { serial, code, .. } => (*serial, *code),
            Event::SpawnFailed { serial, .. } => (*serial, None),
            _ => return,
        };
        let others = self.app.generations.iter().filter(|one| one.is_coming() || one.is_yielding());
        // Should its generation come to be the live one, its slot is as new.
        let other = others.flat_map(Generated::workers).find(|worker| worker.serial == serial);
        self.books.vacated.extend(other.map(|worker| worker.id.clone()));
        let Some((id, plan, [is_late, leaves])) = self.live_worker(serial) else { return };
        if self.making_way.remove(&serial) {
            self.books.vacated.insert(id);
            return;
        }
        if !is_late && !leaves && self.state(serial).is_some_and(State::is_leaving) {
            // It was surplus or made way, and was asked to end.
            self.books.vacated.insert(id);
            return;
        }
        let restart = &plan.restart;
        // That a late worker ends is our doing, and says nothing about what the operator wants of those that end.
        let code = code.filter(|_| !is_late);
        let is_done = match restart.policy {
            Policy::Never => true,
            Policy::OnFailure => code == Some(0) || code.is_some_and(|code| restart.stop_codes.contains(code)),
            Policy::Always => code.is_some_and(|code| restart.stop_codes.contains(code)),
        };
        // Whoever gets no requests is not missed.
        let is_at_rest = self.generation(id.generation).is_some_and(Generated::is_resting);
        if is_done {
            self.books.over.insert(id);
        } else if !is_late && !leaves && !is_at_rest {
            self.books.ends.entry(id.generation).or_default().push(self.now);
        }
    }

    /// Whoever comes to this slot next is no restart.
    pub(super) fn note_vacated(&mut self, slot: WorkerId) {
        self.books.vacated.insert(slot);
    }

    /// A worker of a live generation, with its plan; whether it was given up, and whether it leaves by its own will.
    fn live_worker(&self, serial: Serial) -> Option<(WorkerId, Plan, [bool; 2])> {
        let live = self.app.generations.iter().find(|generation| generation.is_live())?;
        let sitters = live.places.iter().filter_map(Place::worker);
        let worker = sitters.into_iter().find(|worker| worker.serial == serial)?;
        let leaves = worker.said.farewell.is_some();
        Some((worker.id.clone(), live.plan, [worker.lateness().is_some(), leaves]))
    }

    /// A process is started: for an empty slot, or to replace who is there.
    pub(super) fn enter(&mut self, id: &WorkerId, replaces: bool) {
        let generation = self.generation(id.generation);
        let policy = generation.map(|generation| generation.plan.restart.policy);
        let is_first = self.books.seated.insert(id.clone()) | self.books.vacated.remove(id);
        self.require(is_first || replaces || policy != Some(Policy::Never), "a restart that nobody wants");
        self.require(!self.books.over.contains(id), "a worker comes back that had ended as it may");
        let is_given_up = self.generation(id.generation).is_some_and(|one| one.circuit.mode == Mode::GivenUp);
        self.require(!is_given_up, "a start after all was given up");
    }

    pub(super) fn is_in_loop(&self, number: Generation) -> bool {
        self.generation(number).is_some_and(super::rest::is_looping)
    }

    /// Holds the app against the books.
    pub(super) fn audit(&mut self) {
        let live: Vec<_> = self.app.generations.iter().filter(|one| one.is_live()).collect();
        for generation in &live {
            self.audit_intensity(generation);
            self.audit_trials(generation);
            self.audit_places(generation);
        }
        let modes = live.iter().map(|generation| (generation.number, generation.circuit.mode)).collect();
        self.turn_page(modes);
    }

    /// Was it in a crash loop before this step?
    pub(super) fn had_looped(&self, generation: &Generated) -> bool {
        self.books.modes.get(&generation.number).is_some_and(|mode| *mode != Mode::Closed)
    }

    /// A crash loop begins with the first end too many, and not otherwise.
    fn audit_intensity(&self, generation: &Generated) {
        let restart = &generation.plan.restart;
        let before = self.books.modes.get(&generation.number).copied().unwrap_or(Mode::Closed);
        let ends = self.books.ends.get(&generation.number).into_iter().flatten();
        let recent = ends.filter(|end| **end + restart.period > self.now).count();
        let is_too_many = recent > restart.intensity as usize;
        let fits = match (before, generation.circuit.mode) {
            (Mode::Closed, Mode::Closed) => !is_too_many,
            (Mode::Closed, Mode::Looping { since, .. }) => {
                is_too_many && since == self.now && restart.on_loop != OnLoop::GiveUp
            }
            (Mode::Closed, Mode::GivenUp) => is_too_many && restart.on_loop == OnLoop::GiveUp,
            (Mode::Looping { since, .. }, Mode::Closed) => {
                let served = |one: &Worker| self.now >= one.since.max(since) + restart.backoff.reset;
                // Whoever has ended the loop may be the first to go after it, for whatever reason.
                let leaves = |one: &Worker| one.since == self.now && one.state.is_leaving();
                generation.workers().any(|one| (one.state == State::Serving && served(one)) || leaves(one))
            }
            (Mode::Looping { since, .. }, Mode::Looping { since: still, .. }) => since == still,
            (before, after) => before == after,
        };
        self.require(fits, "the intensity is counted exactly");
    }

    fn audit_trials(&self, generation: &Generated) {
        let is_tried = |serial: &Serial| {
            self.state(*serial)
                .is_some_and(|state| state.is_starting() || state == State::Ready || state.is_in_service())
        };
        let ours = self.processes.iter().filter(|(_, process)| process.worker.generation == generation.number);
        let trials = ours.filter(|(serial, process)| process.is_trial && is_tried(serial)).count();
        self.require(trials <= 1, "one worker is tried at a time");
        let is_down = super::rest::is_looping(generation) || generation.circuit.mode == Mode::GivenUp;
        self.require(!(is_down && self.app.is_expected()), "nothing is to be expected in a crash loop");
    }

    /// A place stays empty exactly when its worker may end, or all was given up.
    fn audit_places(&self, generation: &Generated) {
        for place in &generation.places[..generation.plan.size()] {
            let id = &place.report().worker;
            let is_over = self.books.over.contains(id);
            let given_up = generation.circuit.mode == Mode::GivenUp;
            self.require(is_over == place.is_empty() || (given_up && !is_over), "a place is filled as the policy says");
        }
    }

    fn turn_page(&mut self, modes: BTreeMap<Generation, Mode>) {
        for (number, mode) in &modes {
            let was_closed = self.books.modes.get(number).is_none_or(|before| *before == Mode::Closed);
            if !was_closed && *mode == Mode::Closed {
                let ours = self.processes.values_mut().filter(|process| process.worker.generation == *number);
                ours.for_each(|process| process.is_trial = false);
            }
            if *mode != Mode::Closed {
                self.books.ends.remove(number);
            }
        }
        self.books.modes = modes;
    }
}
