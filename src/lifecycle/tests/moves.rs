//! Every state of a worker met by everything that can meet it: the table has the moves, and all else is no move.

use std::time::{Duration, Instant};

use super::{declared, lasting, plan, tuned, warmed, watched};
use crate::id::{Generation, Serial, Slot, WorkerId};
use crate::lifecycle::liveness::{Closed, Fate, Gate, Verdict, Vigil};
use crate::lifecycle::state::{State, Turn};
use crate::lifecycle::todo::{Step, Todo};
use crate::lifecycle::worker::{End, Worker};
use crate::lifecycle::{Action, Plan, Version, Word};

/// State, what meets it, state afterwards and actions. A `?` says that a probe is on its way, `(idle)` that the word
/// came before the acknowledgement. Versions up to 5 are published; 6 is the next.
const MOVES: &[(&str, &str, &str)] = &[
    ("Spawning", "spawned", "Starting? probe"),
    ("Spawning", "leave", "Cancelled"),
    ("Spawning", "deadline", "Cancelled late"),
    ("Starting?", "success", "Probing"),
    ("Starting?", "failure", "Starting"),
    ("Starting?", "leave", "Stopping stop"),
    ("Starting?", "despair", "Stopping stop late"),
    ("Starting?", "extend", "Starting?"),
    ("Starting?", "deadline", "Stopping stop late"),
    ("Starting", "leave", "Stopping stop"),
    ("Starting", "despair", "Stopping stop late"),
    ("Starting", "extend", "Starting"),
    ("Starting", "turn", "Starting? probe"),
    ("Starting", "deadline", "Stopping stop late"),
    ("Probing?", "success", "Probing"),
    ("Probing?", "failure", "Starting"),
    ("Probing?", "admit 2", "Ready"),
    ("Probing?", "leave", "Stopping stop"),
    ("Probing?", "despair", "Stopping stop late"),
    ("Probing?", "extend", "Probing?"),
    ("Probing?", "deadline", "Stopping stop late"),
    ("Probing", "admit 2", "Ready"),
    ("Probing", "leave", "Stopping stop"),
    ("Probing", "despair", "Stopping stop late"),
    ("Probing", "extend", "Probing"),
    ("Probing", "turn", "Probing? probe"),
    ("Probing", "deadline", "Stopping stop late"),
    ("Warming", "warmed", "Warming(over)"),
    ("Warming", "leave", "Stopping stop"),
    ("Warming", "despair", "Stopping stop late"),
    ("Warming", "deadline", "Warming(over) cold"),
    ("Warming(over)", "admit 2", "Ready"),
    ("Warming(over)", "admit 3", "Ready"),
    ("Warming(over)", "leave", "Stopping stop"),
    ("Warming(over)", "despair", "Stopping stop late"),
    ("Ready", "serve", "Serving"),
    ("Ready", "leave", "Stopping stop"),
    ("Ready", "despair", "Stopping stop late"),
    ("Serving", "leave", "Quiescing"),
    ("Serving", "farewell", "Quiescing"),
    ("Serving", "trigger", "Unready! sealed hangs silent"),
    ("Quiescing", "published 5", "Draining"),
    ("Quiescing", "idle", "Quiescing(idle)"),
    ("Quiescing", "force", "Delisting forced"),
    ("Quiescing(idle)", "published 5", "Delisting"),
    ("Quiescing(idle)", "force", "Delisting"),
    ("Draining", "idle", "Delisting"),
    ("Draining", "force", "Delisting forced"),
    ("Draining", "extend", "Draining"),
    ("Draining", "deadline", "Delisting forced"),
    ("Delisting", "published 5", "Stopping stop"),
    ("Cancelled", "spawned", "Stopping stop"),
    ("Cancelled", "deadline", "Killing kill"),
    ("Stopping", "extend", "Stopping"),
    ("Stopping", "deadline", "Killing kill"),
    ("Killing", "spawned", "Killing kill"),
    ("Killing", "deadline", "Unkillable"),
    ("Unkillable", "spawned", "Unkillable kill"),
];

