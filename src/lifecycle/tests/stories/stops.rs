//! How workers and apps come to their end.

use super::*;

#[test]
fn a_whole_app_stops_in_order_and_in_parallel() {
    let mut world = running(plan(2));
    assert_eq!(world.then(Choice::Stop), "publish 4");
    assert!(!world.app.is_expected());
    assert_eq!(world.app.report().state, AppState::Stopping);
    assert_eq!(world.idle(1), "", "too early to act on, and not forgotten");
    assert_eq!(world.acknowledged(4), "publish 5");
    assert_eq!(world.acknowledged(5), "stop 1");
    assert_eq!(world.idle(2), "publish 6");
    assert_eq!(world.exited(1), "");
    assert_eq!(world.acknowledged(6), "stop 2");
    assert_eq!(world.exited(2), "retired 1, stopped");
    assert_eq!(world.app.report().state, AppState::Stopped);
}

#[test]
fn work_that_does_not_end_is_forced_once_and_a_deaf_process_is_killed() {
    let mut world = running(plan(1));
    world.apply(Choice::Stop);
    assert_eq!(world.app.deadline(), None, "the drain begins when no new claim can come");
    world.acknowledged(3);
    assert_eq!(world.app.deadline(), Some(world.now + seconds(30)));
    assert_eq!(world.woken(), "forced 1, publish 4");
    assert_eq!(world.told(Event::Idle { serial: Serial(1) }), "", "too late to matter");
    assert_eq!(world.acknowledged(4), "stop 1");
    assert_eq!(world.app.deadline(), Some(world.now + seconds(10)));
    assert_eq!(world.woken(), "kill 1");
    assert_eq!(world.app.deadline(), Some(world.now + seconds(5)));
    assert_eq!(world.exited(1), "retired 1, stopped");
}

#[test]
fn an_unkillable_process_holds_up_nothing_and_stays_in_the_report() {
    let mut world = running(plan(1));
    world.apply(Choice::Stop);
    world.acknowledged(3);
    world.woken();
    world.acknowledged(4);
    world.woken();
    assert_eq!(world.woken(), "retired 1, stopped");
    let report = world.app.report();
    assert_eq!(report.state, AppState::Stopped);
    assert_eq!(report.stranded.len(), 1);
    assert_eq!(report.stranded[0].state, WorkerState::Unkillable);
    assert_eq!(report.stranded[0].worker.to_string(), "web 1.0");
    assert_eq!(world.then(Choice::Start), "publish 5, spawn 2 as web 2.0");
    assert_eq!(world.exited(1), "");
    assert_eq!(world.app.report().stranded, []);
    assert_eq!(world.app.report().ignored, 0);
}

#[test]
fn an_unkillable_process_does_not_hold_up_a_reload_either() {
    let mut world = fresh(hasty(1));
    world.apply(Choice::Start);
    world.spawned(1);
    for asked in ["stop 1", "kill 1", ""] {
        assert_eq!(world.woken(), asked);
    }
    world.apply(Choice::Reload);
    world.spawned(2);
    assert_eq!(world.passed(2), "publish 2, retired 1");
    assert_eq!(world.app.report().stranded[0].serial, Some(Serial(1)));
}

#[test]
fn a_process_that_appears_after_its_kill_is_killed_again() {
    let mut world = fresh(plan(1));
    world.apply(Choice::Start);
    assert_eq!(world.then(Choice::Stop), "publish 2");
    assert_eq!(world.woken(), "kill 1");
    assert_eq!(world.woken(), "retired 1, stopped");
    assert_eq!(world.spawned(1), "kill 1");
    assert_eq!(world.exited(1), "");
    assert_eq!(world.app.report().stranded, []);
}

#[test]
fn a_stop_aborts_a_reload() {
    let mut world = running(plan(1));
    world.apply(Choice::Reload);
    world.spawned(2);
    assert_eq!(world.then(Choice::Stop), "stop 2, reload 1 aborted 2: the app is stopping, publish 3");
    assert_eq!(world.exited(2), "retired 2");
    assert_eq!(world.then(Choice::Reload), "reload 2 aborted 3: the app is not running");
}

#[test]
fn a_stop_before_the_promotion_is_acknowledged_ends_that_reload_too() {
    let mut world = running(hasty(1));
    world.apply(Choice::Reload);
    world.bring_up(2);
    assert_eq!(world.then(Choice::Stop), "reload 1 aborted 2: the app is stopping, publish 4");
    world.settle();
    assert!(world.is_at_rest() && !world.stop_owed);
}

#[test]
fn a_stop_while_slots_wait_leaves_nothing_to_wait_for() {
    let mut world = fresh(Plan { concurrent_starts: 1, ..plan(3) });
    world.apply(Choice::Start);
    world.apply(Choice::SpawnFailed(Serial(1)));
    world.apply(Choice::SpawnFailed(Serial(2)));
    world.apply(Choice::SpawnFailed(Serial(3)));
    assert_eq!(world.then(Choice::Stop), "publish 2, retired 1, stopped");
    assert_eq!(world.app.deadline(), None);
}

#[test]
fn each_stop_is_confirmed_even_of_an_app_that_never_ran() {
    let mut world = fresh(plan(1));
    assert_eq!(world.then(Choice::Stop), "stopped");
    assert_eq!(world.then(Choice::Stop), "stopped");
    world.apply(Choice::Start);
    world.spawned(1);
    assert_eq!(world.then(Choice::Stop), "stop 1, publish 2");
    assert_eq!(world.then(Choice::Stop), "", "one confirmation for both");
    assert_eq!(world.exited(1), "retired 1, stopped");
}

#[test]
fn a_start_while_it_stops_begins_a_new_generation_beside_the_old_one() {
    let mut world = running(plan(1));
    world.apply(Choice::Stop);
    assert_eq!(world.then(Choice::Start), "publish 4, spawn 2 as web 2.0");
    world.acknowledged(4);
    world.idle(1);
    world.acknowledged(5);
    assert_eq!(world.exited(1), "retired 1", "and it is not stopped");
    world.bring_up(2);
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving])]);
}

#[test]
fn a_worker_of_no_proxy_is_stopped_without_a_drain() {
    let mut world = fresh(plan(1));
    world.apply(Choice::Start);
    world.spawned(1);
    world.failed(1);
    assert_eq!(world.then(Choice::Stop), "stop 1, publish 2");
}
