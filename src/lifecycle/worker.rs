//! One worker: one process from the order to start it to its end.
//!
//! Knows its own state, clock times and plan; not its neighbours, nor what follows from its end. Invariants: a stop
//! signal or a kill is asked for only in states in which no proxy can have the worker's endpoint (it was never
//! published, or a version without it is acknowledged); at most one probe of a kind is on its way.
//!
//! ```text
//!              spawned           success            enough of them         admitted
//!   Spawning ──────────► Starting ─────► Probing{n} ──────────────► Ready ─────────► Serving
//!      │ leave              │  ▲  failure   │                         │                 │ leave (published closed)
//!      ▼                    │  └────────────┤                         │                 ▼
//!   Cancelled               │ leave | late  │ leave | late            │ leave        Quiescing
//!      │ │ spawned          ▼               ▼                         │                 │ acknowledged
//!      │ └──────────────► Stopping ◄────────┴─────────────────────────┘                 ▼
//!      │ deadline           │  ▲              acknowledged                          Draining
//!      │                    │  └───────────────────────────── Delisting ◄───────────────┘ idle | deadline | forced
//!      │                    │ deadline                                                    (published without it)
//!      └────────────────► Killing ── deadline ──► Unkillable          any of them ── exit ──► (gone)
//! ```
//! Where readiness is declared or a matter of time, nobody asks: one word of the worker, or the end of that time, leads from
//! Starting to Probing, and counts as all the successes there could be. Unready{gate,fate} stands beside Serving: failures of the liveness probe in
//! a row lead there, successes in a row back; it leaves by the same way as Serving, from where its closing has come to.
//! Retained stands there too: closed, and kept, while the generation that took over is on trial; back to Serving or out.
//! Where workers are warmed up, Warming stands between Probing and Ready; it leaves as Ready does. A later state has
//! its place: Adopting before Serving.

mod record;
pub(super) mod said;
mod service;
mod warming;
mod watched;

use std::time::{Duration, Instant};

use super::liveness::{Closed, Fate, Gate, Verdict, Vigil};
use super::recycle::Term;
use super::report::Reason;
use super::state::{State, Turn};
use super::todo::Step;
use super::{Action, Plan, Readiness, Timeouts, Version};
use crate::id::{Serial, WorkerId};
use said::Said;

/// How long a killed process may take to be gone before nobody waits for it any more.
pub(super) const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How long one that hangs is given at each step on its way out.
const HUNG_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) serial: Serial,
    /// When it came into its state.
    pub(super) since: Instant,
    pub(super) state: State,
    /// Kept while it is in service, if its plan wants it.
    pub(super) vigil: Option<Vigil>,
    /// Why it is to be replaced, until somebody heeds that.
    pub(super) verdict: Option<Verdict>,
    pub(super) plan: Plan,
    pub(super) term: Term,
    /// How proxies have it that had closed it, until they know this version, in which it is open again.
    was_closed: Option<(Version, Closed)>,
    pub(super) said: Said,
    /// What the latest failed probe said.
    complaint: Option<String>,
    /// Set when it was not ready in time, or will not be: that is why it stops, whatever its process says in the end.
    lateness: Option<Failure>,
}

/// How a process came to its end.
#[derive(Clone, Debug)]
pub(super) enum End {
    Exited { how: String, code: Option<i32> },
    NeverStarted(String),
}

/// What went wrong with a worker, as one sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) serial: Serial,
    pub(super) reason: Reason,
    pub(super) sentence: String,
    /// How long it had served, if it had.
    pub(super) served: Option<Duration>,
    /// Its exit code, if it has ended with one that is its own doing.
    pub(super) code: Option<i32>,
}

