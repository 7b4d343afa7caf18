//! What becomes of a slot whose worker ends.

use super::*;

#[test]
fn a_worker_that_had_served_long_is_restarted_at_once() {
    let mut world = running(plan(2));
    world.pass(seconds(60));
    assert_eq!(world.exited(1), "publish 4, spawn 3 as web 1.0");
}

#[test]
fn a_worker_that_had_not_served_long_waits() {
    let mut world = running(plan(2));
    world.pass(seconds(59));
    assert_eq!(world.exited(1), "publish 4");
    assert_eq!(world.app.deadline(), Some(world.now + seconds(1)));
    assert_eq!(world.woken(), "spawn 3 as web 1.0");
}

#[test]
fn the_wait_doubles_with_each_failure_up_to_the_cap_and_counts_anew_after_a_long_life() {
    let mut world = running(plan(1));
    let mut waits = Vec::new();
    for serial in 1..=6 {
        world.exited(serial);
        waits.push(world.app.deadline().unwrap() - world.now);
        world.woken();
        world.spawned(serial + 1);
    }
    assert_eq!(waits, [1, 2, 4, 8, 8, 8].map(seconds));
    world.passed(7);
    world.pass(seconds(60));
    assert_eq!(world.exited(7), "publish 5, spawn 8 as web 1.0");
    world.spawned(8);
    world.exited(8);
    assert_eq!(world.app.deadline(), Some(world.now + seconds(1)));
}

#[test]
fn dice_shorten_the_wait() {
    let mut world = running(plan(1));
    world.mischief.dice = 51;
    world.exited(1);
    assert_eq!(world.app.deadline(), Some(world.now + Duration::from_millis(200)));
}

#[test]
fn one_success_is_enough_for_a_worker_that_was_restarted() {
    let mut world = running(plan(2));
    world.exited(1);
    world.woken();
    world.spawned(3);
    assert_eq!(world.passed(3), "publish 5");
}

#[test]
fn a_worker_that_ends_while_it_drains_is_published_away() {
    let mut world = running(hasty(1));
    world.apply(Choice::Reload);
    world.bring_up(2);
    assert_eq!(world.exited(1), "publish 4, retired 1", "quiescing");
    let mut world = running(hasty(1));
    world.apply(Choice::Reload);
    world.bring_up(2);
    world.acknowledged(3);
    assert_eq!(world.exited(1), "publish 4, retired 1", "draining");
}

#[test]
fn restarts_are_counted_by_reason_and_outlive_their_generation() {
    let mut world = running(hasty(1));
    world.exited(1);
    world.woken();
    world.apply(Choice::SpawnFailed(Serial(2)));
    world.woken();
    world.bring_up(3);
    let expected = [("crash", 1), ("spawn_failed", 1), ("start_timeout", 0), ("gave_up", 0), ("left", 0)];
    let report = world.app.report();
    assert_eq!(report.restarts.by_reason(), expected);
    assert_eq!(report.generations[0].workers[0].restarts.by_reason(), expected);
    world.apply(Choice::Reload);
    world.settle();
    let report = world.app.report();
    assert_eq!(report.restarts.by_reason(), expected, "of the app");
    assert_eq!(report.generations[0].workers[0].restarts.crash, 0, "of the slot in this generation");
}

#[test]
fn the_report_says_what_went_wrong_last() {
    let mut world = running(plan(1));
    world.exited(1);
    let worker = world.app.report().generations[0].workers[0].clone();
    assert_eq!(worker.state, WorkerState::Backoff);
    assert_eq!(worker.since, world.now);
    assert_eq!(worker.serial, None);
    assert_eq!(worker.last_exit.as_deref(), Some("exit code 1"));
    assert_eq!(worker.last_failure.as_deref(), Some("worker web 1.0 exited with exit code 1 while it served"));
    assert_eq!(world.app.report().state, AppState::Starting);
}

#[test]
fn what_comes_from_nobody_or_cannot_be_is_ignored_and_counted() {
    let mut world = running(plan(1));
    let known = Serial(1);
    let unknown = Serial(99);
    let events = [
        Event::Spawned { serial: unknown },
        Event::SpawnFailed { serial: unknown, reason: String::new() },
        Event::Probed { serial: unknown, outcome: Ok(()) },
        Event::Exited { serial: unknown, how: String::new(), code: None },
        Event::Idle { serial: unknown },
        Event::Published { version: world.version().next() },
        Event::Spawned { serial: known },
        Event::SpawnFailed { serial: known, reason: String::new() },
        Event::Probed { serial: known, outcome: Err(String::new()) },
        Event::Idle { serial: known },
    ];
    for (count, event) in events.into_iter().enumerate() {
        assert_eq!(world.told(event), "");
        assert_eq!(world.app.report().ignored, count as u64 + 1);
    }
    assert_eq!(world.told(Event::Published { version: Version(1) }), "");
    assert_eq!(world.told(Event::Wake), "");
    assert_eq!(world.app.report().ignored, 10, "an old acknowledgement or a wake-up too many is nothing special");
    assert!(world.is_at_rest());
}
