//! Every reachable state of small apps, breadth first.
//!
//! Two worlds are the same state when everything that can still matter is the same: points in time count from now,
//! versions from the latest, and names do not count. From each new state two more questions are asked: does a kind
//! world bring it to rest, and does it stop when it is asked to?

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::plan;
use super::world::{Choice, Mischief, World};
use crate::lifecycle::generation::{Generation, Stage};
use crate::lifecycle::place::{Place, Seat};
use crate::lifecycle::state::{State, Turn};
use crate::lifecycle::worker::Worker;
use crate::lifecycle::{Backoff, Plan, Version};

/// Deadlines further away than this are all alike: none of the walks waits for one.
const FAR: u64 = 20;

/// No walk may take more steps than this.
const BOUND: usize = 2_000_000;

const CALM: Mischief =
    Mischief { reloads: 0, stops: 0, starts: 1, crashes: 0, spawn_failures: 0, dice: 255, late_answers: false };

/// Whole seconds, as few as possible.
fn short(workers: u32) -> Plan {
    let second = Duration::from_secs(5);
    Plan {
        start_timeout: 2 * second,
        drain_timeout: second,
        kill_timeout: second,
        probe_interval: second,
        successes: 2,
        backoff: Backoff { min: second, max: second, reset: second },
        concurrent_starts: 1,
        ..plan(workers)
    }
}

/// What a walk has found.
#[derive(Debug, Default)]
struct Found {
    states: usize,
    steps: usize,
    depth: usize,
}

#[derive(Default)]
struct Walk {
    seen: HashSet<u64>,
    /// States from which a kind world leads to rest.
    restful: HashSet<u64>,
    found: Found,
}

impl Walk {
    fn over(start: World) -> Found {
        let mut walk = Self::default();
        let mut frontier = VecDeque::from([(start, 0)]);
        while let Some((world, depth)) = frontier.pop_front() {
            walk.found.depth = walk.found.depth.max(depth);
            for choice in world.choices() {
                let mut next = world.clone();
                next.apply(choice);
                walk.found.steps += 1;
                if walk.seen.insert(Key::of(&next, true)) {
                    walk.must_end_well(&next);
                    frontier.push_back((next, depth + 1));
                }
            }
            assert!(walk.found.steps < BOUND, "the walk is too long: {:?}", walk.found);
        }
        walk.found.states = walk.seen.len();
        walk.found
    }

    fn must_end_well(&mut self, world: &World) {
        self.must_come_to_rest(world.clone());
        let mut stopped = world.clone();
        stopped.apply(Choice::Stop);
        self.must_come_to_rest(stopped);
    }

    fn must_come_to_rest(&mut self, mut world: World) {
        for _ in 0..1000 {
            if !self.restful.insert(Key::of(&world, false)) {
                return;
            }
            match world.kindest() {
                Some(choice) => world.apply(choice),
                None => return world.require(world.is_at_rest() && !world.stop_owed, "it rests where it should not"),
            }
        }
        world.require(false, "it does not come to rest");
    }
}

/// A world without what does not matter, as one number.
struct Key {
    hash: u64,
    now: Instant,
    latest: Version,
}

impl Key {
    fn of(world: &World, with_mischief: bool) -> u64 {
        let mut key = Self { hash: 0, now: world.now, latest: world.version() };
        for generation in &world.app.generations {
            key.generation(generation, world);
        }
        key.add(u64::MAX);
        for worker in &world.app.stranded {
            key.worker(worker, world);
        }
        key.add(u64::from(world.stop_owed));
        key.version(world.acknowledged());
        if with_mischief {
            let left = world.mischief;
            [left.reloads, left.stops, left.starts, left.crashes, left.spawn_failures]
                .into_iter()
                .for_each(|count| key.add(u64::from(count)));
        }
        key.hash
    }

    fn add(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.hash ^= self.hash >> 29;
    }

    fn until(&mut self, at: Instant) {
        self.add(at.saturating_duration_since(self.now).as_secs().min(FAR));
    }

