//! What an app does in the situations that have a name, told event by event with all that it asks for.
//!
//! The workers of a story are numbered in the order of their start, the versions in that of their publication.

use std::time::Duration;

use super::world::{Choice, MORE, Mischief, Says, World};
use super::{alternating, declared, lasting, plan, tuned, warmed};
use crate::id::Serial;
use crate::lifecycle::{
    Action, AppState, Event, GenerationState, Outcome, Plan, Probing, Ticket, Version, WorkerState,
};
use crate::lifecycle::{OnLoop, Policy, Restart, Restarts, Timeouts, Trial};

/// Anything may happen, as the story wants it.
const ANYTHING: Mischief = Mischief {
    reloads: 9,
    recycles: 9,
    doubts: 9,
    squeezes: 9,
    dozes: 9,
    rouses: 9,
    stops: 9,
    starts: 9,
    crashes: 9,
    endings: 9,
    spawn_failures: 9,
    ills: 99,
    hangs: 9,
    words: 9,
    late_answers: true,
    ..Mischief::NONE
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A plan where one success is enough even to replace a worker that serves.
fn hasty(workers: u32) -> Plan {
    tuned(plan(workers), |plan| plan.probing.successes = 1)
}

/// An app with nothing started.
fn fresh(plan: Plan) -> World {
    World::new(plan, ANYTHING)
}

/// An app all of whose workers serve.
fn running(plan: Plan) -> World {
    let mut world = fresh(plan);
    world.apply(Choice::Start);
    world.settle();
    assert_eq!(world.app.report().state, AppState::Running);
    world
}

impl World {
    /// Lets something happen and says what the app asks for.
    fn then(&mut self, choice: Choice) -> String {
        self.apply(choice);
        self.asked()
    }

    /// The same with an event that the world does not foresee.
    fn told(&mut self, event: Event) -> String {
        self.feed(event);
        self.asked()
    }

    fn asked(&self) -> String {
        // That it serves follows from what is asked for besides.
        let told = self.actions.iter().filter(|action| !matches!(action, Action::Promoted { .. }));
        told.map(text).collect::<Vec<_>>().join(", ")
    }

    fn spawned(&mut self, serial: u64) -> String {
        self.then(Choice::Spawned(Serial(serial)))
    }

    fn passed(&mut self, serial: u64) -> String {
        self.then(Choice::Passed(Serial(serial)))
    }

    /// It answers a probe of its liveness well.
    fn well(&mut self, serial: u64) -> String {
        self.then(Choice::Well(Serial(serial)))
    }

    fn ill(&mut self, serial: u64) -> String {
        self.then(Choice::Ill(Serial(serial)))
    }

    fn failed(&mut self, serial: u64) -> String {
        self.then(Choice::Failed(Serial(serial)))
    }

    fn exited(&mut self, serial: u64) -> String {
        self.then(Choice::Exited(Serial(serial)))
    }

    /// It ends by itself with this code.
    fn ended(&mut self, serial: u64, code: u8) -> String {
        self.then(Choice::Ended(Serial(serial), code))
    }

    fn said(&mut self, serial: u64, word: Says) -> String {
        self.then(Choice::Told(Serial(serial), word))
    }

    fn idle(&mut self, serial: u64) -> String {
        self.then(Choice::Idle(Serial(serial)))
    }

    fn acknowledged(&mut self, version: u64) -> String {
        self.then(Choice::Acknowledged(Version(version)))
    }

    fn woken(&mut self) -> String {
        self.then(Choice::Wake(0))
    }

    /// Time passes without any deadline in it.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        assert!(self.app.deadline().is_none_or(|deadline| deadline > self.now));
    }

    fn states(&self) -> Vec<(GenerationState, Vec<WorkerState>)> {
        let workers = |workers: Vec<_>| workers.into_iter().map(|worker: crate::lifecycle::WorkerReport| worker.state);
        let generations = self.app.report().generations.into_iter();
        generations.map(|generation| (generation.state, workers(generation.workers).collect())).collect()
    }

    /// Brings a worker from its order to its first success.
    fn bring_up(&mut self, serial: u64) {
        self.spawned(serial);
        self.passed(serial);
    }
}

fn text(action: &Action) -> String {
    match action {
        Action::Spawn { serial, worker } => format!("spawn {serial} as {worker}"),
        Action::Probe { serial } => format!("probe {serial}"),
        Action::WarmUp { serial } => format!("warm up {serial}"),
        Action::Cold { serial } => format!("{serial} is cold"),
        Action::Check { serial } => format!("check {serial}"),
        Action::Dump { serial } => format!("dump {serial}"),
        Action::Publish { version } => format!("publish {}", version.0),
        Action::Stop { serial } => format!("stop {serial}"),
        Action::Kill { serial } => format!("kill {serial}"),
        Action::Forced { serial } => format!("forced {serial}"),
        Action::Clear { generation } => format!("may {generation} take over?"),
        Action::Promoted { generation } => format!("promoted {generation}"),
        Action::Finish { ticket, outcome } => format!("reload {} {}", ticket.0, end(outcome)),
        Action::RolledBack { generation, to, reason } => format!("back from {generation} to {to}: {reason}"),
        Action::Retired { generation } => format!("retired {generation}"),
        Action::Stopped => "stopped".to_owned(),
    }
}

fn end(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Live { generation } => format!("live {generation}"),
        Outcome::Aborted { generation, reason, worker: Some(worker) } => {
            format!("aborted {generation} by {worker}: {reason}")
        }
        Outcome::Aborted { generation, reason, worker: None } => format!("aborted {generation}: {reason}"),
        Outcome::RolledBack { generation, to, worker: Some(worker), .. } => {
            format!("rolled back {generation} to {to} by {worker}")
        }
        Outcome::RolledBack { generation, to, .. } => format!("rolled back {generation} to {to}"),
        Outcome::Superseded => "superseded".to_owned(),
    }
}

mod canaries;
mod crashes;
mod liveness;
mod loops;
mod partings;
mod recycles;
mod reloads;
mod rolls;
mod sizes;
mod sleeps;
mod starts;
mod stops;
mod trials;
mod warmth;
mod words;
