//! A new generation takes over in steps where there is no room for all of it beside the old one.
//!
//! Decides how many processes there may be, and who makes way for whom. A generation that fails on its way gives back what it
//! has taken, in steps as well, and the live one fills its places again. Invariants: no more processes are started than are
//! wanted and the rollout allows besides, counted from the generation that was live when the new one was declared, whatever
//! becomes of them; nobody who serves is sent away while too few others do.
//!
//! ```text
//!   surge > 0:  start beside the old ones ─ ready ─► serve, and as many old ones go ─ they are gone ─► start the next
//!   surge = 0:  an old one goes ─ it is gone ─► start in its place ─ ready ─► serve, and the next old one goes
//! ```

use super::app::App;
use super::circuit::Mode;
use super::generation::{Generation, Stage};
use super::place::Place;
use super::rollout::Rollout;
use super::state::State;
use super::todo::Step;
use super::worker::Worker;
use super::{Outcome, Plan};

impl App {
    /// Memory is short, or is not any more: as long as it is, nobody is started beside those who are there.
    pub(super) fn note_pressure(&mut self, is_short: bool) -> bool {
        let is_news = self.is_pressed != is_short;
        self.is_pressed = is_short;
        for generation in self.generations.iter_mut().filter(|one| is_short && (one.is_staging() || one.is_canary())) {
            let size = generation.plan.size();
            if size > 1 && !generation.plan.rollout.is_stepwise() {
                // What was to come at once goes on in steps, with those who are ready.
                generation.plan.rollout = Rollout { surge: generation.plan.workers - 1, unavailable: 0 };
            }
        }
        is_news
    }

    /// Lets those serve whose generation takes over in steps; whoever has given back all that it had taken, goes.
    pub(super) fn begin_to_roll(&mut self, step: &mut Step<'_>) {
        let somebody_serves = self.somebody_serves();
        for generation in self.generations.iter_mut().filter(|_| somebody_serves) {
            generation.begin_to_roll(step);
        }
        self.roll_forward(step);
        // Yielding => Draining
        let is_restored = self.generations.iter().any(|one| one.is_live() && one.is_whole());
        let yielding = self.generations.iter_mut().filter(|one| is_restored && one.is_yielding());
        yielding.for_each(|generation| generation.dismiss(Outcome::Superseded, step));
    }

    /// Where the live one has nobody left to come, there is no way back: whoever was to make way for it takes over after all.
    fn roll_forward(&mut self, step: &mut Step<'_>) {
        let is_over = |one: &Generation| one.is_live() && (one.is_spent() || one.circuit.mode == Mode::GivenUp);
        let could_serve = |one: &Generation| one.is_yielding() && one.circuit.is_closed() && one.is_routed();
        let index = |is_it: &dyn Fn(&Generation) -> bool| self.generations.iter().position(is_it);
        if let (Some(old), Some(new)) = (index(&is_over), index(&could_serve)) {
            let rollout = self.generations[new].plan.rollout;
            self.generations[new].stay(step.now);
            self.generations[old].make_way_for_good(rollout, step);
        }
    }

    /// Has this generation taken over, all of it, or from nobody who serves or could again? So has one that was to have a few, once
    /// nobody serves the others.
    pub(super) fn has_rolled(&self, generation: &Generation) -> bool {
        let is_hopeless = |one: &Generation| one.is_live() && !one.circuit.is_closed() && !one.is_routed();
        // Whoever is to give back what an earlier reload had taken serves until there are others.
        let serves = |one: &Generation| one.is_yielding() && one.is_routed();
        let is_alone = self.generations.iter().any(is_hopeless) && !self.generations.iter().any(serves);
        let is_lost = || !self.generations.iter().any(|one| (one.is_live() || one.is_yielding()) && one.is_routed());
        generation.is_rolling() && (generation.is_whole() || is_alone) || generation.is_canary() && is_lost()
    }

    /// Processes that this generation may start now.
    pub(super) fn room(&self, index: usize) -> usize {
        self.room_beside(index).min(self.room_after(index))
    }

    /// The same as far as a generation is on its way, or has failed on it.
    pub(super) fn room_beside(&self, index: usize) -> usize {
        let generation = &self.generations[index];
        if generation.is_live() && self.generations.iter().any(Generation::is_rolling) {
            return 0;
        }
        if generation.is_coming() && !generation.is_stepwise() {
            return usize::MAX;
        }
        // Of several the newest knows best how much memory there is.
        let newest = self.generations.iter().rev().find(|one| one.is_stepwise());
        newest.map_or(usize::MAX, |one| self.most(one).saturating_sub(self.processes(one, usize::MAX)))
    }

