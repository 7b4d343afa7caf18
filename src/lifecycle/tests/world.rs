//! A simulated world around one app: processes, proxies and a clock that only jumps.
//!
//! The world keeps books of its own, from actions and events alone, and judges every action by them. What may happen
//! next is a list of [`Choice`]s, so that a walk can try all of them and chance can pick one.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::id::{Generation, Serial, WorkerId};
use crate::lifecycle::generation::Generation as Generated;
use crate::lifecycle::state::State;
use crate::lifecycle::worker::Worker;
use crate::lifecycle::{
    Action, App, EndpointView, Event, Outcome, Plan, Readiness, RecycleReason, Ticket, Todo, Version,
};

mod books;
mod choice;
mod health;
mod judge;
mod rest;
mod rolls;
mod sets;
mod sizes;
mod sleep;
mod words;

use books::Books;
use choice::Past;
pub(super) use choice::{Choice, Mischief, Says};
use health::Health;
pub(super) use rest::is_divided;
use rolls::Roll;
use sizes::Sizes;
pub(super) use words::MORE;

#[derive(Clone)]
pub(super) struct World {
    pub(super) app: App,
    pub(super) now: Instant,
    pub(super) plan: Plan,
    pub(super) mischief: Mischief,
    /// Ordered, and neither failed to start nor ended.
    pub(super) processes: BTreeMap<Serial, Process>,
    /// What was published from the acknowledged version on.
    pub(super) sets: BTreeMap<Version, Vec<EndpointView>>,
    /// First version with an open endpoint of each generation that ever had one.
    opened: BTreeMap<Generation, Version>,
    /// Generations that came of a reload.
    staged: Vec<Generation>,
    /// How they come.
    rolls: BTreeMap<Generation, Roll>,
    /// Programs wait for memory.
    pub(super) is_pressed: bool,
    /// Somebody has asked for it while it slept, and nobody serves yet.
    pub(super) is_asked: bool,
    /// May they take over?
    asked: BTreeSet<Generation>,
    promoted: BTreeSet<Generation>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) outcomes: Vec<(Ticket, Outcome)>,
    pub(super) stop_owed: bool,
    books: Books,
    sizes: Sizes,
    /// Workers that were to be replaced.
    pub(super) wished: BTreeSet<Serial>,
    /// Processes that come or go while another one has their slot.
    beside: BTreeSet<Serial>,
    /// Those that leave so that another one can have their slot.
    making_way: BTreeSet<Serial>,
    /// What the latest step asked for.
    pub(super) actions: Vec<Action>,
    history: Option<Rc<Past>>,
    next_serial: u64,
    next_ticket: u64,
    next_number: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) worker: WorkerId,
    /// It was started in a crash loop that still lasts.
    is_trial: bool,
    /// Its start was reported.
    pub(super) runs: bool,
    pub(super) probed: bool,
    /// It is being warmed up.
    pub(super) warms: bool,
    pub(super) was_warmed: bool,
    /// It has said that it can serve.
    pub(super) declared: bool,
    pub(super) health: Health,
    /// Probes answered well, in a row; a worker's own word, or time that has passed, is worth any number of them.
    pub(super) streak: u32,
    /// When its start was reported.
    pub(super) began: Option<Instant>,
    pub(super) stopped: Option<Instant>,
    pub(super) killed: Option<Instant>,
    /// It has said that it stops.
    leaves: bool,
    pub(super) forced: bool,
    pub(super) idle: bool,
    /// It is published closed because its generation is kept for later.
    pub(super) is_kept: bool,
    /// The latest version that lists it.
    pub(super) listed: Version,
    /// The first version that lists it as closed.
    closed: Option<Version>,
}

impl World {
    /// A world with an app that was not started.
    pub(super) fn new(plan: Plan, mischief: Mischief) -> Self {
        Self {
            app: App::new("web".parse().unwrap()),
            now: Instant::now(),
            plan,
            mischief,
            processes: BTreeMap::new(),
            sets: BTreeMap::from([(Version(0), Vec::new())]),
            opened: BTreeMap::new(),
            staged: Vec::new(),
            rolls: BTreeMap::new(),
            is_pressed: false,
            is_asked: false,
            asked: BTreeSet::new(),
            promoted: BTreeSet::new(),
            tickets: Vec::new(),
            outcomes: Vec::new(),
            stop_owed: false,
            books: Books::default(),
            sizes: Sizes::default(),
            wished: BTreeSet::new(),
            beside: BTreeSet::new(),
            making_way: BTreeSet::new(),
            actions: Vec::new(),
            history: None,
            next_serial: 1,
            next_ticket: 1,
            next_number: 1,
        }
    }

