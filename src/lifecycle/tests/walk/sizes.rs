//! Every reachable state of apps that are to have more or fewer workers from any moment on.
//!
//! Who goes because they are too many goes as anybody does who leaves.

use super::{RETRY, frail, short, walk, watched};
use crate::lifecycle::tests::world::Mischief;
use crate::lifecycle::{AppState, OnLoop, Plan, Policy, WorkerState};

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
