//! A new generation is tried on a few before it takes over.

use super::*;
use crate::id::Generation;
use crate::lifecycle::Canary;

/// A new generation serves a share of the clients for 30 s first.
fn careful(plan: Plan, share: u32) -> Plan {
    tuned(plan, |plan| plan.trial.canary = Some(Canary { share, bake: seconds(30) }))
}

/// Generation 2, with workers from 5 on, is tried on a quarter of the clients of generation 1, which has four workers.
fn tried_on_a_few(plan: Plan) -> World {
    let mut world = running(plan);
    world.apply(Choice::Reload);
    world.bring_up(5);
    assert_eq!(world.asked(), "publish 6");
    assert_eq!(world.names(), "live canary");
    assert_eq!(world.app.canary(), Some((Generation(2), 2_500)));
    world
}

impl World {
    fn names(&self) -> String {
        let names = self.app.report().generations.into_iter().map(|one| one.state.to_string());
        names.collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn as_many_workers_start_as_the_share_needs_and_the_others_when_it_has_done_well() {
    let mut world = tried_on_a_few(careful(hasty(4), 2_500));
    assert_eq!(world.acknowledged(6), "", "its time begins");
    world.pass(seconds(29));
    assert_eq!(world.woken(), "spawn 6 as web 2.1, spawn 7 as web 2.2, spawn 8 as web 2.3");
    assert_eq!(world.app.canary(), Some((Generation(2), 2_500)), "until they are ready");
    (6..=8).for_each(|serial| world.bring_up(serial));
    assert_eq!(world.asked(), "publish 7");
    assert_eq!((world.app.canary(), world.names().as_str()), (None, "draining promoting"));
    assert_eq!(world.acknowledged(7), "reload 1 live 2");
}

#[test]
fn half_of_the_clients_need_half_of_the_workers() {
    let mut world = running(careful(hasty(4), 5_000));
    world.apply(Choice::Reload);
    world.bring_up(5);
    assert_eq!((world.asked().as_str(), world.names().as_str()), ("spawn 6 as web 2.1", "live verified"));
    world.bring_up(6);
    assert_eq!((world.asked().as_str(), world.names().as_str()), ("publish 6", "live canary"));
}

#[test]
fn one_that_ends_or_answers_badly_goes_and_nobody_of_those_before_it_ever_did() {
    let bad = Event::Condemn { generation: Generation(2), reason: "its answers are bad".into() };
    for end in [None, Some(bad)] {
        let mut world = tried_on_a_few(careful(hasty(4), 2_500));
        let asked = match end {
            Some(event) => world.told(event),
            None => world.exited(5),
        };
        assert!(asked.contains("reload 1 rolled back 2 to 1"), "{asked}");
        assert!(asked.contains("publish 7"), "{asked}");
        assert_eq!(world.app.canary(), None);
        assert_eq!(world.states()[0].1, [WorkerState::Serving; 4]);
    }
}

#[test]
fn a_newer_reload_takes_its_place() {
    let mut world = tried_on_a_few(careful(hasty(4), 2_500));
    let asked = world.then(Choice::Reload);
    assert!(asked.contains("reload 1 superseded"), "{asked}");
    assert_eq!(world.names(), "live aborted staging");
}

#[test]
fn the_operator_can_end_it_either_way() {
    let mut world = tried_on_a_few(careful(hasty(4), 2_500));
    let asked = world.then(Choice::GoBack);
    assert!(asked.contains("reload 1 rolled back 2 to 1"), "{asked}");
    assert_eq!(world.names(), "promoting aborted");
    assert!(world.acknowledged(7).contains("reload 2 live 1"), "when all proxies know");
    let mut world = tried_on_a_few(careful(hasty(4), 2_500));
    assert_eq!(world.then(Choice::Promote), "spawn 6 as web 2.1, spawn 7 as web 2.2, spawn 8 as web 2.3");
    let ignored = world.app.report().ignored;
    world.told(Event::Promote);
    assert_eq!(world.app.report().ignored, ignored + 1, "nobody is tried any more");
}

#[test]
fn with_nobody_to_serve_beside_it_takes_over_with_its_first_worker() {
    let mut world = fresh(careful(hasty(2), 2_500));
    world.apply(Choice::Start);
    world.apply(Choice::Reload);
    assert_eq!(world.names(), "live staging");
    world.bring_up(3);
    assert_eq!(world.names(), "draining promoting");
}

#[test]
fn when_nobody_serves_the_others_any_more_it_serves_all() {
    let mut world = running(careful(hasty(1), 5_000));
    world.apply(Choice::Reload);
    world.bring_up(2);
    assert_eq!(world.names(), "live canary");
    world.exited(1);
    assert_eq!((world.names().as_str(), world.app.canary()), ("promoting", None));
}

#[test]
fn where_workers_come_in_steps_it_is_one_of_them_and_the_steps_come_after_it() {
    let plan =
        tuned(careful(hasty(4), 5_000), |plan| plan.rollout = crate::lifecycle::Rollout { surge: 1, unavailable: 0 });
    let mut world = running(plan);
    world.apply(Choice::Reload);
    world.bring_up(5);
    assert_eq!((world.asked().as_str(), world.names().as_str()), ("publish 6", "live canary"));
    world.acknowledged(6);
    assert_eq!(world.states()[0].1, [WorkerState::Serving; 4], "nobody makes way yet");
    world.woken();
    assert_eq!(world.names(), "live rolling");
    world.settle();
    assert_eq!(world.states(), [(GenerationState::Live, vec![WorkerState::Serving; 4])]);
}

#[test]
fn whoever_takes_over_from_this_supervisor_takes_the_few_back() {
    let mut world = tried_on_a_few(careful(hasty(4), 2_500));
    world.acknowledged(6);
    let record = world.app.record(world.now);
    let mut todo = crate::lifecycle::Todo::new(Serial(99), Box::new(|| 0.5));
    let (name, plan, now) = (world.app.name.clone(), world.plan, world.now);
    let app = crate::lifecycle::App::adopt(name, &record, |_| plan, (now, now), &mut todo);
    assert_eq!(app.canary(), None);
    let open = app.endpoints().into_iter().filter(|one| one.open).map(|one| one.generation.0);
    assert_eq!(open.collect::<Vec<_>>(), [1; 4]);
    assert!(app.endpoints().iter().any(|one| !one.open && one.generation == Generation(2)), "it drains");
}
