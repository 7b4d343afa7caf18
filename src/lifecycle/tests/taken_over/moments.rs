//! Moments that have a name: at each of them an app is taken over, and what was under way goes on or ends as it must.
//!
//! All other moments are left to chance.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Taken, known, states};
use crate::id::Serial;
use crate::lifecycle::record::CircuitRecord;
use crate::lifecycle::tests::chance::WILD;
use crate::lifecycle::tests::plan;
use crate::lifecycle::tests::world::{Choice, Mischief, Says, World};
use crate::lifecycle::{Action, AppState, Event, OnLoop, Plan, Restart, Ticket, Timeouts, Trial, WorkerState};

/// An app with so many workers that serve.
fn running(plan: Plan) -> World {
    let mut world = World::new(plan, Mischief { busy: true, ..WILD });
    world.apply(Choice::Start);
    world.settle();
    world
}

fn state(taken: &Taken, serial: u64) -> Option<WorkerState> {
    states(&taken.app.report()).find(|(one, _)| one.0 == serial).map(|(_, state)| state)
}

#[test]
fn who_served_serves_on_and_the_proxies_are_told_again() {
    let world = running(plan(2));
    let taken = Taken::of(&world);
    assert_eq!(taken.app.endpoints(), world.app.endpoints());
    assert_eq!(taken.actions, [Action::Publish { version: world.version().next() }]);
}

#[test]
fn who_has_died_meanwhile_is_replaced() {
    let world = running(plan(2));
    let mut taken = Taken::of(&world);
    taken.processes.remove(&Serial(1));
    taken.feed(Event::Exited { serial: Serial(1), how: "an exit that nobody saw".into(), code: None });
    taken.settle();
    assert_eq!(taken.app.report().state, AppState::Running);
    assert_eq!(taken.app.report().restarts.crash, 1);
}

#[test]
fn a_drain_keeps_its_deadline() {
    let mut world = running(plan(1));
    let serial = Serial(1);
    world.apply(Choice::Stop);
    let version = world.version();
    world.apply(Choice::Acknowledged(version));
    let deadline = world.app.deadline().expect("it drains");
    world.now += Duration::from_secs(10);
    let mut taken = Taken::of(&world);
    assert_eq!((state(&taken, 1), taken.app.deadline()), (Some(WorkerState::Draining), Some(deadline)));
    taken.now = deadline;
    taken.feed(Event::Wake);
    assert!(taken.actions.contains(&Action::Forced { serial }), "{:?}", taken.actions);
}

#[test]
fn who_was_asked_to_stop_is_not_asked_again_and_is_killed_when_its_time_is_over() {
    let mut world = World::new(plan(1), WILD);
    world.apply(Choice::Start);
    world.apply(Choice::Spawned(Serial(1)));
    world.apply(Choice::Stop);
    let deadline = world.app.deadline().expect("it stops");
    let mut taken = Taken::of(&world);
    assert_eq!(state(&taken, 1), Some(WorkerState::Stopping));
    assert!(!taken.actions.iter().any(|action| matches!(action, Action::Stop { .. } | Action::Kill { .. })));
    taken.now = deadline;
    taken.feed(Event::Wake);
    assert!(taken.actions.contains(&Action::Kill { serial: Serial(1) }), "{:?}", taken.actions);
}

#[test]
fn a_reload_whose_caller_is_gone_is_given_up_and_the_old_generation_serves_on() {
    let mut world = running(plan(1));
    world.apply(Choice::Reload);
    world.apply(Choice::Spawned(Serial(2)));
    let mut taken = Taken::of(&world);
    assert_eq!((state(&taken, 1), state(&taken, 2)), (Some(WorkerState::Serving), Some(WorkerState::Stopping)));
    taken.settle();
    assert_eq!(known(&taken.app), BTreeSet::from([Serial(1)]));
}

/// Worker 2 has taken over from worker 1, which is kept for ten minutes.
fn with_somebody_kept() -> World {
    let trial = Trial { bake: Duration::ZERO, retain: Duration::from_mins(10), canary: None };
    let mut world = running(Plan { trial, ..plan(1) });
    world.apply(Choice::Reload);
    while !world.tickets.is_empty() {
        let next = world.kindest().expect("a reload comes to its end");
        world.apply(next);
    }
    world
}

