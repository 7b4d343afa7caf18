//! Why a worker ends, should it end now: by itself, or because it was asked to, and what for.
//!
//! Pure reading; for records, nothing is decided by it. Ask before the machine is told of the end.

use std::fmt;

use super::App;
use super::generation::Stage;
use super::report::named;
use super::state::State;
use super::worker::Worker;
use crate::id::Serial;

named! {
    /// What a worker's end is due to.
    Cause {
        /// Nobody had asked it to end.
        Crashed = "crashed",
        /// It was not ready in time.
        Late = "late",
        /// A newer generation took over.
        Replaced = "replaced",
        /// The reload that it was started for was called off.
        Aborted = "aborted",
        /// Its app was stopped.
        Stopped = "stopped",
    }
}

/// How a worker parts from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parting {
    pub cause: Cause,
    /// It had not ended within its kill timeout.
    pub killed: bool,
}

impl App {
    /// What the end of this worker would be due to now; `None`: there is no such worker.
    #[must_use]
    pub fn parting(&self, serial: Serial) -> Option<Parting> {
        if let Some(worker) = self.stranded.iter().find(|worker| worker.serial == serial) {
            return Some(Parting { cause: cause(worker, Cause::Stopped), killed: true });
        }
        self.generations.iter().enumerate().find_map(|(index, generation)| {
            let worker = generation.workers().find(|worker| worker.serial == serial)?;
            let has_successor = self.generations[index + 1..].iter().any(super::generation::Generation::is_live);
            let asked_for = match generation.stage {
                Stage::Aborted => Cause::Aborted,
                _ if has_successor => Cause::Replaced,
                _ => Cause::Stopped,
            };
            let killed = matches!(worker.state, State::Killing { .. } | State::Unkillable);
            Some(Parting { cause: cause(worker, asked_for), killed })
        })
    }
}

fn cause(worker: &Worker, asked_for: Cause) -> Cause {
    match worker.state {
        _ if worker.lateness().is_some() => Cause::Late,
        State::Cancelled { .. } | State::Stopping { .. } | State::Killing { .. } | State::Unkillable => asked_for,
        _ => Cause::Crashed,
    }
}
