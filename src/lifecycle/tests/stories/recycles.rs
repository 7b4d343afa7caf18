//! Planned replacements.

use super::*;
use crate::lifecycle::{Cause, Parting, RecycleReason, Recycling, WorkerReport};

fn recycle(serial: u64, reason: RecycleReason) -> Event {
    Event::Recycle { serial: Serial(serial), reason }
}

impl World {
    fn recycled(&mut self, serial: u64) -> String {
        self.then(Choice::Recycle(Serial(serial)))
    }

    fn beside(&self) -> Vec<(Serial, WorkerState)> {
        let generations = self.app.report().generations.into_iter();
        let beside = generations.flat_map(|generation| generation.beside);
        beside.map(|worker| (worker.serial.unwrap(), worker.state)).collect()
    }

    pub(super) fn open(&self) -> Vec<u64> {
        self.app.endpoints().iter().filter(|one| one.open).map(|one| one.serial.0).collect()
    }

    fn slot(&self, slot: usize) -> WorkerReport {
        self.app.report().generations[0].workers[slot].clone()
    }

    fn recycles(&self) -> Vec<(RecycleReason, u64)> {
        self.app.report().recycles.by_reason().filter(|(_, count)| *count > 0).collect()
    }
}

#[test]
fn the_successor_serves_before_the_old_worker_leaves() {
    let mut world = running(plan(2));
    assert_eq!(world.told(recycle(1, RecycleReason::Asked)), "spawn 3 as web 1.0");
    assert_eq!(world.slot(0).recycle, Some(RecycleReason::Asked));
    assert_eq!(world.spawned(3), "probe 3");
    assert_eq!(world.beside(), [(Serial(3), WorkerState::Starting)]);
    for _ in 0..2 {
        assert_eq!((world.passed(3), world.woken()), (String::new(), "probe 3".to_owned()), "the full terms");
    }
    assert_eq!(world.passed(3), "publish 4");
    assert_eq!((world.open(), world.beside()), (vec![3, 2], vec![(Serial(1), WorkerState::Quiescing)]));
    assert_eq!(world.recycles(), [(RecycleReason::Asked, 1)]);
    assert_eq!((world.acknowledged(4), world.idle(1)), (String::new(), "publish 5".to_owned()));
    assert_eq!(world.acknowledged(5), "stop 1");
    let parting = Parting { cause: Cause::Recycled, reason: Some(RecycleReason::Asked), killed: false };
    assert_eq!(world.app.parting(Serial(1), None), Some(parting));
    assert_eq!(world.exited(1), "");
    assert_eq!((world.slot(0).recycle, world.slot(0).restarts.crash), (None, 0));
    assert_eq!(world.app.report().state, AppState::Running);
}

#[test]
fn who_leaves_with_work_in_flight_can_be_hastened_and_nobody_else() {
    let mut world = running(hasty(2));
    let hasten = |serial| Event::Hasten { serial: Serial(serial) };
    assert_eq!(world.told(hasten(1)), "", "it serves");
    world.recycled(1);
    assert_eq!(world.told(hasten(3)), "", "it starts");
    world.bring_up(3);
    let version = world.version().0;
    world.acknowledged(version);
    assert_eq!(world.told(hasten(1)), format!("forced 1, publish {}", version + 1));
    assert_eq!(world.acknowledged(version + 1), "stop 1", "not before the proxies know");
    assert_eq!(world.told(hasten(1)), "", "it is on its way");
    assert_eq!(world.app.report().ignored, 0);
}

#[test]
fn replacements_wait_for_their_turn_the_oldest_first() {
    let mut world = running(hasty(4));
    assert_eq!(world.recycled(3), "spawn 5 as web 1.2");
    world.pass(seconds(1));
    assert_eq!(world.recycled(2), "");
    world.pass(seconds(1));
    assert_eq!(world.recycled(1), "");
    assert_eq!(world.told(recycle(3, RecycleReason::Memory)), "", "known already");
    world.bring_up(5);
    world.acknowledged(world.version().0);
    world.idle(3);
    world.acknowledged(world.version().0);
    assert_eq!(world.exited(3), "spawn 6 as web 1.1", "only when the one before is gone");
    assert_eq!(world.app.report().ignored, 0);
    world.settle();
    assert_eq!(world.recycles(), [(RecycleReason::Asked, 3)]);
}

