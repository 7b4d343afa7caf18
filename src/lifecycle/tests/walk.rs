//! Every reachable state of small apps, breadth first.
//!
//! When two worlds are the same state is told in [`key`]. From each new state two more questions are asked: does a kind world
//! bring it to rest, and does it stop when it is asked to?

mod key;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use key::Key;

use super::world::{Choice, Mischief, World};
use super::{alternating, declared, lasting, plan, warmed};
use crate::lifecycle::{
    AppState, Backoff, Canary, Liveness, OnLoop, Outcome, Plan, Policy, Probing, Restart, Rollout, Timeouts, Trial,
    WorkerState,
};

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
    let others = [WorkerState::Unready, WorkerState::Retained, WorkerState::Warming, WorkerState::Asleep];
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
fn one_slot_that_is_warmed_up_and_replaced_and_stopped_at_any_moment() {
    let plan = declared(warmed(short(1)));
    let found = walk(plan, Mischief { reloads: 1, crashes: 1, stops: 1, ..Mischief::NONE }, 1_000);
    assert!(found.workers.contains(&WorkerState::Warming), "{found:?}");
    assert!(found.outcomes.contains("live") && found.outcomes.contains("aborted"), "{found:?}");
    walk(plan, Mischief { recycles: 1, spawn_failures: 1, ..Mischief::NONE }, 150);
}

