//! Other ways to be ready: the moves that there are only where it is declared, a matter of time, or after a warm-up.
//!
//! Each table has only what the usual one has not.

use std::time::Instant;

use super::{MOVES, label, moves, states};
use crate::lifecycle::state::State;
use crate::lifecycle::tests::{declared, lasting, plan, tuned, warmed};

/// The moves that there are only where readiness is declared: nobody is probed, so no probe is ever anybody's turn.
const DECLARED_MOVES: &[(&str, &str, &str)] =
    &[("Spawning", "spawned", "Starting?"), ("Starting?", "declared", "Probing?")];

#[test]
fn where_readiness_is_declared_one_word_is_enough_and_probes_mean_nothing() {
    let begin = Instant::now();
    let declared = declared(plan(1));
    let is_reachable = |state: &State| !matches!(label(*state).as_str(), "Starting" | "Probing");
    let moves = moves(declared, begin, states(begin).into_iter().filter(is_reachable).collect());
    let found: Vec<_> = moves.iter().map(|(from, input, to)| (from.as_str(), *input, to.as_str())).collect();
    let new: Vec<_> = found.iter().copied().filter(|one| !MOVES.contains(one)).collect();
    assert_eq!(new, DECLARED_MOVES);
    assert!(!found.iter().any(|(_, input, _)| ["success", "failure"].contains(input)), "{found:?}");
    let gone = MOVES.iter().filter(|one| !found.contains(one)).map(|(from, input, _)| (*from, *input));
    let gone: Vec<_> = gone.filter(|(from, _)| !["Starting", "Probing"].contains(from)).collect();
    let probes = [("Starting?", "success"), ("Starting?", "failure"), ("Probing?", "success"), ("Probing?", "failure")];
    assert_eq!(gone, [&[("Spawning", "spawned")][..], &probes[..]].concat());
}

/// What there is besides where workers are warmed up.
const WARMED_MOVES: &[(&str, &str, &str)] = &[
    ("Probing?", "admit 2", "Warming warm up"),
    ("Probing?", "admit 3", "Warming warm up"),
    ("Probing", "admit 2", "Warming warm up"),
    ("Probing", "admit 3", "Warming warm up"),
];

#[test]
fn where_workers_are_warmed_up_nobody_is_ready_before_that() {
    let begin = Instant::now();
    let moves = moves(tuned(warmed(plan(1)), |plan| plan.probing.successes = 2), begin, states(begin));
    let found: Vec<_> = moves.iter().map(|(from, input, to)| (from.as_str(), *input, to.as_str())).collect();
    let new: Vec<_> = found.iter().copied().filter(|one| !MOVES.contains(one)).collect();
    assert_eq!(new, WARMED_MOVES);
}

/// What there is only where a worker is ready when it has run for a while; a look at the clock that comes late is one.
const LASTING_MOVES: &[(&str, &str, &str)] =
    &[("Spawning", "spawned", "Starting"), ("Starting", "turn", "Probing?"), ("Starting", "deadline", "Probing?")];

#[test]
fn where_readiness_is_a_matter_of_time_nobody_is_asked() {
    let begin = Instant::now();
    let is_reachable = |state: &State| !matches!(label(*state).as_str(), "Starting?" | "Probing");
    let moves = moves(lasting(plan(1)), begin, states(begin).into_iter().filter(is_reachable).collect());
    let found: Vec<_> = moves.iter().map(|(from, input, to)| (from.as_str(), *input, to.as_str())).collect();
    let new: Vec<_> = found.iter().copied().filter(|one| !MOVES.contains(one)).collect();
    assert_eq!(new, LASTING_MOVES);
    let asked = ["success", "failure", "declared"];
    assert!(!found.iter().any(|(_, input, to)| asked.contains(input) || to.contains("probe")), "{found:?}");
}
