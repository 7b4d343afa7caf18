//! How one generation takes the place of another, or does not.

use super::*;

#[test]
fn a_reload_from_the_order_to_the_last_exit() {
    let mut world = running(plan(2));
    assert_eq!(world.version(), Version(3));
    assert_eq!(world.then(Choice::Reload), "spawn 3 as web 2.0");
    assert_eq!(world.spawned(3), "probe 3");
    for _ in 0..2 {
        assert_eq!(world.passed(3), "");
        assert_eq!(world.woken(), "probe 3");
    }
    assert_eq!(world.passed(3), "spawn 4 as web 2.1", "verified: now the others");
    world.spawned(4);
    world.passed(4);
    world.woken();
    world.passed(4);
    world.woken();
    assert_eq!(world.passed(4), "publish 4");
    let open: Vec<bool> = world.app.endpoints().iter().map(|endpoint| endpoint.open).collect();
    assert_eq!(open, [false, false, true, true], "one swap");
    assert_eq!(world.acknowledged(4), "reload 1 live 2");
    assert_eq!(world.idle(1), "publish 5");
    assert_eq!(world.idle(2), "publish 6");
    assert_eq!(world.acknowledged(5), "stop 1");
    assert_eq!(world.acknowledged(6), "stop 2");
    assert_eq!(world.exited(2), "");
    assert_eq!(world.exited(1), "retired 1");
    assert_eq!(world.app.report().state, AppState::Running);
}

#[test]
fn a_failed_probe_starts_the_row_anew() {
    let mut world = running(plan(1));
    world.apply(Choice::Reload);
    world.spawned(2);
    for outcome in [true, true, false, true, true] {
        let choice = if outcome { Choice::Passed(Serial(2)) } else { Choice::Failed(Serial(2)) };
        assert_eq!(world.then(choice), "");
        assert_eq!(world.woken(), "probe 2");
    }
    assert_eq!(world.passed(2), "publish 3");
}

#[test]
fn a_worker_that_exits_before_it_is_ready_aborts_the_reload() {
    let mut world = running(plan(3));
    world.apply(Choice::Reload);
    world.spawned(4);
    let reason = "worker web 2.0 exited with exit code 1 before it was ready";
    assert_eq!(world.exited(4), format!("reload 1 aborted 2 by 4: {reason}, retired 2"));
    assert_eq!(world.app.report().restarts.crash, 0, "it cost one process, and no restart");
    assert!(world.is_at_rest(), "the old generation never noticed");
}

#[test]
fn a_worker_that_cannot_be_started_aborts_the_reload() {
    let mut world = running(plan(1));
    world.apply(Choice::Reload);
    let reason = "worker web 2.0 could not be started: chdir: no such directory";
    let asked = world.then(Choice::SpawnFailed(Serial(2)));
    assert_eq!(asked, format!("reload 1 aborted 2 by 2: {reason}, retired 2"));
}

#[test]
fn a_worker_that_never_gets_ready_aborts_the_reload() {
    let mut world = running(tuned(plan(1), |plan| plan.probing.interval = seconds(40)));
    world.apply(Choice::Reload);
    world.spawned(2);
    world.failed(2);
    assert_eq!(world.woken(), "probe 2");
    world.failed(2);
    let reason = "worker web 2.0 was not ready within 60s: probe: GET /health answered 500";
    assert_eq!(world.woken(), format!("stop 2, reload 1 aborted 2 by 2: {reason}"));
    assert_eq!(world.exited(2), "retired 2");
}

#[test]
fn a_later_worker_that_fails_aborts_the_reload_and_takes_the_ready_ones_along() {
    let mut world = running(hasty(2));
    world.apply(Choice::Reload);
    world.bring_up(3);
    world.spawned(4);
    let reason = "worker web 2.1 exited with exit code 1 before it was ready";
    assert_eq!(world.exited(4), format!("stop 3, reload 1 aborted 2 by 4: {reason}"));
    let mut world = running(hasty(2));
    world.apply(Choice::Reload);
    world.bring_up(3);
    world.spawned(4);
    let reason = "worker web 2.0 exited with exit code 1 while it waited for the others to be ready";
    assert_eq!(world.exited(3), format!("stop 4, reload 1 aborted 2 by 3: {reason}"));
}

