//! What workers say of themselves, and what comes of it.

use super::*;
use crate::lifecycle::worker::said::MOST_EXTENSION;
use crate::lifecycle::{Cause, Parting, RecycleReason, Word};

fn open(world: &World) -> Vec<u64> {
    world.app.endpoints().iter().filter(|one| one.open).map(|one| one.serial.0).collect()
}

/// An app of which each worker has to say every 10 s that it is well.
fn guarded(workers: u32) -> Plan {
    tuned(hasty(workers), |plan| plan.watchdog = Some(seconds(10)))
}

#[test]
fn who_says_that_it_stops_gets_no_more_requests_and_another_one_is_started_at_once() {
    let mut world = running(hasty(2));
    world.pass(seconds(60));
    let version = world.version().0;
    assert_eq!(world.said(1, Says::Leaves), format!("publish {}, spawn 3 as web 1.0", version + 1));
    assert_eq!((open(&world), world.app.report().state), (vec![2], AppState::Degraded));
    world.acknowledged(version + 1);
    world.spawned(3);
    assert_eq!(world.passed(3), format!("publish {}", version + 2), "it serves while the other one still goes");
    assert_eq!(world.idle(1), format!("publish {}", version + 3));
    assert_eq!(world.acknowledged(version + 3), "stop 1");
    assert_eq!(world.app.parting(Serial(1)), Some(Parting { cause: Cause::Left, reason: None, killed: false }));
    world.exited(1);
    let report = world.app.report();
    assert_eq!((report.restarts.left, report.restarts.crash, report.state), (1, 0, AppState::Running));
}

#[test]
fn who_says_so_again_and_again_is_started_after_a_pause_and_that_is_no_crash_loop() {
    let mut world = running(tuned(hasty(1), |plan| plan.restart.intensity = 1));
    for serial in 1..6 {
        world.said(serial, Says::Leaves);
        assert_eq!(world.states()[0].1, [WorkerState::Backoff], "it had not served for long");
        world.settle();
    }
    assert_eq!(world.app.report().state, AppState::Running);
}

#[test]
fn who_is_started_again_only_for_some_codes_is_waited_for() {
    let mut world = running(tuned(hasty(1), |plan| plan.restart.policy = Policy::OnFailure));
    let version = world.version().0;
    assert_eq!(world.said(1, Says::Leaves), format!("publish {}", version + 1));
    world.acknowledged(version + 1);
    assert_eq!(world.ended(1, 0), format!("publish {}", version + 2));
    assert_eq!(world.app.report().state, AppState::Exited);
}

#[test]
fn who_leaves_while_its_successor_starts_makes_way_for_it() {
    let mut world = running(hasty(1));
    world.apply(Choice::Recycle(Serial(1)));
    world.spawned(2);
    let version = world.version().0;
    assert_eq!(world.said(1, Says::Leaves), format!("publish {}", version + 1), "nobody else is started");
    assert_eq!(world.passed(2), format!("publish {}", version + 2));
    world.settle();
    assert_eq!((open(&world), world.app.report().restarts.left), (vec![2], 1));
}

#[test]
fn who_says_before_it_is_ready_that_it_will_not_be_fails_at_once() {
    for (word, why) in [(Says::Hopeless, "it says so"), (Says::Leaves, "it says that it stops")] {
        let mut world = running(hasty(1));
        world.apply(Choice::Reload);
        world.spawned(2);
        let sentence = format!("reload 1 aborted 2 by 2: worker web 2.0 will not be ready: {why}");
        assert_eq!(world.said(2, word), format!("stop 2, {sentence}"));
        world.settle();
        assert_eq!(open(&world), [1]);
    }
    let mut world = fresh(plan(1));
    world.apply(Choice::Start);
    world.spawned(1);
    assert_eq!(world.said(1, Says::Hopeless), "stop 1");
    assert_eq!(world.app.parting(Serial(1)).unwrap().cause, Cause::Late);
    world.exited(1);
    world.settle();
    assert_eq!((world.app.report().restarts.gave_up, open(&world)), (1, vec![2]));
}