#[test]
fn a_tenth_of_many_workers_is_replaced_at_once() {
    let mut world = running(hasty(20));
    let spawned = (1..=20).map(|serial| world.recycled(serial)).filter(|asked| !asked.is_empty()).count();
    assert_eq!(spawned, 2);
    world.settle();
    assert_eq!(world.recycles(), [(RecycleReason::Asked, 20)]);
}

#[test]
fn a_successor_that_fails_changes_nothing_and_another_one_is_tried_later() {
    let mut world = running(tuned(plan(2), |plan| plan.restart.intensity = 1));
    world.recycled(1);
    world.spawned(3);
    assert_eq!(world.exited(3), "");
    assert_eq!((world.open(), world.app.report().state), (vec![1, 2], AppState::Running));
    let failure = "worker web 1.0 exited with exit code 1 before it was ready";
    assert_eq!(world.slot(0).last_failure.as_deref(), Some(failure));
    assert_eq!(world.woken(), "spawn 4 as web 1.0", "after the first pause");
    world.apply(Choice::SpawnFailed(Serial(4)));
    let pause = world.app.deadline().unwrap() - world.now;
    assert_eq!(pause, seconds(2), "the second is longer");
    assert_eq!(world.woken(), "spawn 5 as web 1.0");
    world.settle();
    assert_eq!((world.open(), world.recycles()), (vec![5, 2], vec![(RecycleReason::Asked, 1)]));
    assert_eq!(world.app.report().restarts.by_reason().map(|(_, count)| count), [0; 5]);
}

#[test]
fn one_that_failed_goes_to_the_end_of_the_queue() {
    let mut world = running(hasty(3));
    world.recycled(1);
    world.recycled(2);
    world.spawned(4);
    assert_eq!(world.exited(4), "spawn 5 as web 1.1");
}

#[test]
fn a_successor_that_is_late_is_stopped_and_tried_again() {
    let mut world = running(plan(1));
    world.recycled(1);
    world.spawned(2);
    world.now += seconds(60);
    assert_eq!(world.told(Event::Wake), "stop 2");
    assert_eq!(world.app.parting(Serial(2), None).map(|parting| parting.cause), Some(Cause::Late));
    assert!(world.slot(0).last_failure.is_some_and(|failure| failure.contains("was not ready within")));
    assert_eq!(world.woken(), "", "its place beside the sitter is still taken");
    assert_eq!(world.exited(2), "spawn 3 as web 1.0");
    world.settle();
    assert_eq!(world.open(), [3]);
}

#[test]
fn when_the_old_worker_crashes_its_successor_is_the_replacement() {
    let mut world = running(plan(1));
    world.recycled(1);
    world.spawned(2);
    assert_eq!(world.exited(1), "publish 3", "nobody else is started");
    assert_eq!(world.app.report().restarts.crash, 1);
    assert_eq!(world.passed(2), "publish 4", "one success is enough now");
    assert_eq!((world.open(), world.slot(0).recycle, world.recycles()), (vec![2], None, vec![]));
}

#[test]
fn a_reload_has_to_meet_the_full_terms_when_a_successor_takes_a_seat_that_becomes_free() {
    let mut world = running(plan(1));
    assert_eq!(world.recycled(1), "spawn 2 as web 1.0");
    world.bring_up(2);
    assert_eq!(world.then(Choice::Reload), "spawn 3 as web 2.0");
    world.bring_up(3);
    let published = format!("publish {}", world.version().next().0);
    assert_eq!(world.exited(1), published, "the successor serves, and one success is not enough to replace it");
    assert_eq!(world.open(), [2]);
    assert_eq!(world.states()[1], (GenerationState::Staging, vec![WorkerState::Probing]));
}

