//! How a generation that has taken over is watched, and how the one before it comes back.

use super::*;

/// A new generation is watched for 30 s, and the one before it kept for a minute.
fn tried(workers: u32) -> Plan {
    tuned(hasty(workers), |plan| plan.trial = Trial { bake: seconds(30), retain: seconds(60), canary: None })
}

/// Generation 2, with workers from 3 on, has taken over from generation 1.
fn on_trial() -> World {
    let mut world = running(tried(2));
    world.apply(Choice::Reload);
    world.bring_up(3);
    world.bring_up(4);
    assert_eq!(world.asked(), "publish 4");
    assert_eq!(world.acknowledged(4), "", "nobody is told before the trial is over");
    assert_eq!(world.state_names(), "retained baking");
    world
}

impl World {
    fn state_names(&self) -> String {
        let names = self.app.report().generations.into_iter().map(|one| one.state.to_string());
        names.collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a_good_generation_is_live_after_its_trial_and_the_one_before_it_leaves_later() {
    let mut world = on_trial();
    assert_eq!(world.idle(1), "", "it is kept");
    assert_eq!(world.idle(2), "");
    assert_eq!(world.woken(), "reload 1 live 2");
    assert_eq!(world.state_names(), "retained live");
    assert_eq!(world.woken(), "publish 5", "nothing was in flight any more");
    assert_eq!(world.state_names(), "draining live");
    assert_eq!(world.acknowledged(5), "stop 1, stop 2");
}

#[test]
fn the_first_crash_of_all_on_trial_brings_the_old_ones_back_at_once() {
    let mut world = on_trial();
    let reason = "none of its workers serves any more";
    assert_eq!(world.exited(3), "publish 5", "the other one serves");
    let back = format!("back from 2 to 1: {reason}, reload 1 rolled back 2 to 1, publish 6, retired 2");
    assert_eq!(world.exited(4), back);
    assert_eq!(world.open(), [1, 2]);
    assert_eq!(world.state_names(), "live");
    world.settle();
    assert!(world.is_at_rest());
}

#[test]
fn bad_answers_on_trial_bring_the_old_ones_back() {
    let mut world = on_trial();
    let back = "back from 2 to 1: its answers are bad, reload 1 rolled back 2 to 1, publish 5";
    assert_eq!(world.then(Choice::Condemn), back);
    assert_eq!(world.open(), [1, 2]);
    let late = Event::Condemn { generation: crate::id::Generation(1), reason: "bad".into() };
    assert_eq!(world.told(late), "", "only who is on trial can fail");
}

#[test]
fn after_the_trial_an_order_brings_the_old_ones_back_and_hears_when_all_know() {
    let mut world = on_trial();
    assert_eq!(world.woken(), "reload 1 live 2");
    assert_eq!(world.then(Choice::GoBack), "back from 2 to 1: it was asked for, publish 5");
    assert_eq!(world.acknowledged(5), "reload 2 live 1");
    assert_eq!(world.open(), [1, 2]);
}

#[test]
fn without_anybody_who_is_kept_there_is_no_way_back() {
    let mut world = running(hasty(1));
    let order = Event::GoBack { ticket: Ticket(7) };
    world.tickets.push(Ticket(7));
    assert_eq!(world.told(order), "reload 7 aborted 2: no earlier generation is kept");
    assert!(world.is_at_rest());
}

#[test]
fn a_kept_worker_that_dies_is_started_again_only_when_its_generation_serves_again() {
    let mut world = on_trial();
    assert_eq!(world.exited(1), "publish 5");
    assert_eq!(world.then(Choice::Condemn).split(", ").last(), Some("spawn 5 as web 1.0"));
    assert_eq!(world.open(), [2]);
}

#[test]
fn when_all_who_are_kept_have_died_the_trial_is_over() {
    let mut world = on_trial();
    world.exited(1);
    assert_eq!(world.exited(2), "reload 1 live 2, publish 6, retired 1");
    assert_eq!(world.state_names(), "live");
}

#[test]
fn a_third_generation_takes_the_place_of_the_one_on_trial_which_is_kept_then() {
    let mut world = on_trial();
    world.apply(Choice::Reload);
    world.bring_up(5);
    world.bring_up(6);
    assert_eq!(world.asked(), "reload 1 superseded, publish 5");
    assert_eq!(world.state_names(), "draining retained promoting");
    assert_eq!(
        world.then(Choice::Condemn),
        "back from 3 to 2: its answers are bad, reload 2 rolled back 3 to 2, publish 6"
    );
    assert_eq!(world.open(), [3, 4]);
}

#[test]
fn a_generation_that_is_kept_goes_when_its_memory_is_needed() {
    let mut world = on_trial();
    assert_eq!(world.told(Event::Discard), "reload 1 live 2");
    assert_eq!(world.state_names(), "draining live");
    assert_eq!(world.told(Event::Discard), "");
}

#[test]
fn a_stop_stops_those_who_are_kept_as_well() {
    let mut world = on_trial();
    world.apply(Choice::Stop);
    assert_eq!(world.state_names(), "draining draining");
    world.settle();
    assert!(world.processes.is_empty());
}
