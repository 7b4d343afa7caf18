//! The moves of a worker in service that is watched, whatever became of its gate and of the patience with it.
//!
//! Not in the usual table, as there nobody is asked after it is ready.

use std::time::{Duration, Instant};

use super::moves;
use crate::lifecycle::Version;
use crate::lifecycle::liveness::{Closed, Fate, Gate};
use crate::lifecycle::state::State;
use crate::lifecycle::tests::{plan, watched};

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