    fn version(&mut self, version: Version) {
        self.add(self.latest.0 - version.0.min(self.latest.0));
    }

    fn generation(&mut self, generation: &Generation, world: &World) {
        self.add(0xA0);
        match generation.stage {
            Stage::Staging { progressed, .. } => self.stage(1, progressed + generation.plan.progress_deadline),
            Stage::Verified { progressed, .. } => self.stage(2, progressed + generation.plan.progress_deadline),
            Stage::Promoting { version, .. } => {
                self.add(3);
                self.version(version);
            }
            Stage::Live => self.add(4),
            Stage::Draining => self.add(5),
            Stage::Aborted => self.add(6),
        }
        for place in &generation.places {
            self.place(place, &generation.plan, world);
        }
    }

    fn stage(&mut self, tag: u64, deadline: Instant) {
        self.add(tag);
        self.until(deadline);
    }

    fn place(&mut self, place: &Place, plan: &Plan, world: &World) {
        // One failure more does not lengthen a wait that has reached its maximum.
        let grows = (0..place.failures.min(8)).take_while(|n| plan.backoff.delay(*n, 1.0) < plan.backoff.max).count();
        self.add(0xB0 + grows as u64);
        match &place.seat {
            Seat::Waiting => self.add(1),
            Seat::Backoff { until } => self.stage(2, *until),
            Seat::Taken(worker) => self.worker(worker, world),
            Seat::Empty => self.add(3),
        }
    }

    fn worker(&mut self, worker: &Worker, world: &World) {
        match worker.state {
            State::Spawning { until } => self.stage(11, until),
            State::Starting { until, turn } => self.trial(12, until, turn),
            State::Probing { until, turn, passed } => self.trial(13 + (u64::from(passed) << 8), until, turn),
            State::Ready => self.add(14),
            State::Serving => {
                let reset = worker.since + world.plan.backoff.reset;
                self.stage(15, reset);
            }
            State::Quiescing { version, idle } => {
                self.add(16 + (u64::from(idle) << 8));
                self.version(version);
            }
            State::Draining { until } => self.stage(17, until),
            State::Delisting { version } => {
                self.add(18);
                self.version(version);
            }
            State::Cancelled { until } => self.stage(19, until),
            State::Stopping { until } => self.stage(20, until),
            State::Killing { until } => self.stage(21, until),
            State::Unkillable => self.add(22),
        }
        self.process(worker, world);
    }

    fn trial(&mut self, tag: u64, until: Instant, turn: Turn) {
        self.stage(tag, until);
        match turn {
            Turn::Ours(at) => self.stage(1, at),
            Turn::Theirs => self.add(2),
        }
    }

    fn process(&mut self, worker: &Worker, world: &World) {
        let process = &world.processes[&worker.serial];
        let flags = [process.runs, process.probed, process.is_told_to_end(), process.idle, worker.lateness().is_some()];
        self.add(flags.into_iter().fold(0, |word, flag| word << 1 | u64::from(flag)));
        self.add(u64::from(process.streak.min(world.plan.successes)));
        // Only versions that a proxy may still act on matter.
        self.version(process.listed.max(Version(world.acknowledged().0.saturating_sub(1))));
    }
}

fn walk(name: &str, plan: Plan, mischief: Mischief) {
    let begun = Instant::now();
    let found = Walk::over(World::new(plan, mischief));
    println!("{name}: {found:?} in {:?}", begun.elapsed());
}

#[test]
fn one_slot_and_two_reloads() {
    walk("1 slot", short(1), Mischief { reloads: 1, crashes: 0, ..CALM });
    walk("1 slot", short(1), Mischief { reloads: 2, crashes: 0, ..CALM });
    walk("1 slot", short(1), Mischief { reloads: 2, crashes: 1, ..CALM });
}

#[test]
fn two_slots_and_one_reload() {
    walk("2 slots", short(2), Mischief { reloads: 1, crashes: 0, ..CALM });
    walk("2 slots", short(2), Mischief { reloads: 1, crashes: 1, ..CALM });
}
