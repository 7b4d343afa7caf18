//! What the end or the lateness of a worker is called, by the state in which it came.
//!
//! Sentences for people: the moves themselves are in the tables.

use std::time::{Duration, Instant};

use super::{label, states, todo, worker_of};
use crate::lifecycle::state::State;
use crate::lifecycle::tests::{declared, plan};
use crate::lifecycle::todo::Step;
use crate::lifecycle::worker::{End, Worker};
use crate::lifecycle::{Plan, Version};

fn worker_in(state: State, now: Instant) -> Worker {
    worker_of(plan(1), state, now)
}

#[test]
fn what_a_failure_is_called_depends_on_when_it_came() {
    let now = Instant::now();
    let exited = End::Exited { how: "exit code 1".into(), code: Some(1) };
    let missing = End::NeverStarted("chdir /srv/app: no such directory".into());
    let sentences = |end: &End| -> Vec<String> {
        let failures = states(now).into_iter().map(|state| worker_in(state, now).ended(end, now));
        let mut sentences: Vec<_> = failures.flatten().map(|failure| failure.sentence).collect();
        sentences.dedup();
        sentences
    };
    assert_eq!(
        sentences(&exited),
        [
            "worker web 13.0 exited with exit code 1 before it was ready",
            "worker web 13.0 exited with exit code 1 while it was warmed up",
            "worker web 13.0 exited with exit code 1 while it waited for the others to be ready",
            "worker web 13.0 exited with exit code 1 while it served",
            "worker web 13.0 exited with exit code 1 on its way out",
        ]
    );
    assert_eq!(sentences(&missing), ["worker web 13.0 could not be started: chdir /srv/app: no such directory"]);
}

#[test]
fn a_worker_that_is_known_to_run_cannot_fail_to_start() {
    let now = Instant::now();
    let missing = End::NeverStarted("no such file".into());
    let possible = |state: &State| worker_in(*state, now).ended(&missing, now).is_some();
    let states: Vec<_> = states(now).into_iter().filter(possible).map(label).collect();
    assert_eq!(states, ["Spawning", "Cancelled", "Killing", "Unkillable"]);
}

#[test]
fn only_a_worker_that_serves_has_served() {
    let begin = Instant::now();
    let now = begin + Duration::from_secs(7);
    let served = |state: State| {
        worker_in(state, begin).ended(&End::Exited { how: "exit code 0".into(), code: Some(0) }, now)?.served
    };
    let found: Vec<_> = states(begin).into_iter().filter_map(|state| Some((label(state), served(state)?))).collect();
    assert_eq!(found, [("Serving".to_owned(), Duration::from_secs(7))]);
}

#[test]
fn a_late_worker_says_what_was_in_its_way() {
    let now = Instant::now();
    let obstacle_of = |plan: Plan, state: State, complaint: Option<&str>| {
        let mut worker = worker_of(plan, state, now);
        let mut todo = todo();
        let step = &mut Step { now, version: Version(6), todo: &mut todo };
        if let Some(complaint) = complaint {
            worker.probed(Err(complaint.to_owned()), step);
        }
        step.now += Duration::from_secs(10);
        worker.wake(step).expect("it is late").sentence
    };
    let obstacle = |state: State, complaint: Option<&str>| obstacle_of(plan(1), state, complaint);
    let states = states(now);
    let of = |from: &str| *states.iter().find(|state| label(**state) == from).unwrap();
    let cases = [
        (of("Spawning"), None, "its process was never reported as started"),
        (of("Starting?"), None, "no probe was answered"),
        (of("Starting?"), Some("GET /health answered 500"), "probe: GET /health answered 500"),
        (of("Probing"), None, "2 of 3 probes in a row had succeeded"),
    ];
    for (state, complaint, reason) in cases {
        let sentence = format!("worker web 13.0 was not ready within 60s: {reason}");
        assert_eq!(obstacle(state, complaint), sentence);
    }
    let declared = declared(plan(1));
    let sentence = "worker web 13.0 was not ready within 60s: it never said that it is";
    assert_eq!(obstacle_of(declared, of("Starting?"), None), sentence);
}
