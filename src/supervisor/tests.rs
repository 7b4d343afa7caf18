//! The whole driver against a simulated world with a clock that jumps: several apps that depend on each other, workers that
//! crash, hang and do not listen, proxies that are late, deaf and die, and an operator who keeps changing his mind.
//!
//! A seed makes a world, and the same seed the same one. `SIM_SEED` runs one again and tells what happens in it; `SIM_RUNS`
//! runs so many, from `SIM_FROM` on, however long that takes.

mod fronts;
mod judge;
mod nature;
mod operator;
mod processes;
mod simulation;
mod town;
mod world;

use std::time::{Duration, Instant};

use world::Tally;

/// Worlds in a usual run of the tests, unless time is over before.
const RUNS: u64 = 3_000;
const LIMIT: Duration = Duration::from_secs(12);

/// With so many worlds all that may happen has.
const ENOUGH: usize = 60;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

#[test]
fn in_no_simulated_world_is_a_promise_broken() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(seed) = number("SIM_SEED") {
        println!("{:?}", simulation::run(seed, folder.path(), true));
        return;
    }
    let (began, asked) = (Instant::now(), number("SIM_RUNS"));
    let first = number("SIM_FROM").unwrap_or(0);
    let seeds = (first..first + asked.unwrap_or(RUNS)).take_while(|_| asked.is_some() || began.elapsed() < LIMIT);
    let tallies: Vec<Tally> = seeds.map(|seed| simulation::run(seed, folder.path(), false)).collect();
    let sum = tallies.iter().copied().reduce(Tally::plus).unwrap_or_default();
    println!("{} worlds in {:?}: {sum:?}", tallies.len(), began.elapsed());
    assert!(tallies.len() < ENOUGH || sum.lacks_nothing(), "something never happens any more: {sum:?}");
}
