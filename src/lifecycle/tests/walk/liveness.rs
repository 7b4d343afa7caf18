//! Every reachable state of apps whose workers are asked on, have to speak, or say what they like of themselves.
//!
//! Whether they are right is not known: an answer or a word is all that there is.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{RETRY, frail, short, walk, watched};
use crate::lifecycle::tests::world::Mischief;
use crate::lifecycle::{AppState, OnLoop, Plan, Policy, Restart, WorkerState};

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