    /// The same for one that has taken over in steps, while some are left that it has taken over from.
    fn room_after(&self, index: usize) -> usize {
        let live = &self.generations[index];
        let is_after = live.is_live() && live.plan.rollout.is_stepwise();
        let earlier = self.generations[..index].iter().filter(|one| one.number >= live.base);
        if is_after && earlier.flat_map(Generation::workers).any(counts) {
            self.most(live).saturating_sub(self.processes(live, index))
        } else {
            usize::MAX
        }
    }

    /// The most processes that there may be while this generation is on its way.
    fn most(&self, generation: &Generation) -> usize {
        let rollout = generation.plan.rollout;
        let others = self.generations.iter().filter(|one| one.number == generation.base || one.is_live());
        let sizes = || others.clone().chain([generation]).map(|one| one.plan.size());
        // It was one of several when an old one was to go first, and now it is the last, which may not.
        let is_last = sizes().min() == Some(1) && rollout.surge == 0 && !rollout.holds();
        let surge = if self.is_pressed { 0 } else { rollout.surge.max(is_last.into()) as usize };
        sizes().max().unwrap_or(0) + surge
    }

    /// Those of the generations from the one that this one came beside, up to the one at `last`.
    fn processes(&self, generation: &Generation, last: usize) -> usize {
        let since = self.generations.iter().take(last.saturating_add(1)).filter(|one| one.number >= generation.base);
        since.flat_map(Generation::workers).filter(|worker| counts(worker)).count()
    }

    /// Sends one worker away that has to make way; false if there is none.
    pub(super) fn make_way(&mut self, step: &mut Step<'_>) -> bool {
        let Some((winner, rollout)) = self.winner() else { return false };
        let is_staging = self.generations[winner].is_staging();
        if is_staging && !self.needs_a_place(winner) {
            return false;
        }
        let live = self.generations.iter().find(|one| one.is_live());
        let size = live.map_or(0, |live| live.plan.size()).min(self.generations[winner].plan.size());
        // Those that a few are sent to are nobody else's.
        let others = self.generations.iter().filter(|one| !one.is_canary());
        let open = others.flat_map(Generation::workers).filter(|one| one.state.is_open()).count();
        let may_serve = open > rollout.floor(size);
        // Those first who are to go in any case.
        let mut others: Vec<_> =
            self.generations.iter_mut().enumerate().filter(|(index, _)| *index != winner).collect();
        others.sort_by_key(|(_, one)| !one.is_yielding());
        let mut others = others.into_iter().map(|(_, one)| one).filter(|one| one.is_yielding() || one.is_live());
        let has_gone = others.any(|one| one.send_one_away(may_serve, step));
        // Where there is no room for the successor of one that is not well, it does not wait for it.
        let has_gone = has_gone || self.is_wedged(winner) && self.generations[winner].send_unwell_away(step);
        if has_gone {
            self.generations[winner].note_progress(step.now);
        }
        has_gone
    }

    /// Is there no room for anybody, and nobody on the way, in or out, after whom there may be?
    fn is_wedged(&self, index: usize) -> bool {
        let generation = &self.generations[index];
        let moves = |worker: &Worker| counts(worker) && (worker.state.is_starting() || worker.state.is_leaving());
        let is_full = generation.is_live() && generation.circuit.is_closed() && self.room_beside(index) == 0;
        is_full && !self.generations.iter().flat_map(Generation::workers).any(moves)
    }

    /// For whom the others make way, and by which rollout.
    fn winner(&self) -> Option<(usize, Rollout)> {
        let index = |is_it: &dyn Fn(&Generation) -> bool| self.generations.iter().position(is_it);
        if let Some(coming) = index(&|one| one.is_coming() && one.is_stepwise()) {
            // Until somebody says that it may take over, all stay as they are.
            let waits = matches!(self.generations[coming].stage, Stage::Verified { .. } | Stage::Canary { .. });
            return Some((coming, self.generations[coming].plan.rollout)).filter(|_| !waits);
        }
        let yielding = self.generations.iter().rev().find(|one| one.is_yielding())?;
        Some((index(&Generation::is_live)?, yielding.plan.rollout))
    }

    /// Is there no room for its first worker, and nobody on the way out who will make some?
    fn needs_a_place(&self, index: usize) -> bool {
        let generation = &self.generations[index];
        let since = self.generations.iter().filter(|one| one.number >= generation.base);
        let leaves = since.flat_map(Generation::workers).any(|one| counts(one) && one.state.is_leaving());
        let is_stuck = generation.places.first().is_some_and(Place::is_waiting) && self.room(index) == 0;
        is_stuck && !leaves && generation.plan.rollout.surge == 0
    }
}

/// Nobody waits for a process that cannot be killed.
fn counts(worker: &Worker) -> bool {
    worker.state != State::Unkillable
}

impl Plan {
    /// Does a generation with this plan take over in steps?
    pub(super) fn is_stepwise(&self) -> bool {
        self.rollout.of(self.size()).is_stepwise()
    }
}