#[test]
fn two_slots_that_are_warmed_up_and_replaced_one_at_a_time() {
    walk(rolling(declared(warmed(short(2))), 1, 0), Mischief { reloads: 1, ..Mischief::NONE }, 1_000);
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

/// Everybody sleeps and is woken now and then.
const SLEEPY: Mischief = Mischief { dozes: 1, rouses: 1, ..Mischief::NONE };

#[test]
fn one_slot_that_sleeps_and_is_woken_at_any_moment() {
    let found = walk(short(1), Mischief { crashes: 1, ..SLEEPY }, 500);
    assert!(found.apps.contains(&AppState::Asleep), "{found:?}");
    walk(alternating(short(1)), Mischief { dozes: 2, rouses: 2, ..SLEEPY }, 150);
    walk(short(1), Mischief { stops: 1, starts: 2, ..SLEEPY }, 500);
}

#[test]
fn one_slot_that_sleeps_while_it_is_replaced_at_any_moment() {
    let found = walk(short(1), Mischief { reloads: 1, ..SLEEPY }, 1_000);
    assert!(found.outcomes.contains("live") && found.outcomes.contains("aborted"), "{found:?}");
    walk(short(1), Mischief { recycles: 1, ..SLEEPY }, 500);
    walk(short(1), Mischief { words: 1, ..SLEEPY }, 500);
}

#[test]
#[ignore = "takes minutes"]
fn slots_that_sleep_while_everything_else_goes_on() {
    walk(tried(short(1)), Mischief { reloads: 1, doubts: 1, ..SLEEPY }, 1_000);
    walk(short(1), Mischief { reloads: 1, crashes: 1, dozes: 2, rouses: 2, ..SLEEPY }, 1_000);
    walk(short(2), Mischief { resizes: 1, ..SLEEPY }, 500);
    walk(watched(2), Mischief { ills: 1, ..SLEEPY }, 500);
}

#[test]
fn two_slots_that_sleep_and_are_woken_at_any_moment() {
    walk(Plan { concurrent_starts: 2, ..short(2) }, SLEEPY, 500);
}

#[test]
fn slots_that_sleep_and_crash_when_they_are_woken() {
    let found = walk(frail(1, Policy::Always, RETRY), Mischief { crashes: 2, ..SLEEPY }, 500);
    assert!(found.apps.is_superset(&BTreeSet::from([AppState::CrashLooping, AppState::Asleep])), "{found:?}");
    let some = Mischief { crashes: 1, endings: 1, ..SLEEPY };
    walk(frail(1, Policy::OnFailure, OnLoop::GiveUp), some, 100);
}

/// A new generation takes over in steps.
fn rolling(plan: Plan, surge: u32, unavailable: u32) -> Plan {
    Plan { rollout: Rollout { surge, unavailable }, concurrent_starts: plan.workers, ..plan }
}

#[test]
fn two_slots_replaced_one_at_a_time() {
    let found = walk(rolling(short(2), 1, 0), Mischief { reloads: 1, ..Mischief::NONE }, 1_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live", "rolled back"]));
}

#[test]
fn two_slots_replaced_where_one_goes_first() {
    let found = walk(rolling(short(2), 0, 1), Mischief { reloads: 1, ..Mischief::NONE }, 1_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live", "rolled back"]));
}

#[test]
fn one_slot_replaced_where_somebody_has_a_say_in_it() {
    let plan = Plan { gated: true, ..short(1) };
    let found = walk(plan, Mischief { reloads: 2, crashes: 1, ..Mischief::NONE }, 1_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live", "superseded"]));
    walk(Plan { gated: true, ..rolling(declared(short(2)), 1, 0) }, Mischief { reloads: 1, ..Mischief::NONE }, 1_000);
}

#[test]
fn one_slot_replaced_while_requests_wait() {
    let plan = Plan { rollout: Rollout::ONE_AFTER_THE_OTHER, ..short(1) };
    let found = walk(plan, Mischief { reloads: 2, stops: 1, ..Mischief::NONE }, 1_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live", "superseded"]));
    walk(plan, Mischief { reloads: 1, crashes: 2, spawn_failures: 1, ..Mischief::NONE }, 1_000);
}

#[test]
#[ignore = "takes minutes"]
fn three_slots_replaced_two_at_a_time() {
    let plan = Plan { probing: Probing { successes: 1, ..short(3).probing }, ..declared(rolling(short(3), 2, 0)) };
    walk(plan, Mischief { reloads: 1, ..Mischief::NONE }, 1_000);
}

#[test]
#[ignore = "takes minutes"]
fn two_slots_replaced_in_steps_while_they_crash_and_memory_is_short() {
    let some = Mischief { reloads: 1, crashes: 1, ..Mischief::NONE };
    walk(rolling(short(2), 1, 0), some, 1_000);
    walk(rolling(short(2), 0, 1), some, 1_000);
    walk(rolling(short(2), 1, 0), Mischief { reloads: 2, ..Mischief::NONE }, 1_000);
    let plan = Plan { concurrent_starts: 2, ..declared(short(2)) };
    walk(plan, Mischief { reloads: 1, squeezes: 1, ..Mischief::NONE }, 1_000);
}

/// A new generation is watched for 5 s, and the one before it kept for 10.
fn tried(plan: Plan) -> Plan {
    let wait = Duration::from_secs(5);
    Plan { trial: Trial { bake: wait, retain: 2 * wait, canary: None }, ..plan }
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

/// A new generation is tried on a tenth of the clients for 5 s before it takes over.
fn careful(plan: Plan) -> Plan {
    let canary = Some(Canary { share: 1_000, bake: Duration::from_secs(5) });
    Plan { trial: Trial { canary, ..plan.trial }, ..plan }
}

#[test]
fn one_slot_tried_on_a_few_first_at_any_moment() {
    let some = Mischief { reloads: 1, doubts: 1, crashes: 1, stops: 1, ..Mischief::NONE };
    let found = walk(careful(declared(short(1))), some, 1_000);
    assert_eq!(found.outcomes, BTreeSet::from(["aborted", "live", "rolled back"]));
    let found = walk(careful(declared(short(1))), Mischief { reloads: 2, ..Mischief::NONE }, 1_000);
    assert!(found.outcomes.contains("superseded"), "{found:?}");
}

#[test]
fn two_slots_tried_on_a_few_first() {
    let plan = Plan { concurrent_starts: 2, ..careful(declared(short(2))) };
    walk(plan, Mischief { reloads: 1, doubts: 1, ..Mischief::NONE }, 300);
    walk(rolling(plan, 1, 0), Mischief { reloads: 1, doubts: 1, ..Mischief::NONE }, 300);
    walk(rolling(plan, 0, 1), Mischief { reloads: 1, ..Mischief::NONE }, 300);
}

#[test]
#[ignore = "takes minutes"]
fn two_slots_replaced_on_trial_that_crash() {
    let plan = Plan { concurrent_starts: 2, ..tried(short(2)) };
    let found = walk(plan, Mischief { reloads: 1, crashes: 2, ..Mischief::NONE }, 1_000);
    assert!(found.outcomes.contains("rolled back"), "{found:?}");
}