#[test]
fn who_is_kept_to_go_back_to_is_kept_on_until_its_time_is_over() {
    let mut world = with_somebody_kept();
    let until = world.app.deadline().expect("it is kept for a time");
    world.now += Duration::from_mins(3);
    let mut taken = Taken::of(&world);
    assert_eq!((state(&taken, 1), state(&taken, 2)), (Some(WorkerState::Retained), Some(WorkerState::Serving)));
    assert_eq!(taken.app.deadline(), Some(until));
    let mut expired = Taken::of(&world);
    expired.now = until;
    expired.feed(Event::Wake);
    expired.settle();
    assert_eq!(known(&expired.app), BTreeSet::from([Serial(2)]));
    taken.feed(Event::GoBack { ticket: Ticket(7) });
    let open: Vec<_> = taken.app.endpoints().into_iter().filter(|one| one.open).map(|one| one.serial).collect();
    assert_eq!(open, [Serial(1)], "at once");
    taken.settle();
    assert_eq!(known(&taken.app), BTreeSet::from([Serial(1)]));
}

#[test]
fn who_is_kept_and_has_died_meanwhile_is_nobody_to_go_back_to() {
    let world = with_somebody_kept();
    let mut taken = Taken::of(&world);
    taken.processes.remove(&Serial(1));
    taken.feed(Event::Exited { serial: Serial(1), how: "an exit that nobody saw".into(), code: None });
    taken.settle();
    assert_eq!(known(&taken.app), BTreeSet::from([Serial(2)]));
}

#[test]
fn who_sleeps_sleeps_on_and_who_was_about_to_serves() {
    let mut world = running(plan(2));
    world.mischief.busy = false;
    world.apply(Choice::Doze);
    let dozing = Taken::of(&world);
    assert_eq!(dozing.app.report().state, AppState::Running);
    assert_eq!(dozing.app.endpoints().iter().filter(|one| one.open).count(), 2);
    world.settle();
    let mut taken = Taken::of(&world);
    assert_eq!((taken.app.report().state, taken.app.deadline()), (AppState::Asleep, None));
    assert!(taken.app.is_dormant(), "whoever asks wakes it");
    taken.feed(Event::Rouse);
    taken.settle();
    assert_eq!((taken.app.report().state, taken.processes.len()), (AppState::Running, 2));
}

#[test]
fn a_successor_that_was_being_warmed_up_takes_its_seat() {
    let timeouts = Timeouts { warmup: Some(Duration::from_secs(10)), ..plan(1).timeouts };
    let mut world = running(Plan { timeouts, ..plan(1) });
    world.apply(Choice::Recycle(Serial(1)));
    world.apply(Choice::Spawned(Serial(2)));
    for probe in 1..=3 {
        world.apply(Choice::Passed(Serial(2)));
        (probe < 3).then(|| world.apply(Choice::Wake(0)));
    }
    let mut taken = Taken::of(&world);
    assert_eq!(
        (state(&taken, 1), state(&taken, 2)),
        (Some(WorkerState::Quiescing), Some(WorkerState::Serving)),
        "it serves as it is"
    );
    taken.settle();
    assert_eq!(known(&taken.app), BTreeSet::from([Serial(2)]));
}

#[test]
fn who_had_fallen_silent_goes_when_nobody_comes_any_more() {
    let restart = Restart { intensity: 1, on_loop: OnLoop::GiveUp, ..plan(2).restart };
    let mut world = running(Plan { restart, watchdog: Some(Duration::from_secs(9)), ..plan(2) });
    world.apply(Choice::Told(Serial(1), Says::Ill));
    let mut taken = Taken::of(&world);
    assert_eq!(state(&taken, 1), Some(WorkerState::Unready));
    // Its successor had been ordered and was never seen; the other one crashes, and so does whoever comes.
    taken.feed(Event::Exited { serial: Serial(3), how: "an exit that nobody saw".into(), code: None });
    for _ in 0..2 {
        let serial = *taken.processes.iter().find(|serial| **serial != Serial(1)).unwrap();
        taken.processes.remove(&serial);
        taken.feed(Event::Exited { serial, how: "exit code 1".into(), code: Some(1) });
        taken.now += Duration::from_secs(1);
        taken.feed(Event::Wake);
        while taken.answer() {}
    }
    taken.settle();
    assert_eq!((taken.app.report().state, state(&taken, 1)), (AppState::GivenUp, None));
}

#[test]
fn a_crash_loop_goes_on_as_one() {
    let restart = Restart { intensity: 1, on_loop: OnLoop::Retry(Duration::from_secs(30)), ..plan(1).restart };
    let mut world = running(Plan { restart, ..plan(1) });
    for _ in 0..2 {
        let serial = *world.processes.keys().next().unwrap();
        world.apply(Choice::Exited(serial));
        if world.app.report().state != AppState::CrashLooping {
            world.settle();
        }
    }
    assert_eq!(world.app.report().state, AppState::CrashLooping);
    let taken = Taken::of(&world);
    assert_eq!(taken.app.report().state, AppState::CrashLooping);
    assert_eq!(taken.app.deadline(), world.app.deadline());
    assert!(matches!(world.app.record(world.now).generations[0].circuit, CircuitRecord::Looping { .. }));
}
