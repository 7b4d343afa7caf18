//! What one event leads to: a list of actions, and the two things that decisions need from outside.
//!
//! Fresh serials must be unique over all apps and fixed upstreams of a supervisor, so one [`Todo`] serves them all.
//! Chance comes in as a function, so that tests decide it. [`Step`] is one event's handling: its time and its version.

use std::time::{Duration, Instant};

use super::{Action, Outcome, Ticket, Version};
use crate::id::Serial;

/// Stands for "never" where an addition to the clock would overflow.
const FAR: Duration = Duration::from_hours(30 * 365 * 24);

/// Actions to be done, fresh serials, and dice.
pub struct Todo {
    /// In the order in which they are to be done.
    pub actions: Vec<Action>,
    next_serial: u64,
    dice: Box<dyn FnMut() -> f64 + Send>,
}

impl Todo {
    /// Hands out serials from `first` on; `dice` answers with a number from 0 up to, not including, 1.
    #[must_use]
    pub fn new(first: Serial, dice: Box<dyn FnMut() -> f64 + Send>) -> Self {
        Self { actions: Vec::new(), next_serial: first.0, dice }
    }

    /// What the next one will be.
    #[must_use]
    pub fn next_serial(&self) -> u64 {
        self.next_serial
    }

    /// A serial that was never given before.
    pub fn fresh_serial(&mut self) -> Serial {
        self.next_serial += 1;
        Serial(self.next_serial - 1)
    }

    /// Takes the actions out.
    #[must_use]
    pub fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    pub(super) fn roll(&mut self) -> f64 {
        (self.dice)()
    }
}

/// The handling of one event.
pub(super) struct Step<'a> {
    pub(super) now: Instant,
    /// The version that will tell the proxies what changes in this step.
    pub(super) version: Version,
    pub(super) todo: &'a mut Todo,
}

impl Step<'_> {
    pub(super) fn push(&mut self, action: Action) {
        self.todo.actions.push(action);
    }

    /// Who waits for this reload, if anybody does, is told how it ended.
    pub(super) fn finish(&mut self, ticket: Option<Ticket>, outcome: Outcome) {
        self.todo.actions.extend(ticket.map(|ticket| Action::Finish { ticket, outcome }));
    }

    pub(super) fn after(&self, wait: Duration) -> Instant {
        after(self.now, wait)
    }

    pub(super) fn is_due(&self, at: Instant) -> bool {
        at <= self.now
    }
}

/// A point in time that is always one, however long the wait.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or_else(|| now + FAR)
}
