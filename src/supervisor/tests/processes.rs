//! The simulated workers: they start, answer, end, and are sent signals.

use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::nature::Nature;
use super::world::{Happening, World};
use crate::config::{Kind, Server};
use crate::id::{AppName, Serial, WorkerId};
use crate::supervisor::clock;
use crate::supervisor::effects::{About, Birth};
use crate::supervisor::event::Event;
use crate::supervisor::launch::Berth;
use crate::supervisor::lookout::Lookout;
use crate::supervisor::output::Tail;
use crate::supervisor::process::{self, Order};
use crate::supervisor::workers::{Ends, StopOrder, Worker};
use crate::sys::spawn::Exit;
use crate::sys::tree::Tree;

/// Numbers that no process of this machine can have.
const FIRST_PID: u32 = 1 << 30;

#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: WorkerId,
    pub(super) nature: Nature,
    orders: mpsc::Receiver<Order>,
    pub(super) is_alive: bool,
    pub(super) is_of_job: bool,
    pub(super) is_task: bool,
    /// May others of its app run beside it?
    pub(super) overlaps: bool,
    pub(super) drain: std::time::Duration,
    born: Instant,
    pub(super) stopped: Option<Instant>,
    pub(super) killed: Option<Instant>,
}

impl World {
    pub(super) fn bear(&mut self, newcomer: Birth<'_>) -> Result<Worker, String> {
        let Birth { serial, id, release, .. } = newcomer;
        let now = clock::now();
        self.first_births.entry(id.app.clone()).or_insert(now);
        let settings = std::sync::Arc::clone(&release.app);
        let Server::Command(command) = &settings.server else { return Err("it has no command".to_owned()) };
        let is_of_job = matches!(settings.kind, Kind::Job(_));
        let Some(nature) = self.nature(&id.app, is_of_job) else {
            self.tally.stillbirths += 1;
            self.note(|| format!("{id} ({serial}) cannot be started"));
            return Err("chdir: no such directory".to_owned());
        };
        self.tally.births += 1;
        self.note(|| format!("{id} ({serial}) starts: {nature:?}"));
        if let Some((after, exit)) = nature.dies {
            self.plan(after, Happening::Ends { serial, exit, is_own_doing: true });
        }
        let pid = FIRST_PID + u32::try_from(serial.0).expect("no run is that long");
        let (process, orders) = process::Process::leash(pid);
        let is_task = settings.kind.is_task();
        let berth = if is_task { Berth::nowhere() } else { Berth::imagined(PathBuf::from(format!("/sim/{serial}"))) };
        let mine = Process {
            id: id.clone(),
            nature,
            orders,
            is_alive: true,
            is_of_job,
            is_task,
            overlaps: settings.kind != Kind::Task { overlaps: false },
            drain: command.timeouts.drain,
            born: now,
            stopped: None,
            killed: None,
        };
        if self.processes.insert(serial, mine).is_some() {
            self.fault(format!("serial {serial} is used twice"));
        }
        Ok(Worker {
            id,
            process,
            tree: Tree::of_nobody(i32::try_from(pid).expect("it is small enough")),
            tail: Tail::default(),
            stop: StopOrder::of(command),
            channel: None,
            notify: None,
            ends: Ends::default(),
            started: now,
            started_at: Timestamp::now(),
            berth,
            lookout: Lookout::default(),
        })
    }

    pub(super) fn end(&mut self, serial: Serial, exit: Exit, is_own_doing: bool) {
        let process = self.processes.get_mut(&serial).expect("what ends has begun");
        if !std::mem::replace(&mut process.is_alive, false) {
            return;
        }
        self.tally.crashes += u64::from(is_own_doing);
        let app = self.processes[&serial].id.app.clone();
        let id = self.processes[&serial].id.clone();
        self.note(|| format!("{id} ({serial}) ends: {exit}"));
        let wait = self.millis(0..60);
        self.plan(wait, Happening::Tells(Event::Exited { app, serial, exit }));
    }