impl Worker {
    /// Orders a process.
    pub(super) fn spawn(id: WorkerId, plan: &Plan, step: &mut Step<'_>) -> Self {
        let serial = step.todo.fresh_serial();
        step.push(Action::Spawn { serial, worker: id.clone() });
        let state = State::Spawning { until: step.after(plan.timeouts.start) };
        let term = plan.recycling.term(step.now, || step.todo.roll());
        let (vigil, verdict) = (None, None);
        Self {
            id,
            serial,
            since: step.now,
            state,
            vigil,
            verdict,
            plan: *plan,
            term,
            was_closed: None,
            said: Said { period: plan.watchdog, ..Said::default() },
            complaint: None,
            lateness: None,
        }
    }

    /// The process is there. False when that was not to be expected.
    pub(super) fn spawned(&mut self, step: &mut Step<'_>) -> bool {
        match self.state {
            // Spawning => Starting
            State::Spawning { until } => {
                self.enter(State::Starting { until, turn: Turn::Theirs }, step);
                match self.plan.probing.readiness {
                    Readiness::Probed => step.push(Action::Probe { serial: self.serial }),
                    Readiness::Declared => {}
                    // Starting => Probing
                    Readiness::Lasting(Duration::ZERO) => self.believe(until, step),
                    Readiness::Lasting(wait) => {
                        self.state = State::Starting { until, turn: Turn::Ours(step.after(wait)) }
                    }
                }
            }
            // Cancelled => Stopping
            State::Cancelled { .. } => self.stop(step),
            // The kill may have come before there was anything to kill.
            State::Killing { .. } | State::Unkillable => step.push(Action::Kill { serial: self.serial }),
            _ => return false,
        }
        true
    }

    /// A probe was answered. False when none was on its way, or it no longer matters.
    pub(super) fn probed(&mut self, outcome: Result<(), String>, step: &mut Step<'_>) -> bool {
        let (until, passed) = match self.state {
            _ if self.plan.probing.readiness != Readiness::Probed => {
                // Nobody had asked, but it may tell why nothing is declared.
                let is_awaited = matches!(self.state, State::Starting { .. }) && outcome.is_err();
                self.complaint = outcome.err().or_else(|| self.complaint.take());
                return is_awaited;
            }
            State::Starting { until, turn: Turn::Theirs } => (until, 0),
            State::Probing { until, turn: Turn::Theirs, passed } => (until, passed),
            _ => return false,
        };
        match outcome {
            // (Starting | Probing) => Probing
            Ok(()) => {
                let turn = Turn::Ours(step.after(self.plan.probing.interval));
                self.enter(State::Probing { until, turn, passed: passed.saturating_add(1) }, step);
            }
            // (Starting | Probing) => Starting
            Err(complaint) => {
                let so_far = if passed == 0 { step.now.saturating_duration_since(self.since) } else { Duration::MAX };
                let turn = Turn::Ours(step.after(self.plan.probing.pause(so_far)));
                self.complaint = Some(complaint);
                self.enter(State::Starting { until, turn }, step);
            }
        }
        true
    }

    /// It says that it can serve. False when that is not what is waited for.
    pub(super) fn declared(&mut self, step: &Step<'_>) -> bool {
        match self.state {
            // Starting => Probing
            State::Starting { until, .. } if self.plan.probing.readiness == Readiness::Declared => {
                self.believe(until, step);
                true
            }
            _ => false,
        }
    }

    /// Puts it on the way out by the shortest path that loses no request; no change if it is on it.
    pub(super) fn leave(&mut self, step: &mut Step<'_>) {
        if matches!(self.state, State::Unready { fate: Fate::Sealed { hangs: true }, .. }) {
            // What it has begun it will not end; what it has not read waits for others.
            let Timeouts { drain, kill, .. } = &mut self.plan.timeouts;
            (*drain, *kill) = (HUNG_PATIENCE.min(*drain), HUNG_PATIENCE.min(*kill));
        }
        match self.state {
            // Spawning => Cancelled
            State::Spawning { .. } => {
                self.enter(State::Cancelled { until: step.after(self.plan.timeouts.kill) }, step);
            }
            // (Starting | Probing | Warming | Ready) => Stopping
            State::Starting { .. } | State::Probing { .. } | State::Warming { .. } | State::Ready => self.stop(step),
            // (Serving | Unready) => Quiescing, or as the others
            State::Serving | State::Unready { gate: Gate::Open, .. } => self.leave_closed(self.closed_now(step), step),
            // (Unready | Retained) => (Quiescing | Draining | Delisting)
            State::Unready { gate: Gate::Closed(closed), .. } | State::Retained(closed) => {
                self.leave_closed(closed, step);
            }
            _ => {}
        }
    }