    /// Lets something happen, does what the app then asks for, and judges it.
    pub(super) fn apply(&mut self, choice: Choice) {
        self.history = Some(Rc::new(Past { choice, before: self.history.take() }));
        let event = self.happen(choice);
        self.feed(event);
        if matches!(choice, Choice::Wake(_)) {
            let rested = self.app.deadline().is_none_or(|deadline| deadline > self.now);
            // Whoever has come to serve just now may have drawn to be asked at once.
            let mut workers = self.app.generations.iter().flat_map(Generated::workers);
            let is_asked = |one: &Worker| one.deadline().is_some_and(|due| due <= self.now);
            let is_new = workers.any(|one| one.state == State::Serving && one.since == self.now && is_asked(one));
            self.require(rested || is_new, "what was due is still due after the wake-up");
        }
    }

    /// Hands the app an event as it is.
    pub(super) fn feed(&mut self, event: Event) {
        let share = f64::from(self.mischief.dice) / 255.0;
        self.note_end(&event);
        self.note_time();
        self.note_size(&event);
        if event == Event::Wake {
            self.silence_due();
        }
        self.condemn();
        if let Event::Recycle { serial, .. } = event {
            self.wished.insert(serial);
        }
        let mut todo = Todo::new(Serial(self.next_serial), Box::new(move || share));
        self.app.handle(self.now, event, &mut todo);
        self.actions = todo.take();
        for action in self.actions.clone() {
            self.perform(action);
        }
        self.next_serial = todo.fresh_serial().0;
        self.note_dismissed();
        self.reseat();
        self.note_shifts();
        self.follow_health();
        self.audit();
        self.judge_sleep();
        self.judge();
    }