#[test]
fn when_the_old_worker_ends_as_it_may_its_successor_is_called_off() {
    let mut world = running(tuned(plan(1), |plan| plan.restart.policy = Policy::OnFailure));
    world.recycled(1);
    world.spawned(2);
    assert_eq!(world.ended(1, 0), "stop 2, publish 3");
    assert_eq!(world.app.parting(Serial(2), None).map(|parting| parting.cause), Some(Cause::Aborted));
    world.exited(2);
    assert_eq!(world.app.report().state, AppState::Exited);
}

#[test]
fn a_reload_makes_replacements_wait_and_then_pointless() {
    let mut world = running(hasty(2));
    assert_eq!(world.then(Choice::Reload), "spawn 3 as web 2.0");
    assert_eq!(world.recycled(1), "");
    world.spawned(3);
    let asked = world.exited(3);
    assert!(asked.starts_with("reload 1 aborted") && asked.contains("spawn 4 as web 1.0"), "{asked}");
    world.apply(Choice::Reload);
    world.spawned(4);
    world.bring_up(5);
    world.bring_up(6);
    assert!(world.asked().contains("stop 4"), "{}", world.asked());
    assert_eq!(world.app.parting(Serial(4), None).map(|parting| parting.cause), Some(Cause::Replaced));
    world.settle();
    assert_eq!((world.open(), world.recycles()), (vec![5, 6], vec![]));
}

#[test]
fn a_stop_takes_all_three_away() {
    let mut world = running(hasty(2));
    world.recycled(1);
    world.bring_up(3);
    world.acknowledged(4);
    world.idle(1);
    assert_eq!(world.acknowledged(5), "stop 1");
    assert_eq!(world.then(Choice::Stop), "publish 6");
    world.settle();
    assert!(world.processes.is_empty() && !world.app.is_wanted());
    assert_eq!(world.recycles(), [(RecycleReason::Asked, 1)], "it outlives the generation");
}

#[test]
fn nobody_is_replaced_in_a_crash_loop() {
    let mut world = running(tuned(hasty(2), |plan| plan.restart.intensity = 1));
    for serial in [1, 3] {
        world.exited(serial);
        while world.processes.len() < 2 && world.app.report().state != AppState::CrashLooping {
            world.woken();
        }
        if serial == 1 {
            world.bring_up(3);
        }
    }
    assert_eq!(world.app.report().state, AppState::CrashLooping);
    assert_eq!(world.recycled(2), "");
    world.settle();
    assert_eq!(world.recycles(), [(RecycleReason::Asked, 1)], "it is made good afterwards");
}

#[test]
fn who_does_not_serve_is_not_replaced() {
    let mut world = fresh(plan(1));
    world.apply(Choice::Start);
    world.spawned(1);
    assert_eq!(world.told(recycle(1, RecycleReason::Memory)), "");
    assert_eq!((world.app.report().ignored, world.slot(0).recycle), (1, None));
}

#[test]
fn an_old_process_that_cannot_be_killed_blocks_its_slot_and_no_other() {
    let mut world = running(hasty(2));
    world.recycled(1);
    world.bring_up(3);
    world.acknowledged(4);
    world.idle(1);
    world.acknowledged(5);
    assert_eq!((world.woken(), world.woken()), ("kill 1".to_owned(), String::new()));
    assert_eq!(world.beside(), [(Serial(1), WorkerState::Unkillable)]);
    assert_eq!(world.recycled(3), "");
    assert_eq!(world.recycled(2), "spawn 4 as web 1.1");
    world.settle();
    assert_eq!(world.recycles(), [(RecycleReason::Asked, 3)]);
}

