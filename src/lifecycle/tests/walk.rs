//! Every reachable state of small apps, breadth first.
//!
//! Two worlds are the same state when everything that can still matter is the same: points in time count from now,
//! versions from the latest, and names do not count. From each new state two more questions are asked: does a kind
//! world bring it to rest, and does it stop when it is asked to?

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::world::{Choice, Mischief, World};
use super::{alternating, declared, lasting, plan};
use crate::lifecycle::circuit::{Circuit, Mode};
use crate::lifecycle::generation::{Generation, Stage};
use crate::lifecycle::liveness::{Closed, Fate, Gate};
use crate::lifecycle::place::relay::{Relay, Role, Shift};
use crate::lifecycle::place::{Place, Seat};
use crate::lifecycle::state::{State, Turn};
use crate::lifecycle::worker::Worker;
use crate::lifecycle::{
    AppState, Backoff, Liveness, OnLoop, Outcome, Plan, Policy, Probing, Restart, Timeouts, Trial, Version, WorkerState,
};

/// Deadlines further away than this are all alike: none of the walks waits for one.
const FAR: u64 = 20;

/// No walk may take more steps than this.
const BOUND: usize = 20_000_000;

/// One length for all waits, that of the patience after a kill: so the fewest points in time differ.
fn short(workers: u32) -> Plan {
    let wait = Duration::from_secs(5);
    Plan {
        timeouts: Timeouts { start: 2 * wait, drain: wait, kill: wait, ..plan(workers).timeouts },
        probing: Probing { interval: wait, successes: 2, ..plan(workers).probing },
        restart: Restart { backoff: Backoff { min: wait, max: wait, reset: wait }, ..plan(workers).restart },
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
    workers: BTreeSet<WorkerState>,
    apps: BTreeSet<AppState>,
    panics: bool,
    dumps: bool,
    outcomes: BTreeSet<&'static str>,
}

impl Found {
    fn note(&mut self, world: &World) {
        let places = world.app.generations.iter().flat_map(|generation| &generation.places);
        self.workers.extend(places.map(|place| place.report().state));
        self.apps.insert(world.app.report().state);
        self.panics |= world.app.report().is_panicking;
        self.dumps |= world.processes.values().any(|process| process.health.dumped);
        self.outcomes.extend(world.outcomes.iter().map(|(_, outcome)| match outcome {
            Outcome::Live { .. } => "live",
            Outcome::Aborted { .. } => "aborted",
            Outcome::RolledBack { .. } => "rolled back",
            Outcome::Superseded => "superseded",
        }));
    }
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
                let key = Key::of(&next);
                if walk.seen.insert(key.with(next.mischief)) {
                    walk.found.note(&next);
                    walk.must_end_well(&next, key);
                    frontier.push_back((next, depth + 1));
                }
            }
            assert!(walk.found.steps < BOUND, "the walk is too long: {:?}", walk.found);
        }
        walk.found.states = walk.seen.len();
        walk.found
    }

    fn must_end_well(&mut self, world: &World, key: Key) {
        self.must_come_to_rest(world, key);
        let mut stopped = world.clone();
        stopped.apply(Choice::Stop);
        self.must_come_to_rest(&stopped, Key::of(&stopped));
    }

    fn must_come_to_rest(&mut self, world: &World, key: Key) {
        if self.restful.contains(&key.hash) {
            return;
        }
        let mut world = world.clone();
        let mut path = HashSet::from([key.hash]);
        while let Some(choice) = world.kindest() {
            world.apply(choice);
            let key = Key::of(&world);
            if self.restful.contains(&key.hash) {
                return self.restful.extend(path);
            }
            world.require(path.insert(key.hash), "it goes in circles");
        }
        world.require(world.is_at_rest() && !world.stop_owed, "it rests where it should not");
        self.restful.extend(path);
    }
}

/// A world without what does not matter, as one number.
#[derive(Clone, Copy)]
struct Key {
    hash: u64,
    now: Instant,
    latest: Version,
}

