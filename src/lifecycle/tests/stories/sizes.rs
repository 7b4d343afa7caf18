//! Another number of workers while the app runs.

use super::*;
use crate::lifecycle::{Cause, Size};

impl World {
    fn resized(&mut self, workers: u32) -> String {
        self.then(Choice::Resize(workers))
    }

    fn open_slots(&self) -> Vec<u32> {
        self.app.endpoints().iter().filter(|one| one.open).map(|one| one.slot.0).collect()
    }
}

#[test]
fn new_slots_are_filled_and_serve_by_the_terms_of_any_other() {
    let mut world = running(plan(1));
    assert_eq!(world.resized(3), "spawn 2 as web 1.1, spawn 3 as web 1.2");
    assert_eq!(world.app.report().state, AppState::Degraded);
    world.spawned(2);
    let version = world.version().next().0;
    assert_eq!(world.passed(2), format!("publish {version}"), "one success, for nobody is replaced");
    world.bring_up(3);
    assert_eq!((world.open_slots(), world.app.report().state), (vec![0, 1, 2], AppState::Running));
    assert_eq!(world.app.report().generations[0].wanted, 3);
}

#[test]
fn surplus_workers_go_one_after_another_the_highest_first() {
    let mut world = running(plan(4));
    let version = world.version().0;
    assert_eq!(world.resized(2), format!("publish {}", version + 1));
    assert_eq!(world.open_slots(), [0, 1, 2]);
    assert_eq!(world.app.report().state, AppState::Running, "nobody is missing");
    assert_eq!(world.acknowledged(version + 1), "");
    assert_eq!(world.idle(4), format!("publish {}", version + 2));
    assert_eq!(world.acknowledged(version + 2), "stop 4");
    assert_eq!(world.app.parting(Serial(4)).map(|parting| parting.cause), Some(Cause::Scaled));
    assert_eq!(world.exited(4), format!("publish {}", version + 3), "now the next one");
    assert_eq!(world.open_slots(), [0, 1]);
    world.settle();
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving; 2])]);
    assert_eq!(world.app.report().restarts.by_reason().map(|(_, count)| count), [0; 5]);
}

#[test]
fn nobody_goes_who_is_needed() {
    let mut world = running(plan(3));
    world.exited(1);
    let version = world.version().next().0;
    assert_eq!(world.resized(1), format!("publish {version}"), "two serve, one is enough");
    assert_eq!(world.open_slots(), [1], "it stands in for the first");
    world.settle();
    assert_eq!(world.open_slots(), [0]);
}

#[test]
fn whoever_does_not_serve_yet_goes_at_once() {
    let mut world = running(tuned(plan(1), |plan| plan.concurrent_starts = 2));
    world.resized(4);
    world.spawned(2);
    assert_eq!(world.resized(1), "stop 2");
    world.settle();
    assert_eq!((world.open_slots(), world.app.report().generations[0].workers.len()), (vec![0], 1));
}

#[test]
fn who_was_let_go_of_does_not_come_back_and_another_one_takes_the_slot() {
    let mut world = running(plan(2));
    world.resized(1);
    assert_eq!(world.resized(2), "", "slot 1 is taken by somebody who leaves");
    let version = world.version().0;
    world.acknowledged(version);
    world.idle(2);
    world.acknowledged(version + 1);
    assert_eq!(world.exited(2), "spawn 3 as web 1.1");
    world.settle();
    assert_eq!((world.open_slots(), world.app.report().restarts.crash), (vec![0, 1], 0), "and that is no restart");
}

#[test]
fn a_generation_on_its_way_comes_to_the_new_number_too() {
    let mut world = running(hasty(2));
    world.apply(Choice::Reload);
    assert_eq!(world.resized(3), "spawn 4 as web 1.2");
    world.spawned(3);
    assert_eq!(world.passed(3), "spawn 5 as web 2.1, spawn 6 as web 2.2");
    world.settle();
    assert_eq!(world.outcomes.iter().map(|(_, outcome)| end(outcome)).collect::<Vec<_>>(), ["live 2"]);
    assert_eq!(world.open_slots(), [0, 1, 2]);
}

#[test]
fn a_generation_on_its_way_takes_over_as_soon_as_it_has_the_smaller_number() {
    let mut world = running(hasty(2));
    world.apply(Choice::Reload);
    world.bring_up(3);
    world.spawned(4);
    let asked = world.resized(1);
    assert!(asked.contains("stop 4") && asked.contains("publish"), "{asked}");
    assert_eq!(world.states()[1].0, GenerationState::Promoting);
    assert_eq!(world.app.parting(Serial(4)).map(|parting| parting.cause), Some(Cause::Scaled));
    world.settle();
    assert_eq!((world.open_slots(), world.outcomes.len()), (vec![0], 1));
}

#[test]
fn in_a_crash_loop_new_slots_wait_for_their_trial() {
    let mut world = running(tuned(hasty(1), |plan| plan.restart.intensity = 0));
    world.exited(1);
    assert_eq!(world.app.report().state, AppState::CrashLooping);
    assert_eq!(world.told(Event::Resize(Size { workers: 3, intensity: 0 })), "");
    assert_eq!(world.woken(), "spawn 2 as web 1.0", "one at a time");
    world.settle();
    assert_eq!((world.open_slots(), world.app.report().state), (vec![0, 1, 2], AppState::Running));
}

#[test]
fn a_slot_whose_worker_has_ended_for_good_is_filled_when_it_comes_anew() {
    let mut world = running(tuned(plan(2), |plan| plan.restart.policy = Policy::OnFailure));
    world.ended(2, 0);
    world.resized(1);
    assert_eq!(world.resized(2), "spawn 3 as web 1.1");
}

#[test]
fn whoever_stands_in_for_one_that_has_ended_for_good_stays() {
    let mut world = running(tuned(plan(2), |plan| plan.restart.policy = Policy::OnFailure));
    world.ended(1, 0);
    assert_eq!(world.resized(1), "");
    assert_eq!((world.open_slots(), world.app.report().state, world.is_at_rest()), (vec![1], AppState::Running, false));
    world.settle();
    assert!(world.is_at_rest());
    assert_eq!(world.then(Choice::Recycle(Serial(2))), "spawn 3 as web 1.1", "and is replaced as any other");
    world.settle();
    assert_eq!(world.open_slots(), [1]);
}

#[test]
fn a_successor_in_a_surplus_slot_is_called_off() {
    let mut world = running(hasty(2));
    assert_eq!(world.then(Choice::Recycle(Serial(2))), "spawn 3 as web 1.1");
    world.spawned(3);
    assert_eq!(world.resized(1), "stop 3", "and its sitter waits for the one permit");
    let version = world.version().next().0;
    assert_eq!(world.exited(3), format!("publish {version}"));
    world.settle();
    assert_eq!(world.open_slots(), [0]);
}

#[test]
fn an_app_that_does_not_run_has_no_number_to_change() {
    let mut world = fresh(plan(1));
    assert_eq!(world.told(Event::Resize(Size { workers: 2, intensity: 1 })), "");
    assert_eq!(world.app.report().ignored, 1);
}
