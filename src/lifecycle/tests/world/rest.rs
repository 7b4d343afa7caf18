//! When a world is at rest: who serves is who may, and nothing is under way.
//!
//! Looks at the app and at the processes, and not at how they came to be so.

use super::World;
use crate::lifecycle::App;
use crate::lifecycle::circuit::Mode;
use crate::lifecycle::generation::Generation;
use crate::lifecycle::place::Place;

impl World {
    /// Everybody serves who may, or nobody is wanted; nothing is under way.
    pub(in crate::lifecycle::tests) fn is_at_rest(&self) -> bool {
        let all_serve = match self.app.generations.as_slice() {
            [] => !self.app.is_wanted(),
            [_, _] => is_divided(&self.app),
            [live] if live.is_asleep() => self.app.is_wanted() && !self.is_asked && !is_recycling(live),
            [live] => {
                let all_serve = live.serving() + empty(live) == live.places.len();
                let has_size = live.places.len() == live.plan.size() || live.serving() <= live.plan.size();
                self.app.is_wanted() && all_serve && has_size && !is_looping(live) && !is_recycling(live)
            }
            _ => false,
        };
        let serving: usize = self.app.generations.iter().map(Generation::serving).sum();
        all_serve && self.sets.len() == 1 && self.processes.len() == serving && self.tickets.is_empty()
    }
}

/// Slots without a worker, and without one to come.
pub(super) fn empty(generation: &Generation) -> usize {
    generation.places.iter().filter(|place| place.is_empty()).count()
}

/// Where nobody is started any more, those serve on who were to be replaced.
pub(in crate::lifecycle::tests) fn is_divided(app: &App) -> bool {
    let is_over = |one: &Generation| one.is_live() && (one.circuit.mode == Mode::GivenUp || one.is_spent());
    matches!(app.generations.as_slice(), [one, other] if one.is_yielding() && is_over(other) || other.is_yielding() && is_over(one))
}

/// Is somebody to be replaced as planned? Where all was given up, nobody is.
fn is_recycling(generation: &Generation) -> bool {
    let is_hopeful = generation.circuit.mode != Mode::GivenUp;
    let is_to_come = |place: &Place| is_hopeful && (place.relay.wish.is_some() || place.relay.shift.is_some());
    generation.places[..generation.kept()].iter().any(is_to_come)
        || generation.places.iter().any(|place| place.relay.beside.is_some())
}

/// Is it in a crash loop, with somebody left to be tried?
pub(super) fn is_looping(generation: &Generation) -> bool {
    matches!(generation.circuit.mode, Mode::Looping { .. }) && empty(generation) < generation.places.len()
}