/// The moves that there are only where readiness is declared: nobody is probed, so no probe is ever anybody's turn.
const DECLARED_MOVES: &[(&str, &str, &str)] =
    &[("Spawning", "spawned", "Starting?"), ("Starting?", "declared", "Probing?")];

const INPUTS: &[&str] = &[
    "spawned",
    "declared",
    "success",
    "failure",
    "admit 2",
    "admit 3",
    "warmed",
    "serve",
    "leave",
    "published 4",
    "published 5",
    "idle",
    "force",
    "well",
    "ill",
    "hung",
    "steer",
    "panic",
    "despair",
    "farewell",
    "trigger",
    "extend",
    "too early",
    "turn",
    "deadline",
];

/// All states, with the next probe due in 1 s, the deadline in 10 s, two probes passed, and version 5 awaited.
fn states(now: Instant) -> Vec<State> {
    let until = now + Duration::from_secs(10);
    let turn = Turn::Ours(now + Duration::from_secs(1));
    let version = Version(5);
    vec![
        State::Spawning { until },
        State::Starting { until, turn: Turn::Theirs },
        State::Starting { until, turn },
        State::Probing { until, turn: Turn::Theirs, passed: 2 },
        State::Probing { until, turn, passed: 2 },
        State::Warming { until, is_over: false },
        State::Warming { until, is_over: true },
        State::Ready,
        State::Serving,
        State::Quiescing { version, idle: false },
        State::Quiescing { version, idle: true },
        State::Draining { until },
        State::Delisting { version },
        State::Cancelled { until },
        State::Stopping { until },
        State::Killing { until },
        State::Unkillable,
    ]
}

fn label(state: State) -> String {
    let text = format!("{state:?}");
    let name = text.split_whitespace().next().unwrap_or_default();
    let mark = match state {
        State::Starting { turn: Turn::Theirs, .. } | State::Probing { turn: Turn::Theirs, .. } => "?",
        State::Quiescing { idle: true, .. } => "(idle)",
        State::Warming { is_over: true, .. } => "(over)",
        State::Unready { gate, fate } => return unready(gate, fate),
        _ => "",
    };
    format!("{name}{mark}")
}

/// `!` is open for a panic, and closing takes `5` to be acknowledged unless it is.
fn unready(gate: Gate, fate: Fate) -> String {
    let gate = match gate {
        Gate::Open => "!".to_owned(),
        Gate::Closed(Closed { version, acknowledged, idle }) => {
            let version = if acknowledged { String::new() } else { version.0.to_string() };
            version + if idle { "(idle)" } else { "" }
        }
    };
    let fate = match fate {
        Fate::Waits(_) => "",
        Fate::Dumping(_) => " dumping",
        Fate::Sealed { hangs: false } => " sealed",
        Fate::Sealed { hangs: true } => " sealed hangs",
    };
    format!("Unready{gate}{fate}")
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Spawn { .. } => "spawn",
        Action::Probe { .. } => "probe",
        Action::WarmUp { .. } => "warm up",
        Action::Cold { .. } => "cold",
        Action::Check { .. } => "check",
        Action::Dump { .. } => "dump",
        Action::Publish { .. } => "publish",
        Action::Stop { .. } => "stop",
        Action::Kill { .. } => "kill",
        Action::Forced { .. } => "forced",
        Action::Clear { .. } => "clear",
        Action::Promoted { .. } => "promoted",
        Action::Finish { .. } => "finish",
        Action::RolledBack { .. } => "rolled back",
        Action::Retired { .. } => "retired",
        Action::Stopped => "stopped",
    }
}

fn todo() -> Todo {
    Todo::new(Serial(1), Box::new(|| 1.0))
}

