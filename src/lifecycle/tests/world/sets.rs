//! The world's own account of published sets: who is in one, who opens in it and who goes from it.
//!
//! A set is never emptied by us, opens only to who has earned it, and lets go only of who has no work left.

use super::{Process, World};
use crate::id::Serial;
use crate::lifecycle::generation::Generation;
use crate::lifecycle::state::State;
use crate::lifecycle::{EndpointView, Version};

impl World {
    /// One opens: whoever had its slot makes way.
    fn take_over(&mut self, one: EndpointView) {
        if self.beside.remove(&one.serial) {
            let slot = self.processes[&one.serial].worker.clone();
            let others: Vec<_> = self.in_slot(&slot).filter(|other| *other != one.serial).collect();
            self.beside.extend(others);
        }
    }

    pub(super) fn publish(&mut self, version: Version) {
        self.require(version == self.version().next(), "versions count one by one");
        let set = self.app.endpoints();
        let before = &self.latest().to_vec()[..];
        let is_open_in = |set: &[EndpointView], serial| set.iter().any(|one| one.open && one.serial == serial);
        let stays = |one: &EndpointView| self.processes.get(&one.serial).is_some_and(|process| !process.leaves);
        let serving = before.iter().filter(|one| one.open && stays(one)).count();
        // One that hangs may be sent away in the very step in which another one has lasted.
        let hangs = |one: &EndpointView| self.processes.get(&one.serial).is_some_and(|process| process.health.hangs);
        // Where requests may wait, all may go before others have come: then one is enough.
        let is_held = self.may_hold() && !before.iter().any(|one| one.open && is_open_in(&set, one.serial));
        let well = before.iter().filter(|one| one.open && stays(one) && !hangs(one) && !is_held).count();
        let open = set.iter().filter(|one| one.open).count();
        let overlaps = self.app.generations.iter().all(|one| one.plan.overlaps);
        let is_own_will = self.processes.values().any(|process| process.leaves || process.health.hangs);
        let may_be_empty = serving == 0
            || !self.app.is_wanted()
            || !overlaps
            || is_own_will
            || self.may_hold()
            || self.app.is_dormant();
        self.require(may_be_empty || open > 0, "I4: the set was emptied by our own action");
        self.require_kept(before, &set);
        self.require_floor(before, &set);
        let is_fresh = |one: &&EndpointView| one.open && !is_open_in(before, one.serial);
        let is_known = |one: &&EndpointView| {
            let process = &self.processes[&one.serial];
            process.health.is_aside || process.is_kept
        };
        for one in set.iter().filter(is_fresh).filter(|one| !is_known(one)) {
            self.require_gated(*one, well, &set);
        }
        for one in before.iter().filter(|one| set.iter().all(|other| other.serial != one.serial)) {
            let fair = self.processes.get(&one.serial).is_none_or(|process| process.idle || process.forced);
            self.require(fair, "an endpoint with work in flight goes unlisted without being forced");
        }
        for one in &set {
            self.list(*one, version);
        }
        self.sets.insert(version, set);
    }

    /// Of a slot of the running generation one worker is open at most; and one that was stays so while its process lives.
    fn require_kept(&mut self, before: &[EndpointView], set: &[EndpointView]) {
        let open_in = |set: &[EndpointView], slot: &EndpointView| {
            let is_it = |one: &&EndpointView| one.open && (one.slot, one.generation) == (slot.slot, slot.generation);
            set.iter().filter(is_it).count()
        };
        self.require(set.iter().all(|one| open_in(set, one) <= 1), "two workers of one slot are open");
        let is_live = |number| self.app.generations.iter().any(|one| one.number == number && one.is_live());
        let lost = before.iter().filter(|one| {
            let is_unready = matches!(self.state(one.serial), Some(State::Unready { .. }));
            let is_well = |process: &Process| !process.leaves && !process.health.is_ill && !process.health.hangs;
            let serves = one.open && !is_unready && self.processes.get(&one.serial).is_some_and(is_well);
            serves && is_live(one.generation) && open_in(set, one) == 0 && !self.may_make_way(one.serial)
        });
        let lost: Vec<_> = lost.copied().filter(|_| !self.is_rolling() && !self.app.is_dormant()).collect();
        for lost in lost {
            self.let_go(lost, set);
        }
    }