    /// All proxies act on `version` or a later one.
    pub(super) fn published(&mut self, version: Version, step: &mut Step<'_>) {
        match &mut self.state {
            // Unready => Unready, Retained => Retained
            State::Unready { gate: Gate::Closed(closed), .. } | State::Retained(closed) => closed.acknowledge(version),
            // Quiescing => (Draining | Delisting)
            State::Quiescing { version: closed, idle } if *closed <= version => {
                let idle = *idle;
                self.enter(State::Draining { until: step.after(self.plan.timeouts.drain) }, step);
                if idle {
                    self.idle(step);
                }
            }
            // Delisting => Stopping
            State::Delisting { version: delisted } if *delisted <= version => self.stop(step),
            _ => {}
        }
    }

    /// No exchange is in flight. False when its endpoint is not closed, for then the next claim may follow at once.
    pub(super) fn idle(&mut self, step: &Step<'_>) -> bool {
        match &mut self.state {
            // Quiescing => Quiescing: the word overtook the acknowledgement; the others stay: they may leave later
            State::Quiescing { idle, .. }
            | State::Unready { gate: Gate::Closed(Closed { idle, .. }), .. }
            | State::Retained(Closed { idle, .. }) => *idle = true,
            // Draining => Delisting
            State::Draining { .. } => self.enter(State::Delisting { version: step.version }, step),
            _ => return false,
        }
        true
    }

    /// Ends a drain with work in flight; no change if it does not drain.
    pub(super) fn force(&mut self, step: &mut Step<'_>) {
        match self.state {
            // Quiescing => Delisting: the version without it closes it too
            State::Quiescing { idle: true, .. } => {}
            State::Quiescing { .. } | State::Draining { .. } => step.push(Action::Forced { serial: self.serial }),
            _ => return,
        }
        self.enter(State::Delisting { version: step.version }, step);
    }

    /// Acts on what is due; a failure is returned when it was not ready in time (it has then left).
    pub(super) fn wake(&mut self, step: &mut Step<'_>) -> Option<Failure> {
        // First, for whoever is found to hang is asked nothing more.
        self.listen(step);
        if self.vigil.as_mut().is_some_and(|vigil| vigil.wake(step.now)) {
            step.push(Action::Check { serial: self.serial });
        }
        if !self.state.deadline().is_some_and(|at| step.is_due(at)) {
            return None;
        }
        match &mut self.state {
            // Starting => Probing: it has lasted, also where the clock was looked at late
            State::Starting { until, turn: Turn::Ours(at) } if self.plan.probing.is_lasting() && step.is_due(*at) => {
                let until = *until;
                self.believe(until, step);
            }
            // (Spawning | Starting | Probing) => (Cancelled | Stopping)
            State::Spawning { until } | State::Starting { until, .. } | State::Probing { until, .. }
                if step.is_due(*until) =>
            {
                return Some(self.give_up(step));
            }
            State::Warming { .. } => self.end_warmup(step),
            State::Starting { turn, .. } | State::Probing { turn, .. } => {
                *turn = Turn::Theirs;
                step.push(Action::Probe { serial: self.serial });
            }
            // Unready => Unready
            State::Unready { .. } => self.condemn(),
            // Draining => Delisting
            State::Draining { .. } => self.force(step),
            // (Cancelled | Stopping) => Killing
            State::Cancelled { .. } | State::Stopping { .. } => {
                step.push(Action::Kill { serial: self.serial });
                self.enter(State::Killing { until: step.after(KILL_PATIENCE) }, step);
            }
            // Killing => Unkillable
            State::Killing { .. } => self.enter(State::Unkillable, step),
            _ => {}
        }
        None
    }

