//! Every state of a worker met by everything that can meet it: the table has the moves, and all else is no move.
//!
//! One worker alone is looked at here, without an app or a world around it.

mod failures;
mod liveness;
mod readiness;

use std::time::{Duration, Instant};

use super::plan;
use crate::id::{Generation, Serial, Slot, WorkerId};
use crate::lifecycle::liveness::{Closed, Fate, Gate, Verdict, Vigil};
use crate::lifecycle::state::{State, Turn};
use crate::lifecycle::todo::{Step, Todo};
use crate::lifecycle::worker::Worker;
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
