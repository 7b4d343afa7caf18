//! A worker: written down, and taken up.
//!
//! What was on its way between it and the supervisor that is gone, a probe or an acknowledgement, is asked for again.

use std::time::Instant;

use super::said::Said;
use super::{KILL_PATIENCE, Worker};
use crate::id::{Serial, WorkerId};
use crate::lifecycle::liveness::{Closed, Fate, Gate, Vigil};
use crate::lifecycle::record::{StateRecord, WorkerRecord, ago, left};
use crate::lifecycle::recycle::Term;
use crate::lifecycle::state::{State, Turn};
use crate::lifecycle::todo::{Step, after};
use crate::lifecycle::{Action, Plan, Readiness};

impl Worker {
    pub(in crate::lifecycle) fn record(&self, now: Instant) -> WorkerRecord {
        WorkerRecord {
            serial: self.serial,
            state: self.record_state(now),
            since: now.saturating_duration_since(self.since),
            expires: self.term.expires.map(|at| left(at, now)),
            quota: self.term.quota,
            watchdog: self.said.period,
            hangs: self.said.hangs,
            farewell: self.said.farewell,
        }
    }

    fn record_state(&self, now: Instant) -> StateRecord {
        match self.state {
            State::Spawning { until } => StateRecord::Starting { left: left(until, now), wait: None },
            State::Starting { until, turn } | State::Probing { until, turn, .. } => {
                let wait = match turn {
                    Turn::Ours(at) if self.plan.probing.is_lasting() => Some(left(at, now)),
                    _ => None,
                };
                StateRecord::Starting { left: left(until, now), wait }
            }
            // What was on its way for it is not awaited by whoever takes over: it serves as it is.
            State::Warming { .. } | State::Ready => StateRecord::Ready,
            State::Serving => StateRecord::Serving,
            State::Unready { gate, fate } => {
                let patience = match fate {
                    Fate::Waits(until) => until.map(|until| left(until, now)),
                    Fate::Dumping(until) => Some(left(until, now)),
                    Fate::Sealed { .. } => None,
                };
                StateRecord::Unready { is_open: gate == Gate::Open, patience }
            }
            State::Retained(_) => StateRecord::Retained,
            State::Quiescing { .. } => StateRecord::Draining { left: self.plan.timeouts.drain },
            State::Draining { until } => StateRecord::Draining { left: left(until, now) },
            State::Delisting { .. } => StateRecord::Delisting,
            State::Cancelled { until } | State::Stopping { until } => StateRecord::Stopping { left: left(until, now) },
            State::Killing { .. } | State::Unkillable => StateRecord::Killing,
        }
    }

    /// A worker in a state, of which nothing else is known.
    pub(in crate::lifecycle) fn in_state(
        id: WorkerId,
        serial: Serial,
        state: State,
        plan: &Plan,
        since: Instant,
    ) -> Self {
        Self {
            id,
            serial,
            since,
            state,
            vigil: None,
            verdict: None,
            plan: *plan,
            was_closed: None,
            term: Term::default(),
            said: Said::default(),
            complaint: None,
            lateness: None,
        }
    }

    /// One that serves is asked at once whether it still would, if it is one of those who are asked.
    pub(in crate::lifecycle) fn adopt(
        id: WorkerId,
        record: &WorkerRecord,
        plan: &Plan,
        written: Instant,
        step: &mut Step<'_>,
    ) -> Self {
        let state = adopt_state(record.state, plan, written, step);
        let mut worker = Self::in_state(id, record.serial, state, plan, ago(written, record.since));
        worker.term = Term { expires: record.expires.map(|left| after(written, left)), quota: record.quota };
        worker.said =
            Said { period: record.watchdog, hangs: record.hangs, farewell: record.farewell, ..Said::default() };
        if let State::Unready { gate, fate: Fate::Waits(until) } = state
            && record.hangs
        {
            // No answer counts for it any more.
            let fate = until.map_or(Fate::Sealed { hangs: true }, Fate::Dumping);
            worker.state = State::Unready { gate, fate };
        } else if state.is_in_service() {
            worker.vigil = plan.liveness.map(|_| Vigil::new(step.now));
            worker.expect_word(step);
        }
        if matches!(state, State::Killing { .. }) {
            step.push(Action::Kill { serial: record.serial });
        }
        worker
    }
}

fn adopt_state(record: StateRecord, plan: &Plan, written: Instant, step: &Step<'_>) -> State {
    match record {
        StateRecord::Starting { left, wait } => {
            let turn = match (plan.probing.readiness, wait) {
                (Readiness::Declared, _) => Turn::Theirs,
                (_, Some(wait)) => Turn::Ours(after(written, wait)),
                (_, None) => Turn::Ours(step.now),
            };
            State::Starting { until: after(written, left), turn }
        }
        StateRecord::Ready => State::Ready,
        StateRecord::Serving => State::Serving,
        StateRecord::Retained => State::Retained(Closed::since(step.version)),
        StateRecord::Unready { is_open: true, patience } => {
            State::Unready { gate: Gate::Open, fate: Fate::Waits(patience.map(|left| after(written, left))) }
        }
        StateRecord::Unready { is_open: false, patience } => {
            let gate = Gate::Closed(Closed::since(step.version));
            State::Unready { gate, fate: Fate::Waits(patience.map(|left| after(written, left))) }
        }
        StateRecord::Draining { left } => State::Draining { until: after(written, left) },
        StateRecord::Delisting => State::Delisting { version: step.version },
        StateRecord::Stopping { left } => State::Stopping { until: after(written, left) },
        StateRecord::Killing => State::Killing { until: step.after(KILL_PATIENCE) },
    }
}