impl Key {
    fn of(world: &World) -> Self {
        let mut key = Self { hash: 0, now: world.now, latest: world.version() };
        for generation in &world.app.generations {
            key.generation(generation, world);
        }
        key.add(u64::MAX);
        for worker in &world.app.stranded {
            key.worker(worker, world);
        }
        key.add(u64::from(world.stop_owed));
        key.version(world.in_force());
        key
    }

    /// What may still happen counts too.
    fn with(self, left: Mischief) -> u64 {
        let Self { mut hash, .. } = self;
        let orders =
            [left.reloads, left.recycles, left.resizes, left.doubts, left.stops, left.starts, left.ills, left.hangs];
        for count in orders.into_iter().chain([left.crashes, left.endings, left.spawn_failures, left.words]) {
            hash = mix(hash, u64::from(count));
        }
        hash
    }

    fn add(&mut self, word: u64) {
        self.hash = mix(self.hash, word);
    }

    fn until(&mut self, at: Instant) {
        self.add(at.saturating_duration_since(self.now).as_secs().min(FAR));
    }

    fn version(&mut self, version: Version) {
        self.add(self.latest.0 - version.0.min(self.latest.0));
    }

    fn generation(&mut self, generation: &Generation, world: &World) {
        self.add(0xA0 + (u64::from(generation.plan.workers) << 8));
        match generation.stage {
            Stage::Staging { progressed, .. } => self.stage(1, progressed + generation.plan.timeouts.progress),
            Stage::Verified { progressed, .. } => self.stage(2, progressed + generation.plan.timeouts.progress),
            Stage::Promoting { version, .. } => {
                self.add(3);
                self.version(version);
            }
            Stage::Baking { until, .. } => self.stage(7, until),
            Stage::Live => self.add(4),
            Stage::Retained { until: Some(until) } => self.stage(8, until),
            Stage::Retained { until: None } => self.add(9),
            Stage::Draining => self.add(5),
            Stage::Aborted => self.add(6),
        }
        for place in &generation.places {
            self.place(place, &generation.plan, world);
            self.relay(&place.relay, generation, world);
        }
        self.circuit(&generation.circuit, &generation.plan.restart);
    }

    fn circuit(&mut self, circuit: &Circuit, restart: &Restart) {
        match circuit.mode {
            Mode::Closed => {}
            Mode::Looping { since, next } => {
                self.stage(0xC1, next);
                self.until(since + restart.backoff.reset);
            }
            Mode::GivenUp => self.add(0xC2),
        }
        // A walk does not come near an intensity that is not small.
        let lapses = circuit.ends.iter().filter(|_| restart.intensity < 10).map(|end| *end + restart.period);
        for lapse in lapses.filter(|lapse| *lapse > self.now).collect::<Vec<_>>() {
            self.stage(0xC3, lapse);
        }
    }

    fn stage(&mut self, tag: u64, deadline: Instant) {
        self.add(tag);
        self.until(deadline);
    }

    fn place(&mut self, place: &Place, plan: &Plan, world: &World) {
        let backoff = &plan.restart.backoff;
        // One failure more does not lengthen a wait that has reached its maximum.
        let grows = (0..place.failures.min(8)).take_while(|n| backoff.delay(*n, 1.0) < backoff.max).count();
        self.add(0xB0 + grows as u64);
        match &place.seat {
            Seat::Waiting => self.add(1),
            Seat::Backoff { until } => self.stage(2, *until),
            Seat::Taken(worker) => self.worker(worker, world),
            Seat::Empty => self.add(3),
            Seat::Parked => self.add(4),
        }
    }

    fn relay(&mut self, relay: &Relay, generation: &Generation, world: &World) {
        if let Some(wish) = &relay.wish {
            let wishes = generation.places.iter().filter_map(|place| place.relay.wish.as_ref());
            let earlier = wishes.filter(|other| other.since < wish.since).count();
            // The waits of these walks do not grow.
            self.stage(0xD0 + earlier as u64, wish.until.unwrap_or(self.now));
            self.add(u64::from(wish.until.is_some()));
        }
        match relay.shift.filter(|shift| *shift != Shift::Coming || generation.is_live()) {
            Some(Shift::Leaving(_)) => self.add(0xF0),
            Some(Shift::Coming) => self.add(0xF1),
            None => {}
        }
        if let Some(beside) = &relay.beside {
            self.add(0xE0 + u64::from(beside.role == Role::Successor));
            self.worker(&beside.worker, world);
        }
    }