fn worker_in(state: State, now: Instant) -> Worker {
    worker_of(plan(1), state, now)
}

fn worker_of(plan: Plan, state: State, now: Instant) -> Worker {
    let id = WorkerId { app: "web".parse().unwrap(), generation: Generation(13), slot: Slot(0) };
    let step = &mut Step { now, version: Version(6), todo: &mut todo() };
    let mut worker = Worker::spawn(id, &plan, step);
    worker.state = state;
    worker.vigil =
        plan.liveness.filter(|_| state.is_in_service()).map(|_| Vigil { turn: Turn::Theirs, ..Vigil::new(now) });
    worker
}

/// Lets one thing meet a worker; says whether it was late.
fn meet(worker: &mut Worker, input: &str, step: &mut Step<'_>) -> bool {
    match input {
        "spawned" => drop(worker.spawned(step)),
        "success" => drop(worker.probed(Ok(()), step)),
        "declared" => drop(worker.declared(step)),
        "failure" => drop(worker.probed(Err("GET /health answered 500".into()), step)),
        "admit 2" => drop(worker.admit(2, step)),
        "admit 3" => drop(worker.admit(3, step)),
        "warmed" => drop(worker.warmed()),
        "serve" => worker.serve(step),
        "leave" => worker.leave(step),
        "published 4" => worker.published(Version(4), step),
        "published 5" => worker.published(Version(5), step),
        "idle" => drop(worker.idle(step)),
        "force" => worker.force(step),
        "well" => drop(worker.checked(Ok(()), None, step)),
        "ill" => drop(worker.checked(Err("no answer".into()), Some(Duration::from_secs(29)), step)),
        "hung" => drop(worker.checked(Err("no answer".into()), Some(Duration::from_secs(30)), step)),
        "steer" => worker.steer(false, step),
        "panic" => worker.steer(true, step),
        "despair" => return worker.despair("it says so", step).is_some(),
        "farewell" => drop(worker.bid_farewell(step)),
        "trigger" => worker.told(&Word::Ill, step),
        "extend" => worker.told(&Word::Extend(Duration::from_secs(20)), step),
        "too early" | "turn" | "deadline" => return worker.wake(step).is_some(),
        _ => panic!("{input}"),
    }
    false
}

/// Every move that there is: state, what meets it, and what comes of it.
fn moves(plan: Plan, begin: Instant, states: Vec<State>) -> Vec<(String, &'static str, String)> {
    let mut moves = Vec::new();
    for state in states {
        for input in INPUTS {
            let wait = match *input {
                "turn" => 1,
                "deadline" => 10,
                _ => 0,
            };
            let mut todo = todo();
            let step = &mut Step { now: begin + Duration::from_secs(wait), version: Version(6), todo: &mut todo };
            let mut worker = worker_of(plan, state, begin);
            let late = meet(&mut worker, input, step).then_some("late");
            let verdict = worker.verdict.map(|verdict| match verdict {
                Verdict::Unhealthy => "unhealthy",
                Verdict::Hung => "hung",
                Verdict::Silent => "silent",
            });
            let actions = todo.take();
            if worker.state != state || !actions.is_empty() || late.is_some() {
                let words = actions.iter().map(name).chain(late).chain(verdict).map(|word| format!(" {word}"));
                moves.push((label(state), *input, label(worker.state) + &words.collect::<String>()));
            }
        }
    }
    moves
}

#[test]
fn every_state_moves_as_the_table_says_and_not_otherwise() {
    let begin = Instant::now();
    let moves = moves(plan(1), begin, states(begin));
    let found: Vec<_> = moves.iter().map(|(from, input, to)| (from.as_str(), *input, to.as_str())).collect();
    assert_eq!(found, MOVES);
}