#[test]
fn a_reload_without_progress_is_aborted() {
    let mut world = running(tuned(hasty(2), |plan| plan.timeouts.progress = seconds(5)));
    world.apply(Choice::Reload);
    world.pass(seconds(4));
    world.bring_up(3);
    assert_eq!(world.app.deadline(), Some(world.now + seconds(5)), "a ready worker is progress");
    world.spawned(4);
    let asked = world.woken();
    assert_eq!(asked, "stop 3, stop 4, reload 1 aborted 2: no worker became ready within 5s");
}

#[test]
fn a_newer_reload_supersedes() {
    let mut world = running(hasty(1));
    world.apply(Choice::Reload);
    world.spawned(2);
    assert_eq!(world.then(Choice::Reload), "stop 2, reload 1 superseded, spawn 3 as web 3.0");
    world.bring_up(3);
    assert_eq!(world.acknowledged(3), "reload 2 live 3");
    assert_eq!(world.exited(2), "retired 2");
}

#[test]
fn a_worker_that_was_superseded_before_it_ran_is_stopped_when_it_does() {
    let mut world = running(plan(1));
    world.apply(Choice::Reload);
    assert_eq!(world.then(Choice::Reload), "reload 1 superseded, spawn 3 as web 3.0");
    assert_eq!(world.spawned(2), "stop 2");
    assert_eq!(world.exited(2), "retired 2");
}

#[test]
fn a_reload_may_follow_before_the_last_is_acknowledged() {
    let mut world = running(hasty(1));
    world.apply(Choice::Reload);
    world.bring_up(2);
    world.apply(Choice::Reload);
    assert_eq!(world.spawned(3), "probe 3");
    assert_eq!(world.passed(3), "reload 1 superseded, publish 4", "it was replaced before it was in force");
    assert_eq!(world.acknowledged(4), "reload 2 live 3");
}

#[test]
fn a_generation_that_never_came_up_is_replaced_at_the_first_ready_worker() {
    let mut world = fresh(plan(2));
    world.apply(Choice::Start);
    world.acknowledged(1);
    world.spawned(1);
    world.exited(1);
    world.spawned(2);
    world.apply(Choice::Reload);
    world.spawned(3);
    assert_eq!(world.passed(3), "stop 2, publish 2, spawn 4 as web 2.1");
    assert_eq!(world.acknowledged(2), "reload 1 live 2");
    assert_eq!(world.app.report().state, AppState::Degraded);
    assert_eq!(world.spawned(4), "probe 4");
    assert_eq!(world.exited(4), "", "an ordinary worker of a live generation is tried again");
    assert_eq!(world.exited(2), "retired 1");
    assert_eq!(world.woken(), "spawn 5 as web 2.1");
}

#[test]
fn if_the_old_generation_serves_after_all_the_new_one_has_to_meet_the_full_terms() {
    let mut world = fresh(plan(1));
    world.apply(Choice::Start);
    world.spawned(1);
    world.apply(Choice::Reload);
    world.spawned(2);
    assert_eq!(world.passed(1), "publish 2");
    assert_eq!(world.passed(2), "", "one success would have been enough before");
    world.woken();
    world.passed(2);
    world.woken();
    assert_eq!(world.passed(2), "publish 3");
}

#[test]
fn a_live_worker_that_crashes_during_a_reload_is_restarted_where_it_was() {
    let mut world = running(hasty(2));
    world.apply(Choice::Reload);
    assert_eq!(world.exited(1), "publish 4");
    assert_eq!(world.woken(), "spawn 4 as web 1.0");
    world.bring_up(4);
    assert_eq!(world.states()[0], (GenerationState::Live, vec![WorkerState::Serving; 2]));
    assert_eq!(world.states()[1].0, GenerationState::Staging);
}

