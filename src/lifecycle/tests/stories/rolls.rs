//! How one generation takes the place of another in steps.

use super::*;
use crate::lifecycle::{Cause, Rollout};

/// One more at a time.
fn one_more(workers: u32) -> Plan {
    tuned(hasty(workers), |plan| plan.rollout = Rollout { surge: 1, unavailable: 0 })
}

/// One less at a time.
fn one_less(workers: u32) -> Plan {
    tuned(hasty(workers), |plan| plan.rollout = Rollout { surge: 0, unavailable: 1 })
}

/// An app that runs, and is being reloaded.
fn reloading(plan: Plan) -> World {
    let mut world = running(plan);
    world.apply(Choice::Reload);
    world
}

impl World {
    /// Nothing is in flight, all proxies hear of it, it is asked to stop and ends; gives what follows from its end.
    fn goes(&mut self, serial: u64) -> String {
        let version = self.version();
        self.apply(Choice::Acknowledged(version));
        self.idle(serial);
        let version = self.version();
        assert_eq!(self.acknowledged(version.0), format!("stop {serial}"));
        self.exited(serial)
    }
}

#[test]
fn one_by_one_from_the_order_to_the_last_exit() {
    let mut world = reloading(one_more(3));
    assert_eq!(world.asked(), "spawn 4 as web 2.0");
    world.spawned(4);
    assert_eq!(world.passed(4), "publish 5", "it serves, and one goes in the same step");
    assert_eq!(world.open(), [1, 2, 4]);
    assert_eq!(world.goes(3), "spawn 5 as web 2.1", "there are no more than four at any time");
    assert_eq!(world.app.parting(Serial(2), None).map(|parting| parting.cause), Some(Cause::Crashed));
    world.bring_up(5);
    assert_eq!(world.open(), [1, 4, 5]);
    assert_eq!(world.goes(2), "spawn 6 as web 2.2");
    assert_eq!(world.states()[1].0, GenerationState::Rolling);
    world.spawned(6);
    assert_eq!(world.passed(6), "publish 9");
    assert_eq!(world.open(), [4, 5, 6]);
    assert_eq!(world.acknowledged(9), "reload 1 live 2");
    world.settle();
    assert!(world.is_at_rest());
}

#[test]
fn where_there_is_room_for_no_more_an_old_one_goes_first() {
    let mut world = reloading(one_less(2));
    assert_eq!(world.asked(), "publish 4");
    assert_eq!(world.open(), [1]);
    assert_eq!(world.goes(2), "spawn 3 as web 2.0");
    world.spawned(3);
    assert_eq!(world.passed(3), "publish 6", "then the next one goes");
    assert_eq!(world.open(), [3]);
    assert_eq!(world.goes(1), "spawn 4 as web 2.1");
    world.spawned(4);
    assert_eq!(world.passed(4), "publish 8, retired 1");
    assert_eq!(world.acknowledged(8), "reload 1 live 2");
}

#[test]
fn a_broken_build_costs_the_place_of_one_which_comes_back_as_it_was() {
    let mut world = reloading(one_less(2));
    world.goes(2);
    world.spawned(3);
    let reason = "worker web 2.0 exited with exit code 1 before it was ready";
    assert_eq!(world.exited(3), format!("reload 1 aborted 2 by 3: {reason}, spawn 4 as web 1.1, retired 2"));
    world.settle();
    assert!(world.is_at_rest());
    assert_eq!(world.open(), [1, 4]);
    assert_eq!(world.app.report().restarts.crash, 0);
}

#[test]
fn one_worker_alone_is_replaced_while_requests_wait() {
    let mut world = reloading(tuned(hasty(1), |plan| plan.rollout = Rollout::ONE_AFTER_THE_OTHER));
    assert_eq!(world.asked(), "publish 3");
    assert!(world.open().is_empty() && world.app.is_expected() && world.app.holds());
    assert_eq!(world.goes(1), "spawn 2 as web 2.0");
    assert!(world.app.is_expected());
    world.spawned(2);
    assert_eq!(world.passed(2), "publish 5, retired 1");
    assert_eq!(world.acknowledged(5), "reload 1 live 2");
    assert!(!world.app.holds());
}

#[test]
fn when_a_later_one_fails_what_was_taken_is_given_back() {
    let mut world = reloading(one_more(2));
    world.bring_up(3);
    assert_eq!(world.goes(2), "spawn 4 as web 2.1");
    world.spawned(4);
    let asked = world.exited(4);
    assert_eq!(asked, "reload 1 rolled back 2 to 1 by 4, spawn 5 as web 1.1", "the old one is wanted again");
    assert_eq!(world.open(), [1, 3], "the new one serves as long as it is needed");
    assert_eq!(world.states()[1].0, GenerationState::Yielding);
    world.bring_up(5);
    assert_eq!(world.open(), [1, 5]);
    assert_eq!(world.app.parting(Serial(3), None).map(|parting| parting.cause), Some(Cause::Crashed));
    world.settle();
    assert!(world.is_at_rest());
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving; 2])]);
}

