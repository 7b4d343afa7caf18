//! The world's own account of reloads that go in steps: how many processes there may be, and how few that serve.

use super::World;
use crate::id::{Generation as Number, Serial};
use crate::lifecycle::generation::{Generation, Stage};
use crate::lifecycle::place::Place;
use crate::lifecycle::state::State;
use crate::lifecycle::{EndpointView, Event, Rollout};

/// What is known of a generation that came of a reload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roll {
    /// Which was live then.
    pub(super) base: Number,
    pub(super) rollout: Rollout,
}

impl World {
    /// A reload is about to be asked for.
    pub(super) fn note_roll(&mut self, number: Number) {
        let base = self.app.generations.iter().find(|one| one.is_live()).map_or(number, |live| live.number);
        let Rollout { surge, .. } = self.plan.rollout;
        let rollout = if surge >= self.plan.workers.max(1) { Rollout::AT_ONCE } else { self.plan.rollout };
        self.rolls.insert(number, Roll { base, rollout });
    }

    /// Programs wait for memory, or do not any more.
    pub(super) fn squeeze(&mut self, is_short: bool) -> Event {
        self.is_pressed = is_short;
        if is_short {
            self.mischief.squeezes = self.mischief.squeezes.saturating_sub(1);
            self.note_pressure();
        }
        Event::Pressure { is_short }
    }

    /// Somebody says whether a generation may take over.
    pub(super) fn answer_whether(&mut self, generation: Number, may: bool) -> Event {
        self.asked.remove(&generation);
        Event::Cleared { generation, outcome: if may { Ok(()) } else { Err("it may not".to_owned()) } }
    }

