//! What the end of a worker is due to.

use super::*;
use crate::lifecycle::{Cause, Parting};

fn parting(world: &World, serial: u64) -> Option<Parting> {
    world.app.parting(Serial(serial), None)
}

fn asked(cause: Cause) -> Parting {
    Parting { cause, reason: None, killed: false }
}

#[test]
fn a_worker_that_nobody_asked_has_crashed() {
    let mut world = fresh(plan(1));
    world.apply(Choice::Start);
    world.spawned(1);
    assert_eq!(parting(&world, 1), Some(asked(Cause::Crashed)), "not ready yet");
    world.passed(1);
    assert_eq!(parting(&world, 1), Some(asked(Cause::Crashed)), "serving");
    world.apply(Choice::Stop);
    assert_eq!(parting(&world, 1), Some(asked(Cause::Crashed)), "not asked yet");
    assert_eq!(parting(&world, 9), None);
}

#[test]
fn a_worker_that_was_asked_is_stopped_and_one_that_does_not_listen_is_killed() {
    let mut world = running(plan(1));
    world.apply(Choice::Stop);
    world.acknowledged(3);
    world.idle(1);
    world.acknowledged(4);
    assert_eq!(parting(&world, 1), Some(asked(Cause::Stopped)));
    world.woken();
    assert_eq!(parting(&world, 1), Some(Parting { killed: true, ..asked(Cause::Stopped) }));
    world.woken();
    assert_eq!(parting(&world, 1), Some(Parting { killed: true, ..asked(Cause::Stopped) }), "stranded");
}

#[test]
fn a_worker_is_replaced_by_a_generation_that_serves() {
    let mut world = running(hasty(1));
    world.apply(Choice::Reload);
    world.bring_up(2);
    world.acknowledged(3);
    world.idle(1);
    world.acknowledged(4);
    assert_eq!(parting(&world, 1), Some(asked(Cause::Replaced)));
    assert_eq!(parting(&world, 2), Some(asked(Cause::Crashed)));
}

#[test]
fn a_worker_that_is_late_and_one_whose_reload_is_called_off_differ() {
    let mut world = running(plan(1));
    world.apply(Choice::Reload);
    world.spawned(2);
    world.apply(Choice::Reload);
    assert_eq!(parting(&world, 2), Some(asked(Cause::Aborted)));
    let mut world = fresh(hasty(1));
    world.apply(Choice::Start);
    world.spawned(1);
    world.woken();
    assert_eq!(parting(&world, 1), Some(asked(Cause::Late)));
}
