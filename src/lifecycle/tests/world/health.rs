//! The world's own account of liveness: who is ill, who must be routed, and that each is asked and told as is due.
//!
//! Kept from questions and answers alone, and held against what the app makes of them.

use std::time::{Duration, Instant};

use super::{Process, World};
use crate::id::Serial;
use crate::lifecycle::generation::Generation;
use crate::lifecycle::state::State;
use crate::lifecycle::{Event, Liveness};

/// What is known of the health of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::lifecycle::tests) struct Health {
    /// A question is on its way.
    pub(in crate::lifecycle::tests) asked: bool,
    /// That one is from before it last left service: whoever comes back is asked anew.
    is_late: bool,
    /// It has failed often enough, and not come round since.
    pub(in crate::lifecycle::tests) is_ill: bool,
    /// Answers in a row that speak against that.
    against: u32,
    /// By when it has to say that it is well.
    pub(in crate::lifecycle::tests) due: Option<Instant>,
    /// It has not, or has said that it is not.
    pub(super) hangs: bool,
    /// It was asked for a dump.
    pub(in crate::lifecycle::tests) dumped: bool,
    /// It is published closed because it is ill.
    pub(super) is_aside: bool,
    /// Since when it is ill.
    pub(super) since: Option<Instant>,
    /// It has been ill for so long, or hung, that it is to be replaced.
    pub(super) is_condemned: bool,
}

impl World {
    fn liveness_of(&self, process: &Process) -> Option<Liveness> {
        let number = process.worker.generation;
        self.app.generations.iter().find(|generation| generation.number == number)?.plan.liveness
    }

    /// An answer comes: what does it make of the process?
    pub(super) fn answer(&mut self, serial: Serial, outcome: Result<(), String>, oldest: Option<Duration>) -> Event {
        let liveness = self.liveness_of(&self.processes[&serial]);
        let now = self.now;
        let health = &mut self.process(serial).health;
        health.asked = false;
        if health.hangs || std::mem::take(&mut health.is_late) {
            return Event::Checked { serial, outcome, oldest };
        }
        health.against = if outcome.is_ok() == health.is_ill { health.against + 1 } else { 0 };
        let needed = liveness.map(|liveness| if health.is_ill { liveness.successes } else { liveness.failures });
        if needed.is_some_and(|needed| health.against >= needed) {
            health.is_ill = !health.is_ill;
            health.against = 0;
            health.since = health.is_ill.then_some(now);
        }
        health.is_condemned |= health.is_ill && oldest.is_some();
        Event::Checked { serial, outcome, oldest }
    }

    /// Time has passed: who has been ill for too long?
    pub(super) fn condemn(&mut self) {
        let patience = |process: &Process| self.liveness_of(process)?.replace_after;
        let is_due = |process: &Process| Some(process.health.since? + patience(process)? <= self.now);
        let due: Vec<_> = self.processes.iter().filter(|(_, one)| is_due(one) == Some(true)).map(|(s, _)| *s).collect();
        for serial in due {
            self.process(serial).health.is_condemned = true;
        }
    }

    pub(super) fn check(&mut self, serial: Serial) {
        let Health { asked, is_late, .. } = self.processes[&serial].health;
        let is_there = self.is_in_service(serial) || self.has_just_left(serial);
        self.require(is_there && (!asked || is_late), "a question to a worker that cannot take one");
        let health = &mut self.process(serial).health;
        (health.asked, health.is_late) = (true, false);
    }

    /// Whoever is let go of in the very step in which it was to be asked, need not have an answer.
    fn has_just_left(&self, serial: Serial) -> bool {
        let mut workers = self.app.generations.iter().flat_map(Generation::workers);
        workers.any(|one| one.serial == serial && one.since == self.now && one.state.is_leaving())
    }

    pub(super) fn dump(&mut self, serial: Serial) {
        let Health { is_ill, dumped, .. } = self.processes[&serial].health;
        self.require(is_ill && !dumped, "a dump is asked for once, of a worker that is ill");
        self.process(serial).health.dumped = true;
    }

    /// Whoever leaves is asked no more, and what was asked is of no interest but to those who answer late.
    pub(super) fn follow_health(&mut self) {
        let leaving: Vec<_> = self.processes.keys().copied().filter(|serial| !self.is_in_service(*serial)).collect();
        let late = self.mischief.late_answers;
        for serial in leaving {
            let health = &mut self.process(serial).health;
            let asked = health.asked && late;
            *health = Health { asked, is_late: asked, dumped: health.dumped, ..Health::default() };
        }
        let watched = self.processes.iter().filter(|(_, one)| one.health.due.is_none() && !one.health.hangs);
        for serial in watched.map(|(serial, _)| *serial).collect::<Vec<_>>() {
            self.expect_word(serial);
        }
    }

    /// Unready are those who are ill; they are open if they are more than those who are well, and never otherwise.
    pub(super) fn judge_health(&self) {
        for generation in &self.app.generations {
            let in_service: Vec<_> = generation.workers().filter(|worker| worker.state.is_in_service()).collect();
            let is_ill = |serial| self.processes[&serial].health.is_ill;
            let ill = in_service.iter().filter(|worker| is_ill(worker.serial)).count();
            let is_panic = ill * 2 > in_service.len();
            for worker in &in_service {
                let is_unready = matches!(worker.state, State::Unready { .. });
                self.require(is_unready == is_ill(worker.serial), "a worker is unready exactly when it is ill");
                let is_open = self.latest().iter().any(|one| one.serial == worker.serial && one.open);
                self.require(
                    is_open == (!is_unready || is_panic),
                    "unready and routed, or ready and not, without a panic",
                );
            }
            let serves = generation.is_live() || generation.is_rolling() || generation.is_yielding();
            self.require(serves || ill == 0, "somebody is unready in a generation that does not serve");
        }
        let panics = self.app.generations.iter().any(crate::lifecycle::generation::Generation::is_panicking);
        self.require(self.app.report().is_panicking == panics, "a panic is reported");
    }

    pub(super) fn is_in_service(&self, serial: Serial) -> bool {
        self.state(serial).is_some_and(State::is_in_service)
    }
}