    /// Those who wait for an answer, and have not been given up.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = Number> {
        let is_staging =
            |number: &Number| self.app.generations.iter().any(|one| one.number == *number && one.is_staging());
        self.asked.iter().copied().filter(move |number| is_staging(number))
    }

    pub(super) fn note_asked(&mut self, generation: Number) {
        let is_first = self.asked.insert(generation) && !self.opened.contains_key(&generation);
        self.require(
            is_first && self.unanswered().any(|one| one == generation),
            "it is asked once, of one that is ready",
        );
    }

    pub(super) fn note_promoted(&mut self, generation: Number) {
        let is_first = self.promoted.insert(generation);
        let opened = self.opened.get(&generation).is_some_and(|version| *version <= self.in_force());
        self.require(is_first && opened, "a generation is said to serve once, when the proxies know");
    }

    /// What was to come at once goes on in steps.
    fn note_pressure(&mut self) {
        let is_pressed = |one: &&Generation| one.is_staging() || one.is_canary();
        let Some(staging) = self.app.generations.iter().find(is_pressed) else { return };
        let size = staging.plan.workers;
        if let Some(roll) = self.rolls.get_mut(&staging.number).filter(|roll| !roll.rollout.is_stepwise() && size > 1) {
            roll.rollout = Rollout { surge: size - 1, unavailable: 0 };
        }
    }

    /// Of this generation, if it goes in steps and has not ended.
    fn roll_of(&self, generation: &Generation) -> Option<Roll> {
        let is_over = matches!(generation.stage, Stage::Draining | Stage::Retained { .. });
        self.rolls.get(&generation.number).copied().filter(|roll| roll.rollout.is_stepwise() && !is_over)
    }

    /// Those that are under way, or are being undone.
    fn rolls_under_way(&self) -> impl Iterator<Item = (&Generation, Roll)> {
        let rolls = self.app.generations.iter().filter_map(|one| Some((one, self.roll_of(one)?)));
        rolls.filter(|(one, _)| one.is_coming() || matches!(one.stage, Stage::Yielding | Stage::Aborted))
    }

    pub(super) fn is_rolling(&self) -> bool {
        self.rolls_under_way().next().is_some()
    }

    /// May requests find nobody for a while?
    pub(super) fn may_hold(&self) -> bool {
        self.app.generations.iter().filter_map(|one| self.roll_of(one)).any(|roll| roll.rollout.holds())
    }

    /// Another process would be one too many.
    fn is_full(&self, (generation, roll): (&Generation, Roll), before: usize) -> bool {
        let wanted = |number: Number| self.sizes.wanted.get(&number).copied().unwrap_or_default();
        let is_there = |number: Number| self.app.generations.iter().any(|one| one.number == number);
        let live = self.app.generations.iter().filter(|one| one.is_live()).map(|one| one.plan.size()).max();
        // The last one may not go before another one is there.
        let least = live.unwrap_or(usize::MAX).min(generation.plan.size()).min(before);
        let is_last = least == 1 && roll.rollout.surge == 0 && !roll.rollout.holds();
        let surge = if self.is_pressed { 0 } else { roll.rollout.surge.max(is_last.into()) as usize };
        let counts = |(serial, number): (&Serial, Number)| {
            number >= roll.base && is_there(number) && self.state(*serial) != Some(State::Unkillable)
        };
        let all = self.processes.iter().map(|(serial, process)| (serial, process.worker.generation));
        all.filter(|one| counts(*one)).count()
            >= wanted(generation.number).max(generation.plan.size()).max(before).max(live.unwrap_or(0)) + surge
    }

    /// A process is about to be started.
    pub(super) fn require_room(&self, number: Number) {
        let Some(generation) = self.app.generations.iter().find(|one| one.number == number) else { return };
        let is_at_once = generation.is_coming() && self.roll_of(generation).is_none();
        // The one before may have gone in this very step.
        let before = |roll: Roll| self.sizes.wanted.get(&roll.base).copied().unwrap_or_default();
        let newest = self.rolls_under_way().last();
        let is_full = newest.is_some_and(|(one, roll)| self.is_full((one, roll), before(roll)));
        self.require(is_at_once || !is_full, "a reload starts more processes than it may");
        let rolls = self.app.generations.iter().any(|one| matches!(one.stage, Stage::Rolling { .. }));
        self.require(!(rolls && generation.is_live()), "a worker comes that is about to be replaced");
    }

    /// Nobody who may start, waits.
    pub(super) fn judge_rolls(&self) {
        for (generation, roll) in self.rolls_under_way().filter(|(one, _)| one.is_coming()) {
            let starting = generation.workers().filter(|worker| worker.state.is_starting()).count();
            let permits = starting < generation.plan.concurrent_starts as usize;
            let is_first = matches!(generation.stage, Stage::Staging { .. } | Stage::Verified { .. });
            let is_tried = generation.is_canary() || is_first && generation.plan.trial.canary.is_some();
            let is_alone = matches!(generation.stage, Stage::Staging { .. }) || is_tried;
            let reach = if is_alone { 1 } else { generation.places.len() };
            let waits = generation.places[..reach].iter().any(Place::is_waiting);
            let before = |roll: Roll| {
                let base = self.app.generations.iter().find(|one| one.number == roll.base);
                base.map_or(0, |base| base.plan.size())
            };
            let newest = self.rolls_under_way().last();
            let is_full = newest.is_some_and(|(one, roll)| self.is_full((one, roll), before(roll)));
            // So are those who had to make way for good.
            let is_full = is_full || self.app.generations.iter().any(Generation::is_yielding);
            self.require(!(waits && permits) || is_full, "nobody comes though there is room");
            self.require(self.app.generations.iter().any(Generation::is_live), "it takes over from one that is live");
            let _ = roll;
        }
    }

    /// So many serve at least, as long as a reload goes in steps, and as far as it is its doing.
    pub(super) fn require_floor(&self, before_set: &[EndpointView], set: &[EndpointView]) {
        let opens = |set: &[EndpointView], serial| set.iter().any(|one| one.open && one.serial == serial);
        let is_well = |serial: &Serial| {
            let is_unready = matches!(self.state(*serial), Some(State::Unready { .. }));
            let process = self.processes.get(serial);
            process.is_some_and(|one| !one.leaves && !one.health.is_ill && !one.health.hangs) && !is_unready
        };
        let is_relieved = |old: &EndpointView| {
            set.iter().any(|one| one.open && (one.slot, one.generation) == (old.slot, old.generation))
        };
        // One that is given up before it takes over goes at once: it was tried beside all others.
        let is_given_up =
            |number: Number| self.app.generations.iter().any(|one| one.number == number && one.stage == Stage::Aborted);
        let is_gone = |one: &EndpointView| {
            one.open && !opens(set, one.serial) && is_well(&one.serial) && !is_given_up(one.generation)
        };
        let sent_away = before_set.iter().any(|one| is_gone(one) && !is_relieved(one));
        let version = self.version().next();
        let is_fresh = |one: &&Generation| {
            let has_just_taken_over = matches!(one.stage, Stage::Promoting { version: new, .. } if new == version);
            one.is_coming() || one.is_yielding() || has_just_taken_over
        };
        let mut rolls = self.app.generations.iter().rev().filter(is_fresh);
        let newest = rolls.find_map(|one| Some((one, self.roll_of(one)?)));
        let Some((generation, roll)) = newest.filter(|_| sent_away && self.app.is_wanted()) else { return };
        let live = self.app.generations.iter().find(|one| one.is_live());
        let ended = live.map_or(0, super::rest::empty) + super::rest::empty(generation);
        let before = self.sizes.wanted.get(&roll.base).copied().unwrap_or_default();
        // Another one may have come to be the live one since.
        let size = live.map_or(before, |live| live.plan.size().min(before));
        let size = size.min(generation.plan.size()).saturating_sub(ended);
        let away = if roll.rollout.holds() { 1 } else { roll.rollout.unavailable as usize };
        let least = usize::from(!roll.rollout.holds() || size > 1);
        // Whoever is not well serves only while most are not.
        let unwell =
            before_set.iter().filter(|one| one.open && !opens(set, one.serial) && !is_well(&one.serial)).count();
        let floor = size.saturating_sub(away + unwell).max(least);
        let open = set.iter().filter(|one| one.open).count();
        self.require(open >= floor, "too few serve, by our own doing");
    }
}
