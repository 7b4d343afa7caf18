//! The world's own account of what workers say of themselves: who leaves by its own will, and who has to be heard of by when.

use std::time::{Duration, Instant};

use super::{Process, World};
use crate::id::Serial;
use crate::lifecycle::state::State;
use crate::lifecycle::{Event, Plan, Policy, Word};

/// A worker that asks for more time asks for so much.
pub(in crate::lifecycle::tests) const MORE: Duration = Duration::from_secs(5);

impl World {
    fn plan_of(&self, process: &Process) -> Option<&Plan> {
        let number = process.worker.generation;
        self.app.generations.iter().find(|generation| generation.number == number).map(|generation| &generation.plan)
    }

    fn period_of(&self, serial: Serial) -> Option<Duration> {
        self.plan_of(&self.processes[&serial])?.watchdog
    }

    /// It is said: what does it make of the process?
    pub(super) fn say(&mut self, serial: Serial, word: Word) -> Event {
        if !matches!(word, Word::Well) {
            self.mischief.words = self.mischief.words.saturating_sub(1);
        }
        let (now, in_service) = (self.now, self.is_in_service(serial));
        match &word {
            Word::Leaves if in_service => self.take_leave(serial),
            Word::Well => self.expect_word(serial),
            Word::Ill if in_service => self.silence(serial),
            Word::Extend(more) => {
                let due = &mut self.process(serial).health.due;
                *due = due.map(|due| due.max(now + *more));
            }
            _ => {}
        }
        Event::Told { serial, word }
    }

    /// Its slot is free, if somebody else is wanted there in any case, and nobody is on the way out there already.
    fn take_leave(&mut self, serial: Serial) {
        self.process(serial).leaves = true;
        let slot = self.processes[&serial].worker.clone();
        let is_live = self.app.generations.iter().any(|one| one.number == slot.generation && one.is_live());
        let is_wanted = self.plan_of(&self.processes[&serial]).is_some_and(|plan| {
            plan.restart.policy == Policy::Always && plan.restart.stop_codes == [].into_iter().collect()
        });
        let beside: Vec<_> = self.in_slot(&slot).filter(|one| self.beside.contains(one)).collect();
        let is_going = |one: &Serial| {
            let process = &self.processes[one];
            let is_called_off = matches!(self.state(*one), Some(State::Cancelled { .. }));
            process.is_told_to_end() || process.closed.is_some() || is_called_off
        };
        if is_live && is_wanted && !beside.iter().any(is_going) {
            self.make_way(serial);
        }
    }

    fn make_way(&mut self, serial: Serial) {
        let slot = self.processes[&serial].worker.clone();
        let others: Vec<_> = self.in_slot(&slot).collect();
        self.beside.retain(|one| !others.contains(one));
        self.beside.insert(serial);
        self.process(serial).leaves = true;
    }

    /// In a crash loop those who hang go at once.
    pub(super) fn note_dismissed(&mut self) {
        let loops = |process: &Process| {
            let generations = &self.app.generations;
            generations
                .iter()
                .any(|one| one.number == process.worker.generation && one.is_live() && !one.circuit.is_closed())
        };
        let is_new = |(serial, process): &(&Serial, &Process)| {
            process.health.hangs && !process.leaves && !self.is_in_service(**serial) && loops(process)
        };
        let gone: Vec<_> = self.processes.iter().filter(is_new).map(|(serial, _)| *serial).collect();
        for serial in gone {
            self.make_way(serial);
        }
    }

    /// From now on it has its time to say that it is well.
    pub(super) fn expect_word(&mut self, serial: Serial) {
        let due = self.period_of(serial).map(|period| self.now + period);
        let (in_service, now) = (self.is_in_service(serial), self.now);
        let health = &mut self.process(serial).health;
        health.due = due.filter(|_| in_service && !health.hangs);
        debug_assert!(health.due.is_none_or(|due| due > now));
    }

    /// Who has said nothing for too long?
    pub(super) fn silence_due(&mut self) {
        let is_due = |due: Instant| due <= self.now;
        let late: Vec<_> =
            self.processes.iter().filter(|(_, one)| one.health.due.is_some_and(is_due)).map(|(s, _)| *s).collect();
        for serial in late {
            self.silence(serial);
        }
    }

    /// It is ill for good, and to be replaced.
    fn silence(&mut self, serial: Serial) {
        let (now, late) = (self.now, self.mischief.late_answers);
        let health = &mut self.process(serial).health;
        (health.is_ill, health.hangs, health.is_condemned, health.due) = (true, true, true, None);
        health.since = health.since.or(Some(now));
        health.asked &= late;
    }
}