#[test]
fn the_newest_wins_and_those_that_had_begun_go_first() {
    let mut world = reloading(one_more(3));
    world.bring_up(4);
    world.goes(3);
    assert_eq!(world.then(Choice::Reload), "reload 1 superseded", "there is no room yet");
    assert_eq!(world.open(), [1, 2, 4]);
    assert_eq!(world.spawned(5), "stop 5", "who was on its way is not wanted any more");
    assert_eq!(world.exited(5), "spawn 6 as web 3.0");
    world.bring_up(6);
    assert_eq!(world.open(), [1, 2, 6]);
    world.settle();
    assert!(world.is_at_rest());
    assert_eq!(world.outcomes.len(), 2);
}

#[test]
fn a_stop_stops_the_old_and_the_new_ones() {
    let mut world = reloading(one_more(2));
    world.bring_up(3);
    world.apply(Choice::Stop);
    assert!(world.open().is_empty());
    world.settle();
    assert!(world.processes.is_empty());
}

#[test]
fn who_crashes_of_the_old_ones_makes_room_for_a_new_one() {
    let mut world = reloading(one_more(3));
    world.bring_up(4);
    assert_eq!(world.exited(1), "publish 6, spawn 5 as web 2.1");
    assert_eq!(world.open(), [2, 4]);
}

#[test]
fn nobody_is_started_beside_the_others_while_memory_is_short() {
    let mut world = reloading(hasty(3));
    world.bring_up(4);
    assert_eq!(world.asked(), "spawn 5 as web 2.1, spawn 6 as web 2.2");
    assert_eq!(world.then(Choice::Squeeze), "publish 5", "who is ready takes over");
    assert_eq!(world.open(), [1, 2, 4]);
    world.spawned(5);
    world.passed(5);
    world.goes(3);
    world.spawned(6);
    world.passed(6);
    assert_eq!(world.open(), [4, 5, 6]);
    world.settle();
    assert!(world.is_at_rest());
}

#[test]
fn while_memory_is_short_the_next_one_waits_until_there_are_no_more_than_wanted() {
    let mut world = reloading(one_more(2));
    world.bring_up(3);
    world.apply(Choice::Squeeze);
    assert_eq!(world.goes(2), "", "two are wanted, and two are there");
    assert_eq!(world.then(Choice::Ease), "spawn 4 as web 2.1");
}

#[test]
fn a_reload_in_steps_that_gets_nowhere_is_undone() {
    let mut world = reloading(tuned(one_more(2), |plan| plan.timeouts.progress = seconds(50)));
    world.bring_up(3);
    world.goes(2);
    world.spawned(4);
    assert_eq!(world.woken(), "stop 4, reload 1 rolled back 2 to 1");
}

#[test]
fn bad_answers_while_it_takes_over_send_it_back_where_it_is_watched() {
    let mut world = reloading(tuned(one_more(2), |plan| {
        plan.trial = Trial { bake: seconds(30), retain: seconds(60), canary: None };
    }));
    world.bring_up(3);
    assert_eq!(world.then(Choice::Condemn), "reload 1 rolled back 2 to 1");
    world.settle();
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving; 2])]);
}

#[test]
fn where_the_old_generation_is_in_a_crash_loop_there_is_no_way_back() {
    let restart = Restart { intensity: 1, ..hasty(2).restart };
    let mut world = reloading(tuned(one_more(2), |plan| plan.restart = restart));
    world.bring_up(3);
    world.exited(1);
    assert_eq!(world.states()[0].0, GenerationState::Live);
    world.settle();
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving; 2])]);
    assert_eq!(world.app.report().generations[0].number, crate::id::Generation(2));
}

#[test]
fn another_number_of_workers_holds_for_those_that_come() {
    let mut world = reloading(one_more(2));
    world.bring_up(3);
    world.apply(Choice::Resize(3));
    world.settle();
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving; 3])]);
    assert_eq!(world.app.report().generations[0].number, crate::id::Generation(2));
}

#[test]
fn where_somebody_has_a_say_in_it_nobody_serves_before_and_it_is_asked_once() {
    for plan in [hasty(2), one_more(2)] {
        let is_stepwise = plan.rollout.is_stepwise();
        let mut world = reloading(tuned(plan, |plan| plan.gated = true));
        world.bring_up(3);
        if !is_stepwise {
            world.bring_up(4);
        }
        assert!(world.asked().contains("may 2 take over?"), "{}", world.asked());
        assert_eq!(world.open(), [1, 2]);
        let asked = world.then(Choice::Cleared(crate::id::Generation(2), true));
        assert!(asked.starts_with("publish 4"), "{asked}");
        world.settle();
        assert!(world.is_at_rest());
        assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving; 2])]);
    }
}

#[test]
fn whoever_may_not_take_over_is_given_up_and_nobody_notices() {
    let mut world = reloading(tuned(hasty(1), |plan| plan.gated = true));
    world.spawned(2);
    assert_eq!(world.passed(2), "may 2 take over?");
    assert_eq!(world.app.deadline(), None, "whoever was asked has a limit of its own");
    let asked = world.then(Choice::Cleared(crate::id::Generation(2), false));
    assert_eq!(asked, "stop 2, reload 1 aborted 2: it may not");
    assert_eq!(world.open(), [1]);
}

#[test]
fn a_worker_that_ends_while_somebody_is_asked_aborts_and_the_answer_is_no_news() {
    let mut world = reloading(tuned(hasty(1), |plan| plan.gated = true));
    world.bring_up(2);
    world.exited(2);
    let answer = Event::Cleared { generation: crate::id::Generation(2), outcome: Ok(()) };
    assert_eq!(world.told(answer), "");
    assert_eq!(world.open(), [1]);
}
