//! What keeps a bad build from hurting: a new generation is on trial for a while, and the one before it stays at hand.
//!
//! The generation that was replaced is retained: it gets no requests and its workers run on. If the one on trial turns
//! out bad, they serve again from the very next version on. Decides by what it sees of workers; what their answers are
//! worth is judged elsewhere and comes in as [`Event::Condemn`](super::Event::Condemn). Invariants: at most one generation
//! is retained, and only beside a live one; whoever is on trial is rolled back at the first sign, and only on trial.

use std::time::Duration;

use super::app::{App, refusal};
use super::generation::{Generation, Stage};
use super::todo::Step;
use super::{Action, Outcome, Ticket};
use crate::id::Generation as Number;

/// How long a generation that has taken over is watched, and the one before it kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// From the moment in which all proxies send requests to it.
    pub bake: Duration,
    /// The same; not less than the bake. Zero: whoever is replaced leaves at once.
    pub retain: Duration,
    /// Before it takes over, only a few are given to it; `None`: it takes over as soon as it can.
    pub canary: Option<Canary>,
}

/// A generation that serves a few before it takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Of all clients, in ten thousandths.
    pub share: u32,
    /// So long it has to do well, from the moment in which all proxies send it its share.
    pub bake: Duration,
}

/// Why somebody goes back.
const ASKED_FOR: &str = "it was asked for";

/// Why nobody is rolled back to.
const NOBODY: &str = "no earlier generation is kept";

impl App {
    /// Goes back, because somebody wants to; answered by one [`Action::Finish`].
    pub(super) fn go_back(&mut self, ticket: Ticket, step: &mut Step<'_>) -> bool {
        if let Some(canary) = self.generations.iter_mut().find(|one| one.is_canary()) {
            canary.fail(ASKED_FOR.to_owned(), None, step);
            self.generations.iter_mut().filter(|one| one.is_live()).for_each(|live| live.stand(ticket, step));
            return true;
        }
        self.coming().for_each(|newer| newer.give_way(Outcome::Superseded, step));
        if !self.roll_back(ASKED_FOR, Some(ticket), step) {
            let outcome = refusal(self.fresh_number(), NOBODY);
            step.push(Action::Finish { ticket, outcome });
        }
        true
    }

    /// The answers of this generation are bad: if it is on trial, it has failed.
    pub(super) fn condemn(&mut self, number: Number, reason: &str, step: &mut Step<'_>) -> bool {
        let is_watched = |one: &Generation| one.is_canary() || (one.is_rolling() && !one.plan.trial.bake.is_zero());
        if let Some(coming) = self.coming().find(|one| one.number == number) {
            let is_watched = is_watched(coming);
            if is_watched {
                coming.fail(reason.to_owned(), None, step);
            }
            return is_watched;
        }
        let is_on_trial = |one: &Generation| one.number == number && one.is_on_trial();
        self.generations.iter().any(is_on_trial) && self.roll_back(reason, None, step)
    }

    /// Lets go of the generation that is kept; false when there is none.
    pub(super) fn discard(&mut self, step: &mut Step<'_>) -> bool {
        let retained = self.generations.iter_mut().find(|one| one.is_retained());
        retained.map(|one| one.dismiss(Outcome::Superseded, step)).is_some()
    }

    /// Draws the conclusions for whoever is on trial, and for whoever is kept because of it.
    pub(super) fn judge_trial(&mut self, step: &mut Step<'_>) {
        let fault = self.generations.iter().filter(|one| one.is_on_trial()).find_map(Generation::fault);
        if let Some(fault) = fault {
            self.roll_back(fault, None, step);
        }
        for canary in self.coming().filter(|one| one.is_canary()) {
            if let Some(fault) = canary.fault() {
                canary.fail(fault.to_owned(), None, step);
            }
        }
        let could_go_back = self.fallback().is_some();
        if !could_go_back {
            self.discard(step);
        }
        let Some(live) = self.generations.iter_mut().find(|one| one.is_live()) else { return };
        live.end_bake(could_go_back, step);
        if live.stage == Stage::Live {
            let rest = live.plan.trial.retain.saturating_sub(live.plan.trial.bake);
            self.generations.iter_mut().for_each(|one| one.keep_for(rest, step));
        }
    }

    /// Swaps the generation that serves for the one that is kept; false when there is none with a worker.
    fn roll_back(&mut self, reason: &str, ticket: Option<Ticket>, step: &mut Step<'_>) -> bool {
        let Some(index) = self.fallback() else { return false };
        let to = self.generations[index].number;
        for bad in self.generations.iter_mut().filter(|one| one.is_live()) {
            let (generation, reason) = (bad.number, reason.to_owned());
            step.push(Action::RolledBack { generation, to, reason: reason.clone() });
            bad.dismiss(Outcome::RolledBack { generation, to, reason, worker: None }, step);
        }
        // Whoever comes is to take over from this one now.
        self.coming().for_each(|one| one.base = one.base.min(to));
        self.generations[index].reinstate(ticket, step);
        true
    }

    fn fallback(&self) -> Option<usize> {
        self.generations.iter().position(Generation::could_serve_again)
    }
}