    /// When [`wake`](Self::wake) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let vigil = self.vigil.and_then(Vigil::deadline);
        self.state.deadline().into_iter().chain(vigil).chain(self.said.due).min()
    }

    /// What its end means, were it a failure; `None` when this end is impossible, for its process is known to exist.
    pub(super) fn ended(&self, end: &End, now: Instant) -> Option<Failure> {
        let until_now = || (self.state == State::Serving).then(|| now.saturating_duration_since(self.since));
        let served = self.said.farewell.or_else(until_now);
        let by_itself = if self.said.farewell.is_some() { Reason::Left } else { Reason::Crash };
        let (reason, sentence, code) = match end {
            End::Exited { how, code } => {
                let moment = match self.state {
                    State::Serving if self.plan.probing.is_lasting() => "while it ran",
                    state => state.moment(),
                };
                (by_itself, format!("worker {} exited with {how} {moment}", self.id), *code)
            }
            End::NeverStarted(why) if self.state.may_lack_a_process() => {
                (Reason::SpawnFailed, format!("worker {} could not be started: {why}", self.id), None)
            }
            End::NeverStarted(_) => return None,
        };
        let failure = Failure { serial: self.serial, reason, sentence, served, code };
        Some(self.lateness.clone().unwrap_or(failure))
    }

    /// Published, open or closed.
    pub(super) fn is_listed(&self) -> bool {
        self.state.is_in_service() || self.state.is_draining() || matches!(self.state, State::Retained(_))
    }

    /// What its latest failed probe said.
    pub(super) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// Why it was given up, if it was not ready in time.
    pub(super) fn lateness(&self) -> Option<&Failure> {
        self.lateness.as_ref()
    }

    /// It has shown, in one go, all that could be asked of it.
    fn believe(&mut self, until: Instant, step: &Step<'_>) {
        let passed = self.plan.probing.successes.max(1);
        self.enter(State::Probing { until, turn: Turn::Theirs, passed }, step);
    }

    fn stop(&mut self, step: &mut Step<'_>) {
        step.push(Action::Stop { serial: self.serial });
        self.enter(State::Stopping { until: step.after(self.plan.timeouts.kill) }, step);
    }

    fn give_up(&mut self, step: &mut Step<'_>) -> Failure {
        let sentence = format!("worker {} was not ready within {:?}: {}", self.id, self.patience(), self.obstacle());
        let failure = Failure { serial: self.serial, reason: Reason::StartTimeout, sentence, served: None, code: None };
        self.lateness = Some(failure.clone());
        self.leave(step);
        failure
    }

    fn patience(&self) -> Duration {
        self.plan.timeouts.start + self.said.extended
    }

    fn obstacle(&self) -> String {
        match (self.state, &self.complaint) {
            (State::Spawning { .. }, _) => "its process was never reported as started".to_owned(),
            (State::Probing { passed, .. }, _) => {
                format!("{passed} of {} probes in a row had succeeded", self.plan.probing.successes)
            }
            (_, complaint) if self.plan.probing.readiness == Readiness::Declared => {
                let complaint = complaint.as_ref().map(|complaint| format!("; {complaint}")).unwrap_or_default();
                format!("it never said that it is{complaint}")
            }
            (_, Some(complaint)) => format!("probe: {complaint}"),
            (_, None) => "no probe was answered".to_owned(),
        }
    }

    fn enter(&mut self, state: State, step: &Step<'_>) {
        if std::mem::discriminant(&self.state) != std::mem::discriminant(&state) {
            self.since = step.now;
            if !state.is_starting() {
                self.said.extended = Duration::ZERO;
            }
        }
        if !state.is_in_service() {
            self.vigil = None;
            self.said.due = None;
        }
        self.state = state;
    }
}
