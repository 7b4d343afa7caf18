//! Every reachable state of apps whose workers are replaced one by one, beside each other or never met.
//!
//! Why somebody wishes for it is not known; the app goes through crashes and reloads meanwhile.

use super::{RETRY, frail, short, walk};
use crate::lifecycle::tests::world::Mischief;
use crate::lifecycle::tests::{alternating, lasting};
use crate::lifecycle::{AppState, OnLoop, Policy};

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
#[ignore = "takes minutes"]
fn two_slots_recycled_in_a_crash_loop() {
    walk(frail(2, Policy::Always, RETRY), Mischief { recycles: 1, crashes: 2, ..Mischief::NONE }, 10_000);
}