    fn list(&mut self, one: EndpointView, version: Version) {
        let is_unready = matches!(self.state(one.serial), Some(State::Unready { .. }));
        let is_kept = matches!(self.state(one.serial), Some(State::Retained(_)));
        let process = self.process(one.serial);
        process.listed = version;
        if one.open {
            if std::mem::take(&mut process.health.is_aside) | std::mem::take(&mut process.is_kept) {
                (process.closed, process.idle) = (None, false);
            }
            let reopens = process.closed.is_some();
            self.require(!reopens, "what was closed opens again");
            self.opened.entry(one.generation).or_insert(version);
            self.take_over(one);
        } else {
            process.health.is_aside |= is_unready;
            process.is_kept = is_kept;
            process.closed = process.closed.or(Some(version));
        }
    }

    /// I5: who opens has earned it, in this incarnation.
    fn require_gated(&self, one: EndpointView, serving: usize, set: &[EndpointView]) {
        let first = self.staged.contains(&one.generation) && !self.opened.contains_key(&one.generation);
        let generation = self.app.generations.iter().find(|generation| generation.number == one.generation);
        let width = |one: &Generation| match one.plan.trial.canary {
            _ if one.plan.rollout.is_stepwise() => 1,
            Some(canary) if one.is_canary() => (one.plan.size() * canary.share as usize).div_ceil(10_000).max(1),
            _ => one.plan.size(),
        };
        let full_terms = |generation: &Generation| (generation.plan.probing.successes, width(generation));
        let stays = |old: &EndpointView| self.processes.get(&old.serial).is_some_and(|process| !process.leaves);
        let replaces = self.latest().iter().find(|old| old.open && stays(old) && self.is_relay(old, &one));
        let is_of_roll = generation.is_some_and(Generation::is_rolling);
        let terms = generation.filter(|_| (first || is_of_roll) && serving > 0).map(full_terms);
        let terms = terms.or(generation.filter(|_| replaces.is_some()).map(|one| (one.plan.probing.successes, 1)));
        let (needed, width) = terms.unwrap_or((1, 1));
        // Whoever was ready by the terms of its time stays so while somebody is asked.
        let needed = if generation.is_some_and(|one| first && one.plan.gated) { 0 } else { needed };
        let process = &self.processes[&one.serial];
        self.require(process.streak >= needed && !process.idle, "I5: a worker opens that has not earned it");
        let is_to_be_warm = generation.is_some_and(|one| one.plan.timeouts.warmup.is_some());
        self.require(process.was_warmed || !is_to_be_warm, "a worker opens that nobody has warmed up");
        let is_asked = self.asked.contains(&one.generation);
        self.require(!is_asked, "a worker opens before somebody has said that it may");
        let open = set.iter().filter(|other| other.open && other.generation == one.generation).count();
        self.require(open >= width, "I5: a generation takes over before all of it is ready");
    }

    /// Does the new one take over from the old one, in the same slot, while the old one is there?
    fn is_relay(&self, old: &EndpointView, new: &EndpointView) -> bool {
        (old.slot, old.generation) == (new.slot, new.generation) && self.processes.contains_key(&old.serial)
    }

    /// No proxy can have it any more: neither the acknowledged set nor one after it has it.
    pub(super) fn require_unlisted(&self, serial: Serial) {
        let process = &self.processes[&serial];
        let unlisted = process.listed == Version(0) || process.listed < self.in_force();
        self.require(unlisted, "a signal for a worker that a proxy may still have");
    }
}
