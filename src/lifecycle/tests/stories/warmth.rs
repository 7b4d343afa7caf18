//! Workers that are warmed up before they serve.

use super::*;

#[test]
fn a_worker_that_is_ready_is_warmed_up_and_serves_then() {
    let mut world = fresh(warmed(hasty(1)));
    world.apply(Choice::Start);
    world.spawned(1);
    assert_eq!(world.passed(1), "warm up 1");
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Warming])]);
    assert_eq!(world.then(Choice::Warmed(Serial(1))), "publish 2");
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving])]);
}

#[test]
fn one_that_is_not_warm_in_time_serves_all_the_same() {
    let mut world = fresh(warmed(hasty(1)));
    world.apply(Choice::Start);
    world.spawned(1);
    world.passed(1);
    world.pass(seconds(9));
    assert_eq!(world.woken(), "1 is cold, publish 2");
    assert_eq!(world.then(Choice::Warmed(Serial(1))), "", "nobody waits for that any more");
}

#[test]
fn a_reload_waits_until_all_its_workers_are_warm_and_the_old_ones_serve_meanwhile() {
    let mut world = running(warmed(hasty(2)));
    world.apply(Choice::Reload);
    world.spawned(3);
    assert_eq!(world.passed(3), "warm up 3");
    assert_eq!(world.states()[1].0, GenerationState::Staging, "one that is not warm proves nothing");
    assert_eq!(world.then(Choice::Warmed(Serial(3))), "spawn 4 as web 2.1");
    world.bring_up(4);
    assert_eq!(world.states()[0].1, [WorkerState::Serving; 2]);
    assert!(world.then(Choice::Warmed(Serial(4))).starts_with("publish "));
    assert_eq!(world.states()[1].1, [WorkerState::Serving; 2]);
}

#[test]
fn one_that_ends_while_it_is_warmed_up_ends_the_reload() {
    let mut world = running(warmed(hasty(1)));
    world.apply(Choice::Reload);
    world.bring_up(2);
    let asked = world.exited(2);
    assert!(asked.contains("worker web 2.0 exited with exit code 1 while it was warmed up"), "{asked}");
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving])]);
}

#[test]
fn the_successor_of_a_worker_is_warm_before_it_takes_the_seat() {
    let mut world = running(warmed(hasty(1)));
    world.apply(Choice::Recycle(Serial(1)));
    assert_eq!(world.spawned(2), "probe 2");
    assert_eq!(world.passed(2), "warm up 2");
    assert_eq!(world.then(Choice::Warmed(Serial(2))), "publish 3");
    assert_eq!(world.app.serves_since(Serial(2)), Some(world.now));
    assert_eq!(world.app.serves_since(Serial(1)), None);
}
