//! The app: written down, and taken up.
//!
//! What is published first is a version of its own, so that all who wait for the proxies wait for that.

use std::time::Instant;

use super::App;
use crate::id::{AppName, Generation as Number, WorkerId};
use crate::lifecycle::generation::Generation;
use crate::lifecycle::record::{AppRecord, Stray};
use crate::lifecycle::state::State;
use crate::lifecycle::todo::{Step, Todo};
use crate::lifecycle::worker::{KILL_PATIENCE, Worker};
use crate::lifecycle::{Action, Plan, Version};

impl App {
    /// The app as it is now.
    #[must_use]
    pub fn record(&self, now: Instant) -> AppRecord {
        let stray =
            |worker: &Worker| Stray { generation: worker.id.generation, slot: worker.id.slot, serial: worker.serial };
        AppRecord {
            next: self.next_number.0,
            version: self.version.0,
            restarts: self.restarts,
            recycles: self.recycles,
            generations: self.generations.iter().map(|generation| generation.record(now)).collect(),
            stranded: self.stranded.iter().map(stray).collect(),
        }
    }

    /// An app as another supervisor has left it at `written`; adds to `todo` what is to be done of it, and so that the proxies
    /// are told of it, whatever they know.
    ///
    /// What has happened since to its processes is said by events, as ever. `plan`: of each generation, with any number
    /// of workers.
    pub fn adopt(
        name: AppName,
        record: &AppRecord,
        plan: impl Fn(Number) -> Plan,
        (written, now): (Instant, Instant),
        todo: &mut Todo,
    ) -> Self {
        let version = Version(record.version).next();
        let mut step = Step { now, version, todo };
        let mut app = Self::new(name);
        app.version = version;
        app.next_number = Number(record.next.max(1));
        (app.restarts, app.recycles) = (record.restarts, record.recycles);
        for old in &record.generations {
            let plan = Plan { workers: old.workers, ..plan(old.number) };
            app.generations.push(Generation::adopt(&app.name, old, &plan, written, &mut step));
        }
        for stray in &record.stranded {
            let id = WorkerId { app: app.name.clone(), generation: stray.generation, slot: stray.slot };
            let until = step.after(KILL_PATIENCE);
            let plan = plan(stray.generation);
            app.stranded.push(Worker::in_state(id, stray.serial, State::Killing { until }, &plan, now));
            step.push(Action::Kill { serial: stray.serial });
        }
        app.published = app.picture();
        step.push(Action::Publish { version });
        app.settle(&mut step);
        app
    }
}