#[test]
fn who_falls_silent_is_out_of_routing_for_good_and_replaced() {
    let mut world = running(guarded(3));
    let version = world.version().0;
    world.pass(seconds(9));
    for serial in [1, 3] {
        assert_eq!(world.said(serial, Says::Well), "");
    }
    assert_eq!(world.woken(), format!("publish {}, spawn 4 as web 1.1", version + 1));
    assert_eq!(open(&world), [1, 3]);
    let complaint = world.app.report().generations[0].workers[1].complaint.clone();
    assert_eq!(complaint.as_deref(), Some("it has not said WATCHDOG=1 for 10s"));
    assert_eq!(world.said(2, Says::Well), "", "too late");
    world.settle();
    assert_eq!(open(&world), [1, 4, 3]);
    assert_eq!(
        world.app.report().recycles.by_reason().find(|(_, count)| *count > 0),
        Some((RecycleReason::Watchdog, 1))
    );
}

#[test]
fn who_says_that_it_hangs_is_asked_for_a_dump_before_it_is_replaced() {
    let mut world = running(crate::lifecycle::tests::watched(hasty(3)));
    let version = world.version().0;
    assert_eq!(world.said(2, Says::Ill), format!("dump 2, publish {}", version + 1));
    world.now += seconds(2);
    assert!(world.told(Event::Wake).contains("spawn 4 as web 1.1"), "{}", world.asked());
}

#[test]
fn when_all_are_silent_all_keep_their_requests() {
    let mut world = running(guarded(1));
    assert_eq!(world.woken(), "spawn 2 as web 1.0");
    assert_eq!((open(&world), world.app.report().is_panicking), (vec![1], true));
}

#[test]
fn how_often_it_has_to_speak_is_its_own_to_change() {
    let mut world = running(hasty(1));
    assert_eq!(world.app.deadline(), None);
    world.told(Event::Told { serial: Serial(1), word: Word::Watchdog(Some(seconds(3))) });
    assert_eq!(world.app.deadline(), Some(world.now + seconds(3)));
    world.told(Event::Told { serial: Serial(1), word: Word::Watchdog(None) });
    assert_eq!(world.app.deadline(), None);
}

#[test]
fn a_deadline_is_moved_as_asked_and_never_back() {
    let extend = |world: &mut World, by: Duration| {
        world.told(Event::Told { serial: Serial(1), word: Word::Extend(by) });
        world.app.deadline().unwrap() - world.now
    };
    let mut world = fresh(declared(plan(1)));
    world.apply(Choice::Start);
    world.spawned(1);
    assert_eq!(extend(&mut world, MORE), seconds(60), "it has more than that");
    assert_eq!(extend(&mut world, seconds(90)), seconds(90));
    assert_eq!(extend(&mut world, seconds(1)), seconds(90));
    world.pass(seconds(80));
    assert_eq!(extend(&mut world, MOST_EXTENSION * 2), MOST_EXTENSION.saturating_sub(seconds(20)));
    world.apply(Choice::Declared(Serial(1)));
    world.apply(Choice::Stop);
    let version = world.version();
    world.apply(Choice::Acknowledged(version));
    assert_eq!(extend(&mut world, seconds(45)), seconds(45), "the drain");
    world.woken();
    let version = world.version();
    world.apply(Choice::Acknowledged(version));
    assert_eq!(extend(&mut world, seconds(20)), seconds(20), "the stop");
}

#[test]
fn a_reload_waits_for_a_worker_that_asks_for_more_time() {
    let mut world = running(tuned(declared(hasty(1)), |plan| plan.timeouts.progress = seconds(65)));
    world.apply(Choice::Reload);
    world.spawned(2);
    world.told(Event::Told { serial: Serial(2), word: Word::Extend(seconds(300)) });
    assert_eq!(world.app.deadline(), Some(world.now + seconds(300)));
    let said = world.woken();
    assert!(said.contains("web 2.0 was not ready within 300s"), "{said}");
}