#[test]
fn workers_are_replaced_when_they_are_as_old_as_they_may_be() {
    let aging = Recycling { max_age: Some(seconds(1_000)), jitter: 10, ..Recycling::default() };
    let mut world = fresh(tuned(hasty(2), |plan| plan.recycling = aging));
    world.apply(Choice::Start);
    (1..=2).for_each(|serial| world.bring_up(serial));
    assert_eq!(world.app.deadline(), Some(world.now + seconds(900)), "dice say the whole of the jitter");
    world.mischief.dice = 0;
    assert_eq!(world.woken(), "spawn 3 as web 1.0");
    assert_eq!(world.slot(1).recycle, Some(RecycleReason::MaxAge), "it waits for its turn");
    let begun = world.now;
    world.bring_up(3);
    world.acknowledged(4);
    world.idle(1);
    world.acknowledged(5);
    assert_eq!(world.exited(1), "spawn 4 as web 1.1");
    world.bring_up(4);
    world.acknowledged(6);
    world.idle(2);
    world.acknowledged(7);
    world.exited(2);
    assert_eq!(world.recycles(), [(RecycleReason::MaxAge, 2)]);
    assert_eq!(world.app.deadline(), Some(begun + seconds(1_000)), "and no sooner this time");
}

#[test]
fn a_worker_is_replaced_when_it_has_answered_as_much_as_it_may() {
    let busy = Recycling { max_exchanges: Some(100), jitter: 10, ..Recycling::default() };
    let mut world = running(tuned(hasty(2), |plan| plan.recycling = busy));
    let served = |serial, exchanges| Event::Served { serial: Serial(serial), exchanges };
    assert_eq!((world.told(served(1, 89)), world.slot(0).recycle), (String::new(), None));
    world.wished.insert(Serial(1));
    assert_eq!(world.told(served(1, 90)), "spawn 3 as web 1.0");
    assert_eq!(world.told(served(1, 91)), "");
    world.settle();
    assert_eq!(world.recycles(), [(RecycleReason::MaxRequests, 1)]);
    assert_eq!((world.told(served(3, 1)), world.app.report().ignored), (String::new(), 0));
    assert_eq!((world.told(served(9, 1)), world.app.report().ignored), (String::new(), 1));
}

#[test]
fn where_workers_never_meet_the_old_one_goes_first_and_that_is_no_crash() {
    let mut world = running(alternating(hasty(2)));
    let version = world.version().0;
    assert_eq!(world.told(recycle(1, RecycleReason::MaxAge)), format!("publish {}", version + 1));
    assert_eq!((world.slot(0).state, world.slot(0).recycle), (WorkerState::Quiescing, Some(RecycleReason::MaxAge)));
    assert_eq!(world.recycled(2), "", "one at a time");
    world.acknowledged(version + 1);
    world.idle(1);
    assert_eq!(world.acknowledged(version + 2), "stop 1");
    let parting = Parting { cause: Cause::Recycled, reason: Some(RecycleReason::MaxAge), killed: false };
    assert_eq!(world.app.parting(Serial(1), None), Some(parting));
    assert_eq!(world.exited(1), "spawn 3 as web 1.0");
    assert_eq!(world.slot(1).state, WorkerState::Serving, "it waits until the first slot is served again");
    world.settle();
    assert_eq!(world.recycles(), [(RecycleReason::MaxAge, 1), (RecycleReason::Asked, 1)]);
    let slots = [world.slot(0), world.slot(1)];
    assert!(slots.iter().all(|slot| slot.restarts.crash == 0 && slot.last_failure.is_none()), "{slots:?}");
    assert_eq!(world.app.report().state, AppState::Running);
}

#[test]
fn a_successor_that_crashes_where_workers_never_meet_is_started_again() {
    let mut world = running(alternating(hasty(2)));
    world.recycled(1);
    while world.state(Serial(1)).is_some() {
        let next = world.kindest().expect("it leaves");
        world.apply(next);
    }
    world.spawned(3);
    world.exited(3);
    assert_eq!((world.slot(0).state, world.slot(0).recycle), (WorkerState::Backoff, None));
    assert_eq!(world.recycled(2), "", "not while the other one is missing");
    world.settle();
    assert_eq!(world.app.report().state, AppState::Running);
    assert_eq!(world.recycles(), [(RecycleReason::Asked, 2)]);
}
