//! What follows for a generation when one of its workers says something of itself.
//!
//! A word that concerns the worker alone is handed on. Who leaves by its own will makes room at once where another one is
//! wanted whatever its exit code will be, and may run beside it; else its slot waits for the code.

use super::Generation;
use crate::id::Serial;
use crate::lifecycle::circuit::Mode;
use crate::lifecycle::place::relay::Role;
use crate::lifecycle::todo::Step;
use crate::lifecycle::worker::Worker;
use crate::lifecycle::{RecycleReason, Word};

impl Generation {
    /// One of its workers says something; false when there is none of this serial.
    pub(in crate::lifecycle) fn told(&mut self, serial: Serial, word: &Word, step: &mut Step<'_>) -> bool {
        let Some(index) = self.places.iter().position(|place| place.holds(serial)) else { return false };
        match word {
            Word::Leaves => self.take_leave(index, serial, step),
            Word::Hopeless(why) => self.despair(index, serial, why, step),
            word => {
                let mut workers = self.places[index].workers_mut();
                workers
                    .by_ref()
                    .find(|worker| worker.serial == serial)
                    .into_iter()
                    .for_each(|one| one.told(word, step));
            }
        }
        true
    }

    /// In a crash loop nobody gets a successor, and who has fallen silent would wait for one for ever: it goes at once, as one
    /// that was tried and has failed.
    pub(in crate::lifecycle) fn dismiss_silent(&mut self, step: &mut Step<'_>) {
        if !(self.is_live() || self.is_yielding()) || self.circuit.is_closed() {
            return;
        }
        for index in 0..self.places.len() {
            let is_free = self.places[index].relay.beside.as_ref().is_none_or(|beside| beside.role == Role::Successor);
            let Some(sitter) = self.places[index].worker_mut().filter(|sitter| is_free && sitter.is_given_up()) else {
                continue;
            };
            if self.plan.overlaps {
                sitter.leave(step);
                self.make_way(index, Some(RecycleReason::Watchdog), step);
            } else {
                self.places[index].wish(RecycleReason::Watchdog, step.now);
                self.places[index].send_away(step);
            }
        }
    }

    fn sitter(&mut self, index: usize, serial: Serial) -> Option<&mut Worker> {
        self.places[index].worker_mut().filter(|sitter| sitter.serial == serial)
    }

    fn take_leave(&mut self, index: usize, serial: Serial, step: &mut Step<'_>) {
        if !self.sitter(index, serial).is_some_and(|sitter| sitter.bid_farewell(step)) {
            return self.despair(index, serial, "it says that it stops", step);
        }
        if self.is_live() && !self.is_resting() && self.plan.overlaps && self.plan.restart.is_unconditional() {
            self.make_way(index, None, step);
        }
    }

    /// Who sits there is on its way out: the slot is free for somebody else, unless another one is on its way out there.
    fn make_way(&mut self, index: usize, reason: Option<RecycleReason>, step: &mut Step<'_>) {
        let restart = self.plan.restart;
        let Some(departure) = self.places[index].stand_up(reason, step) else { return };
        self.circuit.put_off(&restart, step.now);
        let place = &mut self.places[index];
        match self.circuit.mode {
            _ if !place.is_empty() => {}
            Mode::Closed => place.retry(&departure, &restart, step),
            Mode::Looping { .. } => place.park(&departure, step.now),
            Mode::GivenUp => {}
        }
    }

    fn despair(&mut self, index: usize, serial: Serial, why: &str, step: &mut Step<'_>) {
        match self.sitter(index, serial) {
            Some(sitter) => {
                if let Some(failure) = sitter.despair(why, step) {
                    self.late(index, failure, step);
                }
            }
            None => self.places[index].despair_of_successor(why, step),
        }
    }
}
