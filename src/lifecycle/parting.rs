//! Why a worker ends, should it end now: by itself, or because it was asked to, and what for.
//!
//! Pure reading; for records, nothing is decided by it. Ask before the machine is told of the end.

use std::fmt;

use super::App;
use super::generation::{Generation, Stage};
use super::place::Place;
use super::place::relay::{Role, Shift};
use super::recycle::RecycleReason;
use super::report::named;
use super::state::State;
use super::worker::Worker;
use crate::id::Serial;

named! {
    /// What a worker's end is due to.
    Cause {
        /// Nobody had asked it to end.
        Crashed = "crashed",
        /// It ended by itself, as it may.
        Finished = "finished",
        /// It was not ready in time, or said that it would not be.
        Late = "late",
        /// A newer generation took over.
        Replaced = "replaced",
        /// The reload or the replacement that it was started for was called off.
        Aborted = "aborted",
        /// Another worker took over in its slot, or is about to, as planned.
        Recycled = "recycled",
        /// Its app was to have fewer workers.
        Scaled = "scaled",
        /// It had said itself that it stops.
        Left = "left",
        /// Nobody had asked its app for anything for a while.
        Slept = "asleep",
        /// Its app was stopped.
        Stopped = "stopped",
    }
}

/// How a worker parts from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parting {
    pub cause: Cause,
    /// What for, if it was recycled.
    pub reason: Option<RecycleReason>,
    /// It had not ended within its kill timeout.
    pub killed: bool,
}

impl App {
    /// What the end of this worker, with this exit code if it has one, would be due to now; `None`: there is no such worker.
    #[must_use]
    pub fn parting(&self, serial: Serial, code: Option<i32>) -> Option<Parting> {
        let parting = |worker: &Worker, asked_for, reason| parting(worker, code, asked_for, reason);
        if let Some(worker) = self.stranded.iter().find(|worker| worker.serial == serial) {
            return Some(Parting { killed: true, ..parting(worker, Cause::Stopped, None) });
        }
        self.generations.iter().enumerate().find_map(|(index, generation)| {
            let worker = generation.workers().find(|worker| worker.serial == serial)?;
            let has_successor = self.generations[index + 1..].iter().any(Generation::is_live);
            let has_predecessor = self.generations[..index].iter().any(Generation::is_live);
            let makes_way = generation.is_live() && self.generations.iter().any(Generation::is_stepwise);
            let is_wanted = worker.id.slot.0 < generation.plan.workers.max(1);
            let reason = recycled_for(generation, serial);
            let asked_for = match generation.stage {
                _ if reason.is_some() => Cause::Recycled,
                Stage::Aborted | Stage::Yielding => Cause::Aborted,
                _ if makes_way && is_wanted => Cause::Replaced,
                Stage::Asleep | Stage::Waking if is_wanted => Cause::Slept,
                _ if is_surplus(generation, serial) => Cause::Scaled,
                _ if has_successor => Cause::Replaced,
                // Nobody else leaves a generation that serves, or one that had taken over and was bad.
                _ if generation.is_live() || has_predecessor => Cause::Aborted,
                _ => Cause::Stopped,
            };
            Some(parting(worker, asked_for, reason))
        })
    }
}

/// Was it let go of while its generation stays?
fn is_surplus(generation: &Generation, serial: Serial) -> bool {
    let stays = generation.is_live() || generation.is_coming();
    stays && generation.places.iter().filter_map(Place::worker).any(|sitter| sitter.serial == serial)
}

fn recycled_for(generation: &Generation, serial: Serial) -> Option<RecycleReason> {
    let sits = |place: &&Place| place.worker().is_some_and(|sitter| sitter.serial == serial);
    if let Some(Shift::Leaving(reason)) = generation.places.iter().find(sits).and_then(|place| place.relay.shift) {
        return Some(reason);
    }
    let mut beside = generation.places.iter().filter_map(|place| place.relay.beside.as_ref());
    match beside.find(|beside| beside.worker.serial == serial)?.role {
        Role::Leaver(reason) => reason,
        Role::Successor => None,
    }
}

fn parting(worker: &Worker, code: Option<i32>, asked_for: Cause, reason: Option<RecycleReason>) -> Parting {
    let cause = cause(worker, code, asked_for);
    let killed = matches!(worker.state, State::Killing { .. } | State::Unkillable);
    Parting { cause, reason: reason.filter(|_| cause == Cause::Recycled), killed }
}

fn cause(worker: &Worker, code: Option<i32>, asked_for: Cause) -> Cause {
    match worker.state {
        _ if worker.lateness().is_some() => Cause::Late,
        _ if worker.said.farewell.is_some() => Cause::Left,
        State::Cancelled { .. } | State::Stopping { .. } | State::Killing { .. } | State::Unkillable => asked_for,
        _ if code.is_some_and(|code| worker.plan.restart.is_done(code)) => Cause::Finished,
        _ => Cause::Crashed,
    }
}