    pub(super) fn answer(&mut self, serial: Serial, app: AppName, about: About) -> Event {
        let outcome = self.processes[&serial].answer(self.is_kind);
        match about {
            About::Readiness => Event::Probed { app, serial, outcome },
            About::Liveness => Event::Checked { app, serial, outcome },
            About::Warmth => Event::Warmed { app, serial, complaints: outcome.err().into_iter().collect() },
        }
    }

    /// Has the processes do what they were told since.
    pub(super) fn obey(&mut self) {
        let serials: Vec<_> =
            self.processes.iter().filter(|(_, one)| one.is_alive).map(|(serial, _)| *serial).collect();
        for serial in serials {
            while let Some(order) = self.processes.get_mut(&serial).and_then(|one| one.orders.try_recv().ok()) {
                match order {
                    Order::Signal(_) | Order::SignalIn(..) => self.stop(serial),
                    Order::Tell(_) => {}
                    Order::Kill => self.kill(serial),
                }
            }
        }
    }

    fn stop(&mut self, serial: Serial) {
        self.judge_parting(serial, "a stop signal");
        let process = self.processes.get_mut(&serial).expect("it is there");
        process.stopped.get_or_insert(clock::now());
        let (id, stops) = (process.id.clone(), process.nature.stops);
        self.note(|| format!("{id} ({serial}) is asked to stop"));
        match stops {
            Some(wait) => {
                let exit = Exit::Signal { signal: 15, core: false };
                self.plan(wait, Happening::Ends { serial, exit, is_own_doing: false });
            }
            None => self.tally.deaf_to_term += 1,
        }
    }

    fn kill(&mut self, serial: Serial) {
        self.judge_parting(serial, "a kill");
        let process = self.processes.get_mut(&serial).expect("it is there");
        process.killed.get_or_insert(clock::now());
        let (id, lingers) = (process.id.clone(), process.nature.lingers);
        self.note(|| format!("{id} ({serial}) is killed"));
        self.tally.unkillable += u64::from(lingers.as_secs() > 5);
        let exit = Exit::Signal { signal: 9, core: false };
        self.plan(lingers, Happening::Ends { serial, exit, is_own_doing: false });
    }

    /// Nobody is sent a signal to whom a proxy may still send a request, nor with work in flight before its time.
    fn judge_parting(&mut self, serial: Serial, what: &str) {
        let Process { id, is_task, drain, .. } = &self.processes[&serial];
        if *is_task {
            return;
        }
        let (id, drain) = (id.clone(), *drain);
        let generations = self.processes.values().filter(|one| one.is_alive && one.id.app == id.app);
        let generations: std::collections::BTreeSet<_> = generations.map(|one| one.id.generation).collect();
        let mut faults = Vec::new();
        for (number, front) in self.fronts.iter().filter(|(_, front)| front.is_alive) {
            if front.may_have(serial) {
                faults.push(format!("{what} for {id} ({serial}), which proxy {number} may still have"));
            }
            let now = clock::now();
            let Some(closing) = front.closings.get(&serial).filter(|closing| closing.until > now) else { continue };
            self.tally.forced += 1;
            // More than three generations on their way out are more than there may be.
            if closing.since + drain > now && generations.len() < 4 {
                faults.push(format!("{what} for {id} ({serial}), with work in flight in proxy {number}, too soon"));
            }
        }
        for fault in faults {
            self.fault(fault);
        }
    }
}

impl Process {
    fn answer(&self, is_kind: bool) -> Result<(), String> {
        let age = clock::since(self.born);
        if !self.is_alive {
            return Err("connection refused".to_owned());
        }
        if self.nature.ready.is_none_or(|ready| ready > age) {
            return Err("connection refused".to_owned());
        }
        match self.nature.ill {
            Some((from, to)) if from <= age && age < to && !is_kind => Err("GET / answered 500".to_owned()),
            _ => Ok(()),
        }
    }

    /// Was it killed so long ago that nobody waits for it any more?
    pub(super) fn is_given_up(&self) -> bool {
        self.killed.is_some_and(|at| clock::since(at).as_secs() >= 5)
    }
}