    fn worker(&mut self, worker: &Worker, world: &World) {
        match worker.state {
            State::Spawning { until } => self.stage(11, until),
            State::Starting { until, turn } => self.trial(12, until, turn),
            State::Probing { until, turn, passed } => self.trial(13 + (u64::from(passed) << 8), until, turn),
            State::Ready => self.add(14),
            State::Serving => {
                let reset = worker.since + world.plan.restart.backoff.reset;
                self.stage(15, reset);
            }
            State::Unready { gate, fate } => self.unready(gate, fate),
            State::Retained(closed) => self.closed(30, closed),
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
        if let Some(vigil) = worker.vigil {
            self.add(u64::from(vigil.against) << 1 | u64::from(vigil.dumped));
            self.turn(vigil.turn);
        }
        self.said(worker);
        self.process(worker, world);
    }

    fn said(&mut self, worker: &Worker) {
        let said = &worker.said;
        self.add(u64::from(said.hangs) << 1 | u64::from(said.farewell.is_some()));
        self.add(said.extended.as_secs());
        if let Some(due) = said.due {
            self.stage(29, due);
        }
    }

    fn unready(&mut self, gate: Gate, fate: Fate) {
        match gate {
            Gate::Open => self.add(23),
            Gate::Closed(closed) => self.closed(24, closed),
        }
        match fate {
            Fate::Waits(Some(until)) => self.stage(25, until),
            Fate::Waits(None) => self.add(26),
            Fate::Dumping(until) => self.stage(27, until),
            Fate::Sealed => self.add(28),
        }
    }

    fn closed(&mut self, tag: u64, closed: Closed) {
        let Closed { version, acknowledged, idle } = closed;
        self.add(tag + (u64::from(idle) << 8) + (u64::from(acknowledged) << 9));
        // Nothing is waited for once it is acknowledged.
        if !acknowledged {
            self.version(version);
        }
    }

    fn trial(&mut self, tag: u64, until: Instant, turn: Turn) {
        self.stage(tag, until);
        self.turn(turn);
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Ours(at) => self.stage(1, at),
            Turn::Theirs => self.add(2),
        }
    }

    fn process(&mut self, worker: &Worker, world: &World) {
        let process = &world.processes[&worker.serial];
        let heard = [process.probed, process.declared, process.idle, process.is_kept, process.health.asked];
        let flags = [process.runs, process.is_told_to_end(), worker.lateness().is_some()].into_iter().chain(heard);
        self.add(flags.fold(0, |word, flag| word << 1 | u64::from(flag)));
        self.add(u64::from(process.streak.min(world.plan.probing.successes)));
        // Only versions that a proxy may still act on matter.
        self.version(process.listed.max(Version(world.in_force().0.saturating_sub(1))));
    }
}

fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ hash >> 29
}

/// Walks, says how far, and demands that it was no smaller than it used to be.
fn walk(plan: Plan, mischief: Mischief, at_least: usize) -> Found {
    let begun = Instant::now();
    let found = Walk::over(World::new(plan, mischief));
    println!("{} slots, {mischief:?}: {found:?} in {:?}", plan.workers, begun.elapsed());
    assert!(found.states >= at_least, "the walk has shrunk to {} states", found.states);
    found
}

