//! How an app goes to sleep that nobody asks for anything, and how it wakes.

use super::*;

fn state(world: &World) -> AppState {
    world.app.report().state
}

/// An app with two workers that sleeps; version 4 closed them, and version 5 is without them.
fn asleep() -> World {
    let mut world = running(hasty(2));
    assert_eq!(world.then(Choice::Doze), "publish 4", "closed, and nobody is asked to stop");
    assert_eq!((world.acknowledged(4), world.idle(1)), (String::new(), String::new()));
    assert_eq!(world.idle(2), "publish 5", "nobody has anything in flight on either");
    assert_eq!(world.acknowledged(5), "stop 1, stop 2");
    world
}

#[test]
fn workers_go_only_when_every_proxy_has_let_go_and_nobody_comes_until_somebody_asks() {
    let mut world = asleep();
    assert_eq!((world.exited(1), world.exited(2)), (String::new(), String::new()));
    assert_eq!((state(&world), world.app.deadline()), (AppState::Asleep, None));
    assert_eq!(world.states(), [(GenerationState::Asleep, vec![WorkerState::Asleep; 2])]);
    assert!(world.app.is_wanted() && world.app.is_expected() && world.is_at_rest());
    assert_eq!(world.app.report().restarts, Restarts::default());
}

#[test]
fn who_asks_before_they_go_is_served_by_those_who_are_there() {
    let mut world = running(hasty(2));
    world.then(Choice::Doze);
    assert_eq!(state(&world), AppState::Running);
    assert_eq!(world.then(Choice::Rouse), "publish 5");
    assert_eq!(world.app.endpoints().iter().filter(|one| one.open).count(), 2);
    world.settle();
    assert!(world.is_at_rest() && world.processes.len() == 2);
}

#[test]
fn what_does_not_end_keeps_it_awake() {
    let mut world = running(hasty(2));
    world.then(Choice::Doze);
    world.acknowledged(4);
    world.idle(2);
    assert_eq!(world.woken(), "publish 5", "something is in flight on the first");
    assert_eq!(world.app.endpoints().iter().filter(|one| one.open).count(), 2);
}

#[test]
fn one_comes_first_and_the_others_when_it_serves() {
    let mut world = asleep();
    world.exited(1);
    world.exited(2);
    assert_eq!(world.then(Choice::Rouse), "publish 6, spawn 3 as web 1.0");
    assert_eq!(state(&world), AppState::Starting);
    assert_eq!(world.spawned(3), "probe 3");
    assert_eq!(world.passed(3), "publish 7, spawn 4 as web 1.1", "one answer is enough");
    world.settle();
    assert_eq!((state(&world), world.app.report().restarts), (AppState::Running, Restarts::default()));
}

#[test]
fn who_asks_too_late_does_not_wait_for_those_on_their_way_out() {
    let mut world = asleep();
    assert_eq!(world.then(Choice::Rouse), "publish 6, spawn 3 as web 1.0", "beside the first, which ends");
    world.bring_up(3);
    world.settle();
    assert!(world.is_at_rest() && world.processes.len() == 2);
    let mut world = running(alternating(hasty(1)));
    world.then(Choice::Doze);
    world.acknowledged(world.version().0);
    world.idle(1);
    world.acknowledged(world.version().0);
    assert_eq!(world.then(Choice::Rouse), "publish 5", "nobody may run beside it");
    assert_eq!(world.exited(1), "spawn 2 as web 1.0");
}

#[test]
fn a_reload_wakes_the_new_generation_and_a_bad_one_leaves_the_old_one_asleep() {
    let mut world = asleep();
    world.exited(1);
    world.exited(2);
    assert_eq!(world.then(Choice::Reload), "spawn 3 as web 2.0");
    world.spawned(3);
    assert!(world.exited(3).contains("reload 1 aborted 2 by 3"), "{}", world.asked());
    assert_eq!((state(&world), world.processes.len()), (AppState::Asleep, 0));
    world.apply(Choice::Reload);
    world.bring_up(4);
    world.settle();
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving; 2])]);
}

#[test]
fn whoever_dozes_while_it_is_replaced_serves_until_then() {
    let mut world = running(hasty(1));
    world.then(Choice::Doze);
    assert_eq!(world.then(Choice::Reload), "publish 4, spawn 2 as web 2.0");
    assert_eq!(state(&world), AppState::Reloading);
}

#[test]
fn a_stop_ends_its_sleep_and_another_number_holds_when_it_wakes() {
    let mut world = asleep();
    world.exited(1);
    world.exited(2);
    let mut resized = world.clone();
    assert_eq!(world.then(Choice::Stop), "publish 6, retired 1, stopped");
    assert_eq!(resized.then(Choice::Resize(3)), "");
    resized.apply(Choice::Rouse);
    resized.settle();
    assert_eq!((state(&resized), resized.processes.len()), (AppState::Running, 3));
}

#[test]
fn a_start_that_fails_is_one_as_any_other() {
    let plan = Plan { restart: Restart { intensity: 1, ..plan(1).restart }, ..hasty(1) };
    let mut world = running(plan);
    world.apply(Choice::Doze);
    world.settle();
    assert_eq!(state(&world), AppState::Asleep);
    world.apply(Choice::Rouse);
    for _ in 0..2 {
        let serial = world.processes.keys().next().copied().unwrap_or(Serial(0));
        world.spawned(serial.0);
        world.exited(serial.0);
        world.woken();
    }
    assert_eq!((state(&world), world.app.is_expected()), (AppState::CrashLooping, false));
    world.settle();
    assert_eq!(state(&world), AppState::Running);
}

#[test]
fn whoever_is_watched_or_has_another_one_in_its_way_does_not_sleep() {
    let mut world = fresh(hasty(1));
    assert!(!world.app.may_doze());
    assert_eq!(world.told(Event::Doze), "");
    world.apply(Choice::Start);
    assert!(!world.app.may_doze(), "nobody serves");
    world.settle();
    assert!(world.app.may_doze());
    world.apply(Choice::Reload);
    assert!(!world.app.may_doze());
    assert_eq!(world.told(Event::Doze), "");
    assert_eq!(world.told(Event::Rouse), "");
}
