//! What becomes of workers that end too often, or that may end.

use super::*;

/// More than two ends in a minute are a crash loop; one worker is tried every 30 s, and 60 s of service end it.
fn frail(workers: u32) -> Plan {
    with(workers, Restart { intensity: 2, ..plan(1).restart })
}

fn with(workers: u32, restart: Restart) -> Plan {
    Plan { restart, ..hasty(workers) }
}

/// One worker that has ended three times within its first seconds.
fn looping(plan: Plan) -> World {
    let mut world = running(plan);
    for serial in 1..=2 {
        world.exited(serial);
        world.woken();
        world.spawned(serial + 1);
    }
    world.exited(3);
    world
}

impl World {
    fn state_of_app(&self) -> AppState {
        self.app.report().state
    }

    fn restarted(&self) -> u64 {
        self.app.report().restarts.by_reason().iter().map(|(_, count)| count).sum()
    }

    fn workers(&self) -> Vec<WorkerState> {
        self.states().pop().unwrap().1
    }
}

#[test]
fn one_end_too_many_is_a_crash_loop_and_one_worker_is_tried_now_and_then() {
    let mut world = running(frail(1));
    world.exited(1);
    world.woken();
    world.spawned(2);
    assert_eq!(world.exited(2), "");
    assert!(world.app.is_expected(), "two ends are none too many");
    world.woken();
    world.spawned(3);
    assert_eq!(world.exited(3), "publish 4", "nothing is to be expected");
    assert_eq!((world.state_of_app(), world.app.is_expected()), (AppState::CrashLooping, false));
    for serial in 4..7 {
        assert_eq!(world.app.deadline(), Some(world.now + seconds(30)));
        assert_eq!(world.woken(), format!("spawn {serial} as web 1.0"));
        world.spawned(serial);
        world.exited(serial);
    }
    assert_eq!(world.restarted(), 5, "of six ends the last is not made good yet");
}

#[test]
fn a_worker_that_serves_for_long_ends_the_crash_loop_for_all() {
    let mut world = running(frail(2));
    world.exited(1);
    world.exited(2);
    world.woken();
    world.spawned(3);
    world.spawned(4);
    world.exited(3);
    world.exited(4);
    assert_eq!(world.workers(), [WorkerState::Backoff; 2]);
    assert_eq!(world.woken(), "spawn 5 as web 1.0", "one of two");
    world.spawned(5);
    world.passed(5);
    world.acknowledged(7);
    assert_eq!((world.state_of_app(), world.app.is_expected()), (AppState::CrashLooping, false));
    assert_eq!(world.app.deadline(), Some(world.now + seconds(60)), "nobody else is tried meanwhile");
    assert_eq!(world.woken(), "publish 8, spawn 6 as web 1.1");
    assert_eq!((world.state_of_app(), world.app.is_expected()), (AppState::Degraded, true));
    world.settle();
    world.exited(5);
    world.exited(6);
    assert_eq!(world.state_of_app(), AppState::Starting, "ends are counted anew");
}

#[test]
fn ends_that_lie_further_apart_than_the_period_are_no_crash_loop() {
    let mut world = running(frail(1));
    for serial in 1..10 {
        world.exited(serial);
        world.settle();
        world.pass(seconds(30));
        assert_eq!(world.state_of_app(), AppState::Running);
    }
}

#[test]
fn a_worker_that_is_late_counts_neither_as_an_end_nor_as_a_success() {
    let mut world = running(with(1, Restart { intensity: 1, ..plan(1).restart }));
    for serial in 1..5 {
        if serial == 1 {
            world.exited(1);
        }
        world.woken();
        world.spawned(serial + 1);
        assert_eq!(world.woken(), format!("stop {}", serial + 1), "it never answered");
        world.exited(serial + 1);
        assert_eq!(world.state_of_app(), AppState::Starting);
    }
}

