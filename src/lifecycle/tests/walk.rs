//! Every reachable state of small apps, breadth first.
//!
//! When two worlds are the same state is told in [`key`]. From each new state two more questions are asked: does a kind world
//! bring it to rest, and does it stop when it is asked to?

mod crashes;
mod key;
mod liveness;
mod recycles;
mod reloads;
mod sizes;
mod sleeps;
mod trials;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use key::Key;

use super::plan;
use super::world::{Choice, Mischief, World};
use crate::lifecycle::{
    AppState, Backoff, Liveness, OnLoop, Outcome, Plan, Policy, Probing, Restart, Rollout, Timeouts, Trial, WorkerState,
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

/// More than one end in 10 s is a crash loop, in which one worker is tried every 5 s.
fn frail(workers: u32, policy: Policy, on_loop: OnLoop) -> Plan {
    let (wait, plan) = (Duration::from_secs(5), short(workers));
    let restart = Restart { policy, intensity: 1, period: 2 * wait, on_loop, ..plan.restart };
    Plan { restart: Restart { stop_codes: [78].into_iter().collect(), ..restart }, concurrent_starts: 2, ..plan }
}

const RETRY: OnLoop = OnLoop::Retry(Duration::from_secs(5));

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

/// A new generation takes over in steps.
fn rolling(plan: Plan, surge: u32, unavailable: u32) -> Plan {
    Plan { rollout: Rollout { surge, unavailable }, concurrent_starts: plan.workers, ..plan }
}

/// A new generation is watched for 5 s, and the one before it kept for 10.
fn tried(plan: Plan) -> Plan {
    let wait = Duration::from_secs(5);
    Plan { trial: Trial { bake: wait, retain: 2 * wait, canary: None }, ..plan }
}