#[test]
fn where_readiness_is_declared_one_word_is_enough_and_probes_mean_nothing() {
    let begin = Instant::now();
    let declared = declared(plan(1));
    let is_reachable = |state: &State| !matches!(label(*state).as_str(), "Starting" | "Probing");
    let moves = moves(declared, begin, states(begin).into_iter().filter(is_reachable).collect());
    let found: Vec<_> = moves.iter().map(|(from, input, to)| (from.as_str(), *input, to.as_str())).collect();
    let new: Vec<_> = found.iter().copied().filter(|one| !MOVES.contains(one)).collect();
    assert_eq!(new, DECLARED_MOVES);
    assert!(!found.iter().any(|(_, input, _)| ["success", "failure"].contains(input)), "{found:?}");
    let gone = MOVES.iter().filter(|one| !found.contains(one)).map(|(from, input, _)| (*from, *input));
    let gone: Vec<_> = gone.filter(|(from, _)| !["Starting", "Probing"].contains(from)).collect();
    let probes = [("Starting?", "success"), ("Starting?", "failure"), ("Probing?", "success"), ("Probing?", "failure")];
    assert_eq!(gone, [&[("Spawning", "spawned")][..], &probes[..]].concat());
}

/// What there is besides where workers are warmed up.
const WARMED_MOVES: &[(&str, &str, &str)] = &[
    ("Probing?", "admit 2", "Warming warm up"),
    ("Probing?", "admit 3", "Warming warm up"),
    ("Probing", "admit 2", "Warming warm up"),
    ("Probing", "admit 3", "Warming warm up"),
];

#[test]
fn where_workers_are_warmed_up_nobody_is_ready_before_that() {
    let begin = Instant::now();
    let moves = moves(tuned(warmed(plan(1)), |plan| plan.probing.successes = 2), begin, states(begin));
    let found: Vec<_> = moves.iter().map(|(from, input, to)| (from.as_str(), *input, to.as_str())).collect();
    let new: Vec<_> = found.iter().copied().filter(|one| !MOVES.contains(one)).collect();
    assert_eq!(new, WARMED_MOVES);
}

/// What there is only where a worker is ready when it has run for a while; a look at the clock that comes late is one.
const LASTING_MOVES: &[(&str, &str, &str)] =
    &[("Spawning", "spawned", "Starting"), ("Starting", "turn", "Probing?"), ("Starting", "deadline", "Probing?")];

#[test]
fn where_readiness_is_a_matter_of_time_nobody_is_asked() {
    let begin = Instant::now();
    let is_reachable = |state: &State| !matches!(label(*state).as_str(), "Starting?" | "Probing");
    let moves = moves(lasting(plan(1)), begin, states(begin).into_iter().filter(is_reachable).collect());
    let found: Vec<_> = moves.iter().map(|(from, input, to)| (from.as_str(), *input, to.as_str())).collect();
    let new: Vec<_> = found.iter().copied().filter(|one| !MOVES.contains(one)).collect();
    assert_eq!(new, LASTING_MOVES);
    let asked = ["success", "failure", "declared"];
    assert!(!found.iter().any(|(_, input, to)| asked.contains(input) || to.contains("probe")), "{found:?}");
}