#[test]
fn a_reload_ends_a_crash_loop_and_what_was_given_up() {
    for on_loop in [OnLoop::Retry(seconds(30)), OnLoop::GiveUp] {
        let mut world = looping(with(1, Restart { on_loop, ..frail(1).restart }));
        let state = if on_loop == OnLoop::GiveUp { AppState::GivenUp } else { AppState::CrashLooping };
        assert_eq!(world.then(Choice::Reload), "spawn 4 as web 2.0");
        world.spawned(4);
        let asked = world.exited(4);
        assert!(asked.starts_with("reload 1 aborted 2 by 4"), "{asked}");
        assert_eq!(world.state_of_app(), state, "as before");
        world.apply(Choice::Reload);
        world.spawned(5);
        assert_eq!(world.passed(5), "publish 5, retired 1");
        assert_eq!((world.state_of_app(), world.app.is_expected()), (AppState::Running, true));
    }
}

#[test]
fn what_was_given_up_is_not_tried_again() {
    let mut world = looping(with(1, Restart { on_loop: OnLoop::GiveUp, ..frail(1).restart }));
    world.settle();
    assert_eq!((world.state_of_app(), world.app.deadline()), (AppState::GivenUp, None));
    assert_eq!((world.workers(), world.app.is_expected()), (vec![WorkerState::Exited], false));
    assert_eq!(world.restarted(), 2);
    assert_eq!(world.then(Choice::Stop), "retired 1, stopped");
}

#[test]
fn whoever_is_never_to_come_back_leaves_his_slot_empty() {
    let mut world = running(with(2, Restart { policy: Policy::Never, ..plan(1).restart }));
    assert_eq!(world.exited(1), "publish 4");
    assert_eq!((world.state_of_app(), world.app.is_expected()), (AppState::Degraded, true));
    assert_eq!(world.workers(), [WorkerState::Exited, WorkerState::Serving]);
    assert_eq!(world.ended(2, 0), "publish 5");
    assert_eq!((world.state_of_app(), world.app.is_expected()), (AppState::Exited, false));
    assert_eq!((world.app.deadline(), world.restarted()), (None, 0));
    let slots = &world.app.report().generations[0].workers;
    assert_eq!(slots[0].last_failure.as_deref(), Some("worker web 1.0 exited with exit code 1 while it served"));
    assert_eq!((slots[1].last_failure.as_deref(), slots[1].last_exit.as_deref()), (None, Some("exit code 0")));
    assert_eq!((slots[1].serial, slots[1].last), (None, Some(Serial(2))));
    world.apply(Choice::Reload);
    world.settle();
    assert_eq!(world.state_of_app(), AppState::Running, "a reload starts all of them");
}

#[test]
fn on_failure_an_exit_code_of_zero_is_the_end_and_any_other_is_not() {
    let mut world = running(with(2, Restart { policy: Policy::OnFailure, ..plan(1).restart }));
    world.ended(1, 0);
    assert_eq!(world.app.deadline(), None);
    world.exited(2);
    assert_eq!(world.workers(), [WorkerState::Exited, WorkerState::Backoff]);
    assert_eq!(world.woken(), "spawn 3 as web 1.1");
}

#[test]
fn a_stop_code_is_the_end_under_any_policy_and_no_crash() {
    for policy in [Policy::Always, Policy::OnFailure, Policy::Never] {
        let restart = Restart { policy, stop_codes: [78].into_iter().collect(), intensity: 1, ..plan(1).restart };
        let mut world = running(with(3, restart));
        for serial in 1..=3 {
            world.ended(serial, 78);
        }
        assert_eq!(world.state_of_app(), AppState::Exited);
        let workers = &world.app.report().generations[0].workers;
        assert!(workers.iter().all(|worker| worker.last_failure.is_none()), "{workers:?}");
    }
}

#[test]
fn a_fixed_delay_is_waited_for_every_time() {
    let mut world = running(with(1, Restart { delay: Some(seconds(2)), ..plan(1).restart }));
    world.pass(seconds(600));
    for serial in 1..=4 {
        world.exited(serial);
        assert_eq!(world.app.deadline(), Some(world.now + seconds(2)));
        world.woken();
        world.spawned(serial + 1);
    }
}