    /// Lets kind things happen until nothing more does.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            match self.kindest() {
                Some(choice) => self.apply(choice),
                None => return,
            }
        }
        self.fail("it does not come to rest");
    }

    pub(super) fn version(&self) -> Version {
        *self.sets.keys().next_back().expect("the acknowledged set is always there")
    }

    fn latest(&self) -> &[EndpointView] {
        &self.sets[&self.version()]
    }

    pub(super) fn in_force(&self) -> Version {
        *self.sets.keys().next().expect("the acknowledged set is always there")
    }

    fn happen(&mut self, choice: Choice) -> Event {
        match choice {
            Choice::Start => self.start(),
            Choice::Reload => self.reload(),
            Choice::Resize(workers) => self.resize(workers),
            Choice::Recycle(serial) => self.recycle(serial),
            Choice::GoBack | Choice::Condemn | Choice::Promote => self.doubt(choice),
            Choice::Cleared(generation, may) => self.answer_whether(generation, may),
            Choice::Doze | Choice::Rouse => self.doze_or_rouse(choice == Choice::Doze),
            Choice::Squeeze | Choice::Ease => self.squeeze(choice == Choice::Squeeze),
            Choice::Stop => {
                self.mischief.stops = self.mischief.stops.saturating_sub(1);
                self.stop_owed = true;
                Event::Stop
            }
            Choice::Spawned(serial) => self.begin(serial),
            Choice::SpawnFailed(serial) => {
                self.mischief.spawn_failures = self.mischief.spawn_failures.saturating_sub(1);
                self.processes.remove(&serial);
                Event::SpawnFailed { serial, reason: "chdir: no such directory".into() }
            }
            Choice::Passed(serial) => self.ready_or_not(serial, Ok(())),
            Choice::Failed(serial) => self.ready_or_not(serial, Err("GET /health answered 500".into())),
            Choice::Well(serial) => self.answer(serial, Ok(()), None),
            Choice::Ill(serial) => {
                self.mischief.ills = self.mischief.ills.saturating_sub(1);
                self.answer(serial, Err("GET /health answered 500".into()), None)
            }
            Choice::Hung(serial) => {
                self.mischief.hangs = self.mischief.hangs.saturating_sub(1);
                self.answer(serial, Err("GET /health had no answer within 2s".into()), Some(Duration::MAX))
            }
            Choice::Warmed(serial) => self.warmed(serial),
            Choice::Declared(serial) => {
                let process = self.process(serial);
                (process.declared, process.streak) = (true, u32::MAX);
                Event::Declared { serial }
            }
            Choice::Told(serial, word) => {
                let due = self.processes[&serial].health.due.filter(|_| word == Says::JustInTime);
                self.now = self.now.max(due.unwrap_or(self.now));
                self.say(serial, word.spelt())
            }
            Choice::Exited(serial) => self.exit(serial, 1),
            Choice::Ended(serial, code) => self.exit(serial, code),
            Choice::Acknowledged(version) => {
                self.sets = self.sets.split_off(&version);
                Event::Published { version }
            }
            Choice::Idle(serial) => {
                self.process(serial).idle = true;
                Event::Idle { serial }
            }
            Choice::Wake(late) => {
                self.now = self.app.deadline().unwrap_or(self.now).max(self.now) + Duration::from_secs(late);
                Event::Wake
            }
        }
    }

    fn warmed(&mut self, serial: Serial) -> Event {
        self.process(serial).warms = false;
        Event::Warmed { serial }
    }

    fn begin(&mut self, serial: Serial) -> Event {
        let now = self.now;
        let process = self.process(serial);
        (process.began, process.runs) = (Some(now), true);
        Event::Spawned { serial }
    }

    fn recycle(&mut self, serial: Serial) -> Event {
        self.mischief.recycles = self.mischief.recycles.saturating_sub(1);
        Event::Recycle { serial, reason: RecycleReason::Asked }
    }

    /// Somebody wants to go back, or the generation on trial answers badly.
    fn doubt(&mut self, choice: Choice) -> Event {
        self.mischief.doubts = self.mischief.doubts.saturating_sub(1);
        if choice == Choice::GoBack {
            return Event::GoBack { ticket: self.fresh_ticket() };
        }
        if choice == Choice::Promote {
            return Event::Promote;
        }
        let is_watched = |one: &&Generated| one.is_on_trial() || one.is_rolling() || one.is_canary();
        let tried = self.app.generations.iter().find(is_watched).map(|one| one.number);
        Event::Condemn { generation: tried.unwrap_or(Generation(0)), reason: "its answers are bad".into() }
    }

    fn ready_or_not(&mut self, serial: Serial, outcome: Result<(), String>) -> Event {
        let process = self.process(serial);
        process.probed = false;
        process.streak = if outcome.is_ok() { process.streak + 1 } else { 0 };
        Event::Probed { serial, outcome }
    }

    fn start(&mut self) -> Event {
        self.mischief.starts = self.mischief.starts.saturating_sub(1);
        if !self.app.is_wanted() {
            self.next_number += 1;
            self.stop_owed = false;
        }
        Event::Start(self.plan)
    }

    fn reload(&mut self) -> Event {
        self.mischief.reloads = self.mischief.reloads.saturating_sub(1);
        let ticket = self.fresh_ticket();
        self.staged.push(Generation(self.next_number));
        self.note_roll(Generation(self.next_number));
        self.next_number += 1;
        Event::Reload { ticket, plan: self.plan }
    }

    fn fresh_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.tickets.push(ticket);
        ticket
    }

    fn exit(&mut self, serial: Serial, code: u8) -> Event {
        let ended = self.processes.remove(&serial).expect("a choice is about a process that there is");
        let Mischief { crashes, endings, .. } = &mut self.mischief;
        if !ended.is_told_to_end() {
            let left = if code == 1 { crashes } else { endings };
            *left = left.saturating_sub(1);
        }
        Event::Exited { serial, how: format!("exit code {code}"), code: Some(code.into()) }
    }

    fn process(&mut self, serial: Serial) -> &mut Process {
        self.processes.get_mut(&serial).expect("actions and choices are about processes that there are")
    }

    pub(super) fn state(&self, serial: Serial) -> Option<State> {
        let workers = self.app.generations.iter().flat_map(Generated::workers);
        workers.chain(&self.app.stranded).find(|worker| worker.serial == serial).map(|worker| worker.state)
    }

    /// Is it for this worker to say that it can serve?
    pub(super) fn is_declarer(&self, process: &Process) -> bool {
        self.readiness(process) == Some(Readiness::Declared)
    }

    pub(super) fn readiness(&self, process: &Process) -> Option<Readiness> {
        let number = process.worker.generation;
        let generation = self.app.generations.iter().find(|generation| generation.number == number);
        generation.map(|generation| generation.plan.probing.readiness)
    }

    /// Whoever has lasted has shown what it can.
    fn note_time(&mut self) {
        let has_lasted = |process: &Process| match (self.readiness(process), process.began) {
            (Some(Readiness::Lasting(wait)), Some(began)) => began + wait <= self.now,
            _ => false,
        };
        let lasted: Vec<_> = self.processes.iter().filter(|(_, one)| has_lasted(one)).map(|(s, _)| *s).collect();
        for serial in lasted {
            self.process(serial).streak = u32::MAX;
        }
    }

    pub(super) fn require(&self, holds: bool, what: &str) {
        if !holds {
            self.fail(what);
        }
    }

    fn fail(&self, what: &str) -> ! {
        panic!("{what}\nafter {:?}\nasking for {:?}\nin {:?}", self.history, self.actions, self.app);
    }
}

impl Process {
    pub(super) fn is_told_to_end(&self) -> bool {
        self.stopped.is_some() || self.killed.is_some()
    }
}
