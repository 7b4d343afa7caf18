//! Every reachable state of apps that sleep and are woken now and then.
//!
//! Whoever asks is served in the end; nobody is started for nobody.

use std::collections::BTreeSet;

use super::{RETRY, frail, short, tried, walk, watched};
use crate::lifecycle::tests::alternating;
use crate::lifecycle::tests::world::Mischief;
use crate::lifecycle::{AppState, OnLoop, Plan, Policy};

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
