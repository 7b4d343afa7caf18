//! Every reachable state of apps that are replaced: at once, in steps, with a say in it, by every way to be ready.
//!
//! Nobody goes back here: what is tried first is walked elsewhere.

use std::collections::BTreeSet;

use super::{rolling, short, walk};
use crate::lifecycle::tests::world::Mischief;
use crate::lifecycle::tests::{declared, lasting, warmed};
use crate::lifecycle::{Plan, Probing, Rollout, WorkerState};

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
fn two_slots_replaced() {
    let found = walk(short(2), Mischief { reloads: 1, ..Mischief::NONE }, 9_000);
    let others = [WorkerState::Unready, WorkerState::Retained, WorkerState::Warming, WorkerState::Asleep];
    let all: BTreeSet<_> = WorkerState::ALL.iter().copied().filter(|state| !others.contains(state)).collect();
    assert_eq!(found.workers, all, "states that the walk has seen");
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

#[test]
#[ignore = "takes minutes"]
fn one_slot_and_all_of_it_together() {
    let all = Mischief { reloads: 1, crashes: 1, spawn_failures: 1, stops: 1, starts: 2, ..Mischief::NONE };
    walk(short(1), all, 200_000);
    walk(short(1), Mischief { reloads: 3, crashes: 1, ..Mischief::NONE }, 200_000);
}

#[test]
#[ignore = "takes minutes"]
fn two_slots_replaced_while_they_crash_and_fail() {
    walk(short(2), Mischief { reloads: 1, crashes: 1, spawn_failures: 1, ..Mischief::NONE }, 150_000);
    walk(Plan { concurrent_starts: 2, ..short(2) }, Mischief { reloads: 1, crashes: 1, ..Mischief::NONE }, 80_000);
    walk(short(2), Mischief { reloads: 2, ..Mischief::NONE }, 150_000);
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