#[test]
fn when_all_live_workers_crash_during_a_reload_the_new_ones_serve_at_once() {
    let mut world = running(plan(2));
    world.apply(Choice::Reload);
    world.spawned(3);
    world.passed(3);
    assert_eq!(world.exited(1), "publish 4");
    assert_eq!(world.exited(2), "publish 5, spawn 4 as web 2.1, retired 1", "its one success is enough now");
    let open: Vec<Serial> = world.app.endpoints().iter().map(|endpoint| endpoint.serial).collect();
    assert_eq!(open, [Serial(3)]);
    assert_eq!(world.acknowledged(5), "reload 1 live 2");
}

#[test]
fn ready_workers_that_wait_for_others_serve_when_nobody_else_does() {
    let mut world = running(hasty(1));
    world.plan = hasty(2);
    world.apply(Choice::Reload);
    world.bring_up(2);
    assert_eq!(world.states()[1], (GenerationState::Verified, vec![WorkerState::Ready, WorkerState::Spawning]));
    assert_eq!(world.exited(1), "publish 3, retired 1");
}

#[test]
fn a_reload_may_change_the_number_of_workers() {
    for (before, after) in [(3, 1), (1, 3)] {
        let mut world = running(hasty(before));
        world.plan = hasty(after);
        world.apply(Choice::Reload);
        world.settle();
        assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving; after as usize])]);
        assert!(world.is_at_rest());
    }
}

#[test]
fn staging_has_permits_of_its_own() {
    let mut world = fresh(Plan { concurrent_starts: 1, ..plan(1) });
    world.apply(Choice::Start);
    world.spawned(1);
    assert_eq!(world.then(Choice::Reload), "spawn 2 as web 2.0", "a hanging generation does not block its cure");
}

#[test]
fn a_fourth_draining_generation_forces_the_oldest() {
    let mut world = running(hasty(1));
    for serial in 2..=4 {
        world.apply(Choice::Reload);
        world.bring_up(serial);
        world.apply(Choice::Acknowledged(world.version()));
    }
    world.apply(Choice::Reload);
    world.spawned(5);
    assert_eq!(world.passed(5), "forced 1, publish 6");
    let listed: Vec<u64> = world.app.endpoints().iter().map(|endpoint| endpoint.serial.0).collect();
    assert_eq!(listed, [2, 3, 4, 5]);
    assert_eq!(world.acknowledged(6), "stop 1, reload 4 live 5");
}

#[test]
fn a_reload_of_an_app_that_does_not_run_is_refused() {
    let mut world = fresh(plan(1));
    assert_eq!(world.then(Choice::Reload), "reload 1 aborted 1: the app is not running");
    assert_eq!(world.then(Choice::Start), "publish 1, spawn 1 as web 2.0", "the number is not used twice");
}

#[test]
fn where_workers_say_themselves_when_they_are_ready_one_word_of_each_is_enough() {
    let mut world = running(declared(plan(2)));
    assert_eq!(world.then(Choice::Reload), "spawn 3 as web 2.0");
    assert_eq!(world.spawned(3), "", "nobody asks");
    assert_eq!(world.app.deadline(), Some(world.now + world.plan.timeouts.start));
    assert_eq!(world.then(Choice::Declared(Serial(3))), "spawn 4 as web 2.1");
    assert_eq!(world.told(Event::Declared { serial: Serial(3) }), "", "once is enough");
    world.spawned(4);
    assert_eq!(world.then(Choice::Declared(Serial(4))), "publish 4");
    assert_eq!(world.acknowledged(4), "reload 1 live 2");
}

#[test]
fn a_worker_that_never_says_that_it_is_ready_aborts_the_reload() {
    let mut world = running(declared(plan(1)));
    world.apply(Choice::Reload);
    world.spawned(2);
    let reason = "worker web 2.0 was not ready within 60s: it never said that it is";
    assert_eq!(world.woken(), format!("stop 2, reload 1 aborted 2 by 2: {reason}"));
}