#[test]
fn one_slot_replaced_twice_and_stopped_at_any_moment() {
    let found = walk(short(1), Mischief { reloads: 2, stops: 1, ..Mischief::NONE }, 15_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live", "superseded"]));
}

#[test]
fn one_slot_where_everything_goes_wrong() {
    walk(short(1), Mischief { reloads: 1, crashes: 2, spawn_failures: 1, ..Mischief::NONE }, 10_000);
}

#[test]
fn one_slot_stopped_and_started_again_at_any_moment() {
    walk(short(1), Mischief { stops: 1, starts: 2, crashes: 1, spawn_failures: 1, ..Mischief::NONE }, 1_000);
}

#[test]
fn two_slots_that_crash_and_fail_to_start() {
    let plan = Plan { concurrent_starts: 2, ..short(2) };
    walk(plan, Mischief { crashes: 2, spawn_failures: 1, ..Mischief::NONE }, 6_000);
}

/// More than one end in 10 s is a crash loop, in which one worker is tried every 5 s.
fn frail(workers: u32, policy: Policy, on_loop: OnLoop) -> Plan {
    let (wait, plan) = (Duration::from_secs(5), short(workers));
    let restart = Restart { policy, intensity: 1, period: 2 * wait, on_loop, ..plan.restart };
    Plan { restart: Restart { stop_codes: [78].into_iter().collect(), ..restart }, concurrent_starts: 2, ..plan }
}

const RETRY: OnLoop = OnLoop::Retry(Duration::from_secs(5));

#[test]
fn one_slot_in_a_crash_loop_that_is_replaced_or_stopped_at_any_moment() {
    let some = Mischief { crashes: 3, reloads: 1, ..Mischief::NONE };
    let found = walk(frail(1, Policy::Always, RETRY), some, 10_000);
    assert!(found.apps.contains(&AppState::CrashLooping), "{found:?}");
    assert!(found.outcomes.contains("live") && found.outcomes.contains("aborted"), "{found:?}");
}

#[test]
fn two_slots_in_a_crash_loop() {
    let found = walk(frail(2, Policy::OnFailure, RETRY), Mischief { crashes: 3, endings: 1, ..Mischief::NONE }, 5_000);
    let wanted = [AppState::CrashLooping, AppState::Degraded, AppState::Running];
    assert!(wanted.iter().all(|state| found.apps.contains(state)), "{found:?}");
}

#[test]
fn one_slot_whose_worker_ends_as_it_may() {
    let some = Mischief { crashes: 2, endings: 1, spawn_failures: 1, ..Mischief::NONE };
    for policy in [Policy::Always, Policy::OnFailure, Policy::Never] {
        let found = walk(frail(1, policy, OnLoop::GiveUp), some, 20);
        assert!(found.apps.contains(&AppState::Exited), "{found:?}");
        assert_eq!(found.apps.contains(&AppState::GivenUp), policy != Policy::Never, "{found:?}");
    }
    let found = walk(frail(1, Policy::OnFailure, RETRY), some, 500);
    assert!(found.apps.is_superset(&BTreeSet::from([AppState::CrashLooping, AppState::Exited])), "{found:?}");
}

#[test]
fn two_slots_whose_workers_end_as_they_may() {
    let found = walk(frail(2, Policy::OnFailure, RETRY), Mischief { endings: 2, ..Mischief::NONE }, 100);
    let wanted = [AppState::Running, AppState::Degraded, AppState::Exited];
    assert!(wanted.iter().all(|state| found.apps.contains(state)), "{found:?}");
}

#[test]
fn one_slot_given_up_and_replaced() {
    let some = Mischief { crashes: 2, reloads: 1, ..Mischief::NONE };
    let found = walk(frail(1, Policy::Always, OnLoop::GiveUp), some, 2_000);
    assert!(found.apps.contains(&AppState::GivenUp) && found.outcomes.contains("live"), "{found:?}");
}

#[test]
fn two_slots_replaced() {
    let found = walk(short(2), Mischief { reloads: 1, ..Mischief::NONE }, 9_000);
    let others = [WorkerState::Unready, WorkerState::Retained];
    let all: BTreeSet<_> = WorkerState::ALL.iter().copied().filter(|state| !others.contains(state)).collect();
    assert_eq!(found.workers, all, "states that the walk has seen");
}

#[test]
fn one_slot_recycled_stopped_and_started_at_any_moment() {
    walk(short(1), Mischief { recycles: 1, stops: 1, starts: 2, ..Mischief::NONE }, 1_000);
}

#[test]
fn one_slot_whose_workers_never_meet_recycled_at_any_moment() {
    let plan = alternating(lasting(short(1)));
    walk(plan, Mischief { recycles: 1, stops: 1, starts: 2, ..Mischief::NONE }, 300);
    walk(plan, Mischief { recycles: 2, crashes: 1, spawn_failures: 1, ..Mischief::NONE }, 300);
    walk(alternating(short(1)), Mischief { recycles: 1, crashes: 1, reloads: 1, ..Mischief::NONE }, 300);
}

#[test]
fn two_slots_whose_workers_never_meet() {
    let plan = alternating(lasting(short(2)));
    walk(plan, Mischief { recycles: 2, ..Mischief::NONE }, 500);
    let frail = alternating(lasting(frail(2, Policy::OnFailure, RETRY)));
    walk(frail, Mischief { recycles: 1, crashes: 2, ..Mischief::NONE }, 1_000);
}

#[test]
#[ignore = "takes minutes"]
fn two_slots_whose_workers_never_meet_while_they_crash_and_end() {
    let plan = alternating(lasting(short(2)));
    walk(plan, Mischief { recycles: 2, crashes: 1, ..Mischief::NONE }, 10_000);
    let frail = alternating(lasting(frail(2, Policy::OnFailure, RETRY)));
    walk(frail, Mischief { recycles: 1, crashes: 2, endings: 1, ..Mischief::NONE }, 10_000);
}

#[test]
fn one_slot_that_is_ready_when_it_has_lasted() {
    let found = walk(lasting(short(1)), Mischief { reloads: 1, crashes: 2, stops: 1, ..Mischief::NONE }, 300);
    assert!(found.outcomes.contains("live") && found.outcomes.contains("aborted"), "{found:?}");
}

#[test]
fn one_slot_recycled_while_it_is_replaced() {
    walk(short(1), Mischief { recycles: 1, reloads: 1, ..Mischief::NONE }, 1_000);
}

#[test]
fn one_slot_recycled_while_everything_goes_wrong() {
    walk(short(1), Mischief { recycles: 1, crashes: 2, spawn_failures: 1, ..Mischief::NONE }, 1_000);
}

#[test]
fn two_slots_recycled() {
    walk(short(2), Mischief { recycles: 2, ..Mischief::NONE }, 1_000);
}

#[test]
fn one_slot_recycled_in_a_crash_loop() {
    let some = Mischief { recycles: 1, crashes: 2, ..Mischief::NONE };
    let found = walk(frail(1, Policy::Always, RETRY), some, 1_000);
    assert!(found.apps.contains(&AppState::CrashLooping), "{found:?}");
}

#[test]
fn one_slot_recycled_whose_worker_ends_as_it_may() {
    let some = Mischief { recycles: 1, crashes: 1, endings: 1, ..Mischief::NONE };
    for policy in [Policy::OnFailure, Policy::Never] {
        walk(frail(1, policy, OnLoop::GiveUp), some, 500);
    }
}

#[test]
fn one_slot_that_becomes_two_or_three_and_fewer_again() {
    let found = walk(short(1), Mischief { resizes: 2, ..Mischief::NONE }, 2_000);
    assert!(found.workers.contains(&WorkerState::Draining), "{found:?}");
}

#[test]
fn two_slots_that_are_resized_while_a_worker_crashes() {
    let plan = Plan { concurrent_starts: 2, ..short(2) };
    walk(plan, Mischief { resizes: 1, crashes: 1, ..Mischief::NONE }, 10_000);
}

#[test]
fn a_slot_that_says_itself_when_it_is_ready() {
    let plan = declared(short(1));
    let found = walk(plan, Mischief { reloads: 2, stops: 1, ..Mischief::NONE }, 14_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live", "superseded"]));
    walk(plan, Mischief { reloads: 1, crashes: 2, spawn_failures: 1, ..Mischief::NONE }, 8_500);
}

#[test]
fn two_slots_that_say_themselves_when_they_are_ready() {
    let plan = declared(short(2));
    walk(plan, Mischief { reloads: 1, ..Mischief::NONE }, 6_500);
}

/// One answer makes a worker unready, one brings it back, and it is replaced after 5 s.
fn watched(workers: u32) -> Plan {
    let wait = Duration::from_secs(5);
    let liveness = Liveness {
        interval: wait,
        failures: 1,
        successes: 1,
        replace_after: Some(wait),
        hung_after: Some(wait),
        dumps: true,
    };
    Plan { liveness: Some(liveness), concurrent_starts: workers, ..short(workers) }
}

#[test]
fn one_slot_that_fails_its_probes_and_hangs() {
    let found = walk(watched(1), Mischief { ills: 1, hangs: 1, ..Mischief::NONE }, 100);
    assert!(found.panics && found.dumps && found.workers.contains(&WorkerState::Unready), "{found:?}");
}

#[test]
fn two_slots_of_which_one_fails_its_probes() {
    let found = walk(watched(2), Mischief { ills: 1, ..Mischief::NONE }, 100);
    assert!(found.workers.contains(&WorkerState::Unready), "{found:?}");
}

/// Each worker has to say every 5 s that it is well.
fn guarded(workers: u32) -> Plan {
    Plan { watchdog: Some(Duration::from_secs(5)), concurrent_starts: workers, ..short(workers) }
}

#[test]
fn one_slot_whose_worker_says_what_it_likes_at_any_moment() {
    let found = walk(short(1), Mischief { words: 2, ..Mischief::NONE }, 1_000);
    assert!(found.workers.contains(&WorkerState::Unready), "{found:?}");
    let found = walk(short(1), Mischief { words: 1, reloads: 1, ..Mischief::NONE }, 1_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live"]));
    walk(short(1), Mischief { words: 1, recycles: 1, ..Mischief::NONE }, 500);
    walk(short(1), Mischief { words: 1, stops: 1, ..Mischief::NONE }, 500);
}

#[test]
fn one_slot_whose_worker_leaves_by_its_own_will_in_a_crash_loop_or_as_it_may() {
    let some = Mischief { words: 1, crashes: 2, endings: 1, ..Mischief::NONE };
    let found = walk(frail(1, Policy::OnFailure, RETRY), some, 1_000);
    assert!(found.apps.is_superset(&BTreeSet::from([AppState::CrashLooping, AppState::Exited])), "{found:?}");
    walk(frail(1, Policy::Never, OnLoop::GiveUp), some, 20);
    let plan = frail(1, Policy::Always, RETRY);
    let plan = Plan { restart: Restart { stop_codes: [].into_iter().collect(), ..plan.restart }, ..plan };
    walk(plan, Mischief { words: 1, crashes: 2, ..Mischief::NONE }, 1_000);
}

#[test]
fn two_slots_whose_workers_say_what_they_like() {
    walk(short(2), Mischief { words: 1, ..Mischief::NONE }, 1_000);
}

#[test]
fn one_slot_whose_worker_falls_silent() {
    let found = walk(guarded(1), Mischief::NONE, 20);
    assert!(found.panics && found.workers.contains(&WorkerState::Unready), "{found:?}");
    let both = Plan { watchdog: Some(Duration::from_secs(5)), ..watched(1) };
    let found = walk(both, Mischief { ills: 1, ..Mischief::NONE }, 150);
    assert!(found.dumps, "{found:?}");
}

#[test]
fn two_slots_whose_workers_fall_silent() {
    let found = walk(guarded(2), Mischief::NONE, 200);
    assert!(found.panics, "{found:?}");
}

#[test]
#[ignore = "takes minutes"]
fn slots_that_fail_their_probes_while_they_are_replaced_crash_and_are_stopped() {
    walk(short(1), Mischief { words: 2, stops: 1, starts: 2, ..Mischief::NONE }, 20_000);
    walk(watched(1), Mischief { ills: 2, hangs: 1, reloads: 1, ..Mischief::NONE }, 1_000);
    walk(watched(1), Mischief { ills: 2, crashes: 1, stops: 1, starts: 2, ..Mischief::NONE }, 1_000);
    let found = walk(watched(2), Mischief { ills: 3, crashes: 1, ..Mischief::NONE }, 1_000);
    assert!(found.panics, "{found:?}");
}

#[test]
#[ignore = "takes minutes"]
fn one_slot_and_all_of_it_together() {
    let all = Mischief { reloads: 1, crashes: 1, spawn_failures: 1, stops: 1, starts: 2, ..Mischief::NONE };
    walk(short(1), all, 200_000);
    walk(short(1), Mischief { reloads: 3, crashes: 1, ..Mischief::NONE }, 200_000);
}

#[test]
#[ignore = "takes minutes"]
fn two_slots_recycled_in_a_crash_loop() {
    walk(frail(2, Policy::Always, RETRY), Mischief { recycles: 1, crashes: 2, ..Mischief::NONE }, 10_000);
}

#[test]
#[ignore = "takes minutes"]
fn two_slots_replaced_while_they_crash_and_fail() {
    walk(short(2), Mischief { reloads: 1, crashes: 1, spawn_failures: 1, ..Mischief::NONE }, 150_000);
    walk(Plan { concurrent_starts: 2, ..short(2) }, Mischief { reloads: 1, crashes: 1, ..Mischief::NONE }, 80_000);
    walk(short(2), Mischief { reloads: 2, ..Mischief::NONE }, 150_000);
}

#[test]
#[ignore = "takes minutes"]
fn slots_that_are_resized_while_they_are_replaced_recycled_and_stopped() {
    let found = walk(short(1), Mischief { resizes: 1, reloads: 1, ..Mischief::NONE }, 50_000);
    assert!(found.outcomes.contains("live") && found.outcomes.contains("aborted"), "{found:?}");
    walk(short(2), Mischief { resizes: 1, recycles: 1, ..Mischief::NONE }, 20_000);
    walk(short(2), Mischief { resizes: 1, stops: 1, ..Mischief::NONE }, 20_000);
}

#[test]
#[ignore = "takes minutes"]
fn two_slots_that_are_resized_in_a_crash_loop_and_where_workers_end_as_they_may() {
    let found = walk(frail(2, Policy::Always, RETRY), Mischief { resizes: 1, crashes: 2, ..Mischief::NONE }, 50_000);
    assert!(found.apps.contains(&AppState::CrashLooping), "{found:?}");
    let some = Mischief { resizes: 1, crashes: 1, endings: 1, ..Mischief::NONE };
    let found = walk(frail(2, Policy::OnFailure, OnLoop::GiveUp), some, 40_000);
    assert!(found.apps.contains(&AppState::Exited), "{found:?}");
}

#[test]
#[ignore = "takes minutes"]
fn two_slots_that_are_resized_while_one_fails_its_probes() {
    let found = walk(watched(2), Mischief { resizes: 1, ills: 1, ..Mischief::NONE }, 1_000);
    assert!(found.workers.contains(&WorkerState::Unready), "{found:?}");
}

/// A new generation is watched for 5 s, and the one before it kept for 10.
fn tried(plan: Plan) -> Plan {
    let wait = Duration::from_secs(5);
    Plan { trial: Trial { bake: wait, retain: 2 * wait }, ..plan }
}

#[test]
fn one_slot_replaced_on_trial_and_gone_back_from_at_any_moment() {
    let some = Mischief { reloads: 1, doubts: 1, crashes: 1, stops: 1, ..Mischief::NONE };
    let found = walk(tried(short(1)), some, 1_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live", "rolled back"]));
    assert!(found.workers.contains(&WorkerState::Retained), "{found:?}");
}

#[test]
fn one_slot_replaced_twice_on_trial() {
    let found = walk(tried(short(1)), Mischief { reloads: 2, doubts: 1, ..Mischief::NONE }, 1_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live", "rolled back", "superseded"]));
}

#[test]
fn two_slots_replaced_on_trial_and_gone_back_from_at_any_moment() {
    let plan = Plan { concurrent_starts: 2, ..tried(short(2)) };
    let found = walk(plan, Mischief { reloads: 1, doubts: 1, ..Mischief::NONE }, 1_000);
    assert!(found.outcomes.contains("rolled back"), "{found:?}");
}

#[test]
#[ignore = "takes minutes"]
fn two_slots_replaced_on_trial_that_crash() {
    let plan = Plan { concurrent_starts: 2, ..tried(short(2)) };
    let found = walk(plan, Mischief { reloads: 1, crashes: 2, ..Mischief::NONE }, 1_000);
    assert!(found.outcomes.contains("rolled back"), "{found:?}");
}
