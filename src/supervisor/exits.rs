//! How an app's workers ended: who it was, when, by what, and what was printed last.
//!
//! Only remembers, also what an earlier supervisor did (`archive`). Invariant: no more than [`KEPT`] records of an app; the
//! oldest goes first.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::output::Tail;
use crate::control::words;
use crate::id::{Serial, WorkerId};
use crate::lifecycle::{Cause, Parting};
use crate::sys::spawn;

/// Records kept of each app.
pub(super) const KEPT: usize = 32;

/// Lines that a record shows.
const SHOWN_LINES: usize = 20;

/// The records of one app, oldest first.
#[derive(Debug, Default)]
pub(super) struct Exits {
    /// From before our time.
    earlier: VecDeque<words::Exit>,
    ours: VecDeque<Record>,
}

/// One worker that has ended.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) serial: Serial,
    pub(super) id: WorkerId,
    pub(super) pid: u32,
    pub(super) started: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) exit: spawn::Exit,
    /// `None`: the machine knew nothing of it any more.
    pub(super) parting: Option<Parting>,
    pub(super) footprint: words::Footprint,
    /// May still grow: what a process leaves in its pipe is read after its end.
    pub(super) tail: Tail,
}

impl Exits {
    /// Begins with what is known from before our time, oldest first.
    pub(super) fn after(earlier: Vec<words::Exit>) -> Self {
        Self { earlier: earlier.into(), ours: VecDeque::new() }
    }

    pub(super) fn add(&mut self, record: Record) {
        if self.earlier.len() + self.ours.len() >= KEPT && self.earlier.pop_front().is_none() {
            self.ours.pop_front();
        }
        self.ours.push_back(record);
    }

    pub(super) fn find(&self, serial: Serial) -> Option<&Record> {
        self.ours.iter().find(|record| record.serial == serial)
    }

    /// Whoever ended last in our time.
    pub(super) fn last(&self) -> Option<&Record> {
        self.ours.back()
    }

    /// As they are told, oldest first.
    pub(super) fn told(&self) -> Vec<words::Exit> {
        self.earlier.iter().cloned().chain(self.ours.iter().map(Record::told)).collect()
    }
}

impl Record {
    fn told(&self) -> words::Exit {
        let (by_itself, by_signal) = match self.exit {
            spawn::Exit::Code(code) => (Some(code), None),
            spawn::Exit::Signal { signal, .. } => (None, Some(signal)),
            spawn::Exit::Unseen => (None, None),
        };
        words::Exit {
            worker: self.id.to_string(),
            generation: self.id.generation,
            slot: self.id.slot,
            pid: self.pid,
            started: self.started.to_string(),
            ended: self.ended.to_string(),
            code: by_itself,
            signal: by_signal,
            core: matches!(self.exit, spawn::Exit::Signal { core: true, .. }),
            due: words::Due {
                cause: self.parting.map_or(Cause::Stopped, |parting| parting.cause).to_string(),
                reason: self.parting.and_then(|parting| parting.reason).map(|reason| reason.to_string()),
                killed: self.parting.is_some_and(|parting| parting.killed),
            },
            footprint: self.footprint,
            lines: self.tail.last(SHOWN_LINES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Generation, Slot};

    fn record(serial: u64) -> Record {
        Record {
            serial: Serial(serial),
            id: WorkerId { app: "web".parse().unwrap(), generation: Generation(2), slot: Slot(1) },
            pid: 7,
            started: Timestamp::UNIX_EPOCH,
            ended: Timestamp::UNIX_EPOCH,
            exit: spawn::Exit::Signal { signal: 11, core: true },
            parting: Some(Parting { cause: Cause::Crashed, reason: None, killed: false }),
            footprint: words::Footprint::default(),
            tail: Tail::default(),
        }
    }

    #[test]
    fn the_newest_records_stay() {
        let mut exits = Exits::default();
        (0..KEPT as u64 + 3).for_each(|serial| exits.add(record(serial)));
        assert_eq!(exits.told().len(), KEPT);
        assert!(exits.find(Serial(2)).is_none() && exits.find(Serial(3)).is_some());
    }

    #[test]
    fn what_was_before_our_time_goes_first() {
        let mut exits = Exits::after(vec![record(1).told(); KEPT]);
        exits.add(record(2));
        assert_eq!(exits.told().len(), KEPT);
        assert!(exits.find(Serial(2)).is_some());
        (0..KEPT as u64).for_each(|serial| exits.add(record(serial + 10)));
        assert!(exits.find(Serial(2)).is_none() && exits.told().len() == KEPT);
    }

    #[test]
    fn a_record_tells_how_it_ended() {
        let told = record(1).told();
        assert_eq!((told.worker.as_str(), told.code, told.signal, told.core), ("web 2.1", None, Some(11), true));
        assert_eq!((told.due.cause.as_str(), told.started.as_str()), ("crashed", "1970-01-01T00:00:00Z"));
    }
}