/// What there is besides for a worker in service that is watched: one answer turns it.
const WATCHED_MOVES: &[(&str, &str, &str)] = &[
    ("Serving", "leave", "Quiescing"),
    ("Serving", "ill", "Unready!"),
    ("Serving", "hung", "Unready! dumping dump"),
    ("Serving", "farewell", "Quiescing"),
    ("Serving", "trigger", "Unready! dumping dump"),
    ("Unready!", "leave", "Quiescing"),
    ("Unready!", "well", "Serving"),
    ("Unready!", "hung", "Unready! dumping dump"),
    ("Unready!", "steer", "Unready6"),
    ("Unready!", "farewell", "Quiescing"),
    ("Unready!", "trigger", "Unready! dumping dump"),
    ("Unready!", "deadline", "Unready! sealed unhealthy"),
    ("Unready! dumping", "leave", "Quiescing"),
    ("Unready! dumping", "well", "Serving"),
    ("Unready! dumping", "steer", "Unready6 dumping"),
    ("Unready! dumping", "farewell", "Quiescing"),
    ("Unready! dumping", "deadline", "Unready! sealed hangs hung"),
    ("Unready! sealed", "leave", "Quiescing"),
    ("Unready! sealed", "well", "Serving"),
    ("Unready! sealed", "steer", "Unready6 sealed"),
    ("Unready! sealed", "farewell", "Quiescing"),
    ("Unready! sealed", "trigger", "Unready! sealed hangs"),
    ("Unready5", "leave", "Quiescing"),
    ("Unready5", "published 5", "Unready"),
    ("Unready5", "idle", "Unready5(idle)"),
    ("Unready5", "well", "Serving"),
    ("Unready5", "hung", "Unready5 dumping dump"),
    ("Unready5", "panic", "Unready!"),
    ("Unready5", "farewell", "Quiescing"),
    ("Unready5", "trigger", "Unready5 dumping dump"),
    ("Unready5", "deadline", "Unready5 sealed unhealthy"),
    ("Unready5(idle)", "leave", "Quiescing(idle)"),
    ("Unready5(idle)", "published 5", "Unready(idle)"),
    ("Unready5(idle)", "well", "Serving"),
    ("Unready5(idle)", "hung", "Unready5(idle) dumping dump"),
    ("Unready5(idle)", "panic", "Unready!"),
    ("Unready5(idle)", "farewell", "Quiescing(idle)"),
    ("Unready5(idle)", "trigger", "Unready5(idle) dumping dump"),
    ("Unready5(idle)", "deadline", "Unready5(idle) sealed unhealthy"),
    ("Unready", "leave", "Draining"),
    ("Unready", "idle", "Unready(idle)"),
    ("Unready", "well", "Serving"),
    ("Unready", "hung", "Unready dumping dump"),
    ("Unready", "panic", "Unready!"),
    ("Unready", "farewell", "Draining"),
    ("Unready", "trigger", "Unready dumping dump"),
    ("Unready", "deadline", "Unready sealed unhealthy"),
    ("Unready(idle)", "leave", "Delisting"),
    ("Unready(idle)", "well", "Serving"),
    ("Unready(idle)", "hung", "Unready(idle) dumping dump"),
    ("Unready(idle)", "panic", "Unready!"),
    ("Unready(idle)", "farewell", "Delisting"),
    ("Unready(idle)", "trigger", "Unready(idle) dumping dump"),
    ("Unready(idle)", "deadline", "Unready(idle) sealed unhealthy"),
];

/// A worker in service as it can be while it is watched, with the question on its way and the end of patience in 10 s.
fn watched_states(now: Instant) -> Vec<State> {
    let waits = Fate::Waits(Some(now + Duration::from_secs(10)));
    let closed = |acknowledged, idle| Gate::Closed(Closed { version: Version(5), acknowledged, idle });
    let gates = [closed(false, false), closed(false, true), closed(true, false), closed(true, true)];
    let unready = |fate| move |gate| State::Unready { gate, fate };
    let fates = [waits, Fate::Dumping(now + Duration::from_secs(10)), Fate::Sealed { hangs: false }];
    let open = fates.into_iter().map(|fate| State::Unready { gate: Gate::Open, fate });
    [State::Serving].into_iter().chain(open).chain(gates.into_iter().map(unready(waits))).collect()
}

#[test]
fn a_worker_that_is_watched_moves_as_the_table_says_and_not_otherwise() {
    let begin = Instant::now();
    let moves = moves(watched(plan(1)), begin, watched_states(begin));
    let found: Vec<_> = moves.iter().map(|(from, input, to)| (from.as_str(), *input, to.as_str())).collect();
    assert_eq!(found, WATCHED_MOVES);
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
