//! Every reachable state of apps whose new generation is on trial, or is tried on a few first.
//!
//! Whatever is found wrong with it, at any moment, there is somebody to go back to.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{rolling, short, tried, walk};
use crate::lifecycle::tests::declared;
use crate::lifecycle::tests::world::Mischief;
use crate::lifecycle::{Canary, Plan, Trial, WorkerState};

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
