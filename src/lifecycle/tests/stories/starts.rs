//! How an app comes up.

use super::*;

#[test]
fn each_worker_of_a_first_start_serves_from_its_first_success() {
    let mut world = fresh(plan(2));
    assert_eq!(world.then(Choice::Start), "publish 1, spawn 1 as web 1.0, spawn 2 as web 1.1");
    assert_eq!(world.acknowledged(1), "");
    assert_eq!(world.spawned(1), "probe 1");
    assert_eq!(world.spawned(2), "probe 2");
    assert_eq!(world.failed(1), "");
    assert_eq!(world.passed(2), "publish 2");
    assert_eq!(world.app.report().state, AppState::Degraded);
    assert_eq!(world.woken(), "probe 1");
    assert_eq!(world.passed(1), "publish 3");
    assert_eq!(world.app.report().state, AppState::Running);
    assert_eq!(world.app.deadline(), None);
}

#[test]
fn the_proxies_learn_that_a_worker_is_expected_before_one_is_there() {
    let mut world = fresh(plan(1));
    assert!(!world.app.is_expected());
    world.apply(Choice::Start);
    assert!(world.app.is_expected());
    assert_eq!(world.actions[0], Action::Publish { version: Version(1) });
    assert_eq!(world.app.endpoints(), []);
}

#[test]
fn the_next_probe_comes_an_interval_after_the_answer_to_the_last() {
    let mut world = fresh(plan(1));
    world.apply(Choice::Start);
    world.spawned(1);
    world.now += seconds(3);
    world.failed(1);
    assert_eq!(world.app.deadline(), Some(world.now + world.plan.probing.interval));
}

#[test]
fn who_starts_is_asked_the_sooner_the_shorter_it_has_been_at_it() {
    let probing = Probing { soonest: Duration::from_millis(10), ..plan(1).probing };
    let mut world = fresh(Plan { probing, ..plan(1) });
    world.apply(Choice::Start);
    world.spawned(1);
    let millis = |world: &World| (world.app.deadline().unwrap() - world.now).as_millis();
    for (started, pause) in [(0, 10), (10, 10), (160, 20), (1_200, 150), (30_000, 250)] {
        world.now += Duration::from_millis(started).saturating_sub(world.now - began(&world));
        world.failed(1);
        assert_eq!(millis(&world), pause, "after {started} ms");
        world.woken();
    }
    world.passed(1);
    assert_eq!(world.app.report().state, AppState::Running);
}

/// When the process of the first worker was there.
fn began(world: &World) -> std::time::Instant {
    world.processes[&Serial(1)].began.unwrap()
}

#[test]
fn no_more_workers_start_at_once_than_may() {
    let mut world = fresh(Plan { concurrent_starts: 2, ..plan(4) });
    assert_eq!(world.then(Choice::Start), "publish 1, spawn 1 as web 1.0, spawn 2 as web 1.1");
    world.spawned(2);
    assert_eq!(world.passed(2), "publish 2, spawn 3 as web 1.2");
    assert_eq!(world.then(Choice::SpawnFailed(Serial(1))), "spawn 4 as web 1.3");
    let workers = [WorkerState::Backoff, WorkerState::Serving, WorkerState::Spawning, WorkerState::Spawning];
    assert_eq!(world.states(), [(GenerationState::Live, workers.to_vec())]);
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_stopped_and_tried_again() {
    let mut world = fresh(tuned(plan(1), |plan| {
        plan.timeouts.start = seconds(1);
        plan.probing.interval = seconds(9);
    }));
    world.apply(Choice::Start);
    world.acknowledged(1);
    world.spawned(1);
    world.failed(1);
    assert_eq!(world.woken(), "stop 1");
    let reason = "worker web 1.0 was not ready within 1s: probe: GET /health answered 500";
    assert_eq!(world.app.report().generations[0].workers[0].last_failure.as_deref(), Some(reason));
    assert_eq!(world.exited(1), "");
    assert_eq!(world.app.report().restarts.start_timeout, 0, "not yet");
    assert_eq!(world.woken(), "spawn 2 as web 1.0");
    let report = world.app.report();
    assert_eq!(
        report.restarts.by_reason(),
        [("crash", 0), ("spawn_failed", 0), ("start_timeout", 1), ("gave_up", 0), ("left", 0)]
    );
    assert_eq!(report.generations[0].workers[0].last_exit.as_deref(), Some("exit code 1"));
}

#[test]
fn the_start_timeout_covers_the_process_too() {
    let mut world = fresh(plan(1));
    world.apply(Choice::Start);
    assert_eq!(world.app.deadline(), Some(world.now + seconds(60)));
    assert_eq!(world.woken(), "");
    assert_eq!(world.spawned(1), "stop 1");
    assert_eq!(world.exited(1), "");
    assert_eq!(world.woken(), "spawn 2 as web 1.0");
    assert_eq!(world.app.report().restarts.start_timeout, 1);
}

#[test]
fn a_process_that_cannot_be_killed_keeps_its_slot_until_it_is_gone() {
    let mut world = fresh(plan(1));
    world.apply(Choice::Start);
    world.acknowledged(1);
    world.spawned(1);
    assert_eq!(world.woken(), "stop 1");
    assert_eq!(world.woken(), "kill 1");
    assert_eq!(world.woken(), "");
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Unkillable])]);
    assert_eq!(world.app.deadline(), None);
    assert_eq!(world.exited(1), "");
    assert_eq!(world.woken(), "spawn 2 as web 1.0");
}

#[test]
fn a_plan_without_workers_or_permits_means_one() {
    let mut world = fresh(Plan { concurrent_starts: 1, ..plan(0) });
    assert_eq!(world.then(Choice::Start), "publish 1, spawn 1 as web 1.0");
    let mut world = running(tuned(plan(1), |plan| plan.probing.successes = 0));
    world.apply(Choice::Reload);
    world.spawned(2);
    assert_eq!(world.failed(2), "");
    assert_eq!(world.woken(), "probe 2");
    assert_eq!(world.passed(2), "publish 3");
}

#[test]
fn endless_timeouts_are_no_trouble() {
    let forever = Duration::MAX;
    let timeouts = Timeouts { start: forever, drain: forever, progress: forever, ..plan(1).timeouts };
    let plan = Plan { timeouts, ..hasty(1) };
    let mut world = running(plan);
    world.apply(Choice::Reload);
    world.settle();
    assert_eq!(world.outcomes, [(Ticket(1), Outcome::Live { generation: crate::id::Generation(2) })]);
}

#[test]
fn a_second_start_is_ignored_and_counted() {
    let mut world = running(plan(1));
    let plan = world.plan;
    assert_eq!(world.told(Event::Start(plan)), "");
    assert_eq!(world.app.report().ignored, 1);
}

#[test]
fn a_worker_that_has_lasted_is_ready_and_one_that_has_not_aborts_a_reload() {
    let mut world = running(lasting(plan(1)));
    assert_eq!(world.then(Choice::Reload), "spawn 2 as web 2.0");
    assert_eq!(world.spawned(2), "");
    world.pass(seconds(4));
    assert!(world.exited(2).starts_with("reload 1 aborted 2 by 2: worker web 2.0 exited with exit code 1 before"));
    world.settle();
    world.apply(Choice::Reload);
    world.spawned(3);
    let began = world.now;
    world.woken();
    assert_eq!(world.now - began, seconds(5));
    world.settle();
    assert_eq!(world.outcomes.last().map(|(_, outcome)| end(outcome)), Some("live 3".to_owned()));
}
