//! Workers that serve and are asked on.

use super::*;
use crate::lifecycle::tests::watched;
use crate::lifecycle::{Cause, Parting, RecycleReason};

/// Three workers that serve; all of them have just been asked.
fn asked() -> World {
    let mut world = running(watched(hasty(3)));
    assert_eq!(world.woken(), "check 1, check 2, check 3");
    world
}

fn open(world: &World) -> Vec<u64> {
    world.app.endpoints().iter().filter(|one| one.open).map(|one| one.serial.0).collect()
}

#[test]
fn who_fails_is_out_of_routing_until_it_answers() {
    let mut world = asked();
    let version = world.version().0;
    assert_eq!(
        (world.well(1), world.ill(2), world.well(3)),
        (String::new(), format!("publish {}", version + 1), String::new())
    );
    assert_eq!((open(&world), world.app.report().state), (vec![1, 3], AppState::Degraded));
    assert_eq!((world.acknowledged(version + 1), world.idle(2)), (String::new(), String::new()), "it is not to leave");
    assert_eq!(world.woken(), "check 1, check 2, check 3");
    assert_eq!(world.well(2), format!("publish {}", version + 2));
    assert_eq!((open(&world), world.app.report().state), (vec![1, 2, 3], AppState::Running));
}

#[test]
fn who_is_unready_with_nothing_in_flight_leaves_by_the_shortest_way() {
    let mut world = asked();
    let version = world.version().0;
    world.ill(2);
    world.acknowledged(version + 1);
    world.idle(2);
    assert_eq!(world.then(Choice::Stop), format!("publish {}", version + 2));
    assert_eq!(
        world.app.endpoints().iter().map(|one| one.serial.0).collect::<Vec<_>>(),
        [1, 3],
        "it is closed, and idle"
    );
    assert_eq!(world.acknowledged(version + 2), "stop 2");
}

#[test]
fn when_more_are_unready_than_serve_all_are_routed() {
    let mut world = asked();
    let version = world.version().0;
    assert_eq!(world.ill(1), format!("publish {}", version + 1));
    assert!(!world.app.report().is_panicking);
    assert_eq!(world.ill(2), format!("publish {}", version + 2));
    assert_eq!((open(&world), world.app.report().is_panicking), (vec![1, 2, 3], true));
    assert_eq!(world.ill(3), "", "it is routed, as the others are");
    assert_eq!((world.woken(), world.well(1)), ("check 1, check 2, check 3".to_owned(), String::new()));
    assert_eq!(world.well(2), format!("publish {}", version + 3), "one is left, and they are two");
    assert_eq!((open(&world), world.app.report().is_panicking), (vec![1, 2], false));
}

#[test]
fn who_hangs_is_asked_for_a_dump_and_replaced_before_it_leaves() {
    let mut world = asked();
    let version = world.version().0;
    assert_eq!(world.then(Choice::Hung(Serial(2))), format!("dump 2, publish {}", version + 1));
    assert_eq!(world.woken(), "spawn 4 as web 1.1", "a moment later");
    world.acknowledged(version + 1);
    world.spawned(4);
    assert_eq!(world.passed(4), format!("publish {}", version + 2));
    assert_eq!(open(&world), [1, 4, 3]);
    world.acknowledged(version + 2);
    world.idle(2);
    assert_eq!(world.acknowledged(version + 3), "stop 2");
    let parting = Parting { cause: Cause::Recycled, reason: Some(RecycleReason::Hung), killed: false };
    assert_eq!(world.app.parting(Serial(2), None), Some(parting));
}

#[test]
fn who_is_unready_for_too_long_is_replaced() {
    let mut world = asked();
    world.ill(2);
    world.well(1);
    world.well(3);
    let version = world.version().0;
    world.acknowledged(version);
    assert_eq!(world.woken(), "check 1, check 2, check 3");
    for serial in [1, 3] {
        world.well(serial);
    }
    assert_eq!(world.ill(2), "");
    let asked = world.woken();
    assert_eq!(asked, "check 1, check 2, check 3, spawn 4 as web 1.1", "10 s have passed");
    assert_eq!(world.app.report().generations[0].workers[1].recycle, Some(RecycleReason::Unhealthy));
}
