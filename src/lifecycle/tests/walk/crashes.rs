//! Every reachable state of apps whose workers crash, end as they may and fail to start.
//!
//! Some are stopped, started or replaced meanwhile; nobody is recycled here, and nobody watched.

use std::collections::BTreeSet;

use super::{RETRY, frail, short, walk};
use crate::lifecycle::tests::world::Mischief;
use crate::lifecycle::{AppState, OnLoop, Plan, Policy};

#[test]
fn one_slot_stopped_and_started_again_at_any_moment() {
    walk(short(1), Mischief { stops: 1, starts: 2, crashes: 1, spawn_failures: 1, ..Mischief::NONE }, 1_000);
}

#[test]
fn two_slots_that_crash_and_fail_to_start() {
    let plan = Plan { concurrent_starts: 2, ..short(2) };
    walk(plan, Mischief { crashes: 2, spawn_failures: 1, ..Mischief::NONE }, 6_000);
}

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
