//! A simulated world around one app: processes, proxies and a clock that only jumps.
//!
//! The world keeps books of its own, from actions and events alone, and judges every action by them. What may happen
//! next is a list of [`Choice`]s, so that a walk can try all of them and chance can pick one.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::id::{Generation, Serial, WorkerId};
use crate::lifecycle::generation::Generation as Live;
use crate::lifecycle::state::State;
use crate::lifecycle::{Action, App, EndpointView, Event, Outcome, Plan, Ticket, Todo, Version};

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
    pub(super) tickets: Vec<Ticket>,
    pub(super) outcomes: Vec<(Ticket, Outcome)>,
    pub(super) stop_owed: bool,
    /// What the latest step asked for.
    pub(super) actions: Vec<Action>,
    history: Option<Rc<Past>>,
    next_serial: u64,
    next_ticket: u64,
    next_number: u64,
}

/// How much of what may go wrong, or be asked, still will.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Mischief {
    pub(super) reloads: u32,
    pub(super) stops: u32,
    pub(super) starts: u32,
    /// Exits that nobody asked for.
    pub(super) crashes: u32,
    pub(super) spawn_failures: u32,
    /// Dice for the jitter.
    pub(super) dice: u8,
    /// Do answers to probes still come after the worker was asked to stop?
    pub(super) late_answers: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) worker: WorkerId,
    /// Its start was reported.
    pub(super) runs: bool,
    pub(super) probed: bool,
    /// Probes answered well, in a row.
    pub(super) streak: u32,
    pub(super) stopped: Option<Instant>,
    pub(super) killed: Option<Instant>,
    pub(super) forced: bool,
    pub(super) idle: bool,
    /// The latest version that lists it.
    pub(super) listed: Version,
}

/// Something that may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Start,
    Reload,
    Stop,
    Spawned(Serial),
    SpawnFailed(Serial),
    Passed(Serial),
    Failed(Serial),
    Exited(Serial),
    Acknowledged(Version),
    Idle(Serial),
    /// The clock jumps to the deadline, or so many seconds too far.
    Wake(u64),
}

/// How the world came to be as it is, latest first.
struct Past {
    choice: Choice,
    before: Option<Rc<Past>>,
}

impl fmt::Debug for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut choices = vec![self.choice];
        let mut past = self;
        while let Some(before) = &past.before {
            choices.push(before.choice);
            past = before;
        }
        choices.reverse();
        choices.fmt(f)
    }
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
            tickets: Vec::new(),
            outcomes: Vec::new(),
            stop_owed: false,
            actions: Vec::new(),
            history: None,
            next_serial: 1,
            next_ticket: 1,
            next_number: 1,
        }
    }

    /// Everything that may happen now.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let mut choices = self.orders();
        for (serial, process) in &self.processes {
            self.choices_of(*serial, process, &mut choices);
        }
        let mut unacknowledged = self.sets.keys().skip(1);
        choices.extend(unacknowledged.next().map(|version| Choice::Acknowledged(*version)));
        choices.extend(unacknowledged.next_back().map(|version| Choice::Acknowledged(*version)));
        choices.extend(self.app.deadline().map(|_| Choice::Wake(0)));
        choices
    }

    fn orders(&self) -> Vec<Choice> {
        let mut orders = Vec::new();
        if self.mischief.starts > 0 && !self.app.is_expected() {
            orders.push(Choice::Start);
        }
        if self.mischief.reloads > 0 {
            orders.push(Choice::Reload);
        }
        if self.mischief.stops > 0 {
            orders.push(Choice::Stop);
        }
        orders
    }

    fn choices_of(&self, serial: Serial, process: &Process, choices: &mut Vec<Choice>) {
        if process.runs {
            if process.is_told_to_end() || self.mischief.crashes > 0 {
                choices.push(Choice::Exited(serial));
            }
        } else {
            choices.push(Choice::Spawned(serial));
            if self.mischief.spawn_failures > 0 {
                choices.push(Choice::SpawnFailed(serial));
            }
        }
        if process.probed {
            choices.extend([Choice::Passed(serial), Choice::Failed(serial)]);
        }
        if !process.idle && self.is_closed(serial) {
            choices.push(Choice::Idle(serial));
        }
    }

    /// The kindest thing that may happen now; `None` when all is well and nothing is waited for.
    pub(super) fn kindest(&self) -> Option<Choice> {
        if self.sets.len() > 1 {
            return Some(Choice::Acknowledged(self.version()));
        }
        let of_process = |(serial, process): (&Serial, &Process)| match process {
            Process { runs: false, .. } => Some(Choice::Spawned(*serial)),
            process if process.is_told_to_end() => Some(Choice::Exited(*serial)),
            Process { probed: true, .. } => Some(Choice::Passed(*serial)),
            Process { idle: false, .. } if self.is_closed(*serial) => Some(Choice::Idle(*serial)),
            _ => None,
        };
        self.processes.iter().find_map(of_process).or_else(|| self.app.deadline().map(|_| Choice::Wake(0)))
    }

    /// Lets something happen, does what the app then asks for, and judges it.
    pub(super) fn apply(&mut self, choice: Choice) {
        self.history = Some(Rc::new(Past { choice, before: self.history.take() }));
        let event = self.happen(choice);
        self.feed(event);
        if matches!(choice, Choice::Wake(_)) {
            let rested = self.app.deadline().is_none_or(|deadline| deadline > self.now);
            self.require(rested, "what was due is still due after the wake-up");
        }
    }

    /// Hands the app an event as it is.
    pub(super) fn feed(&mut self, event: Event) {
        let share = f64::from(self.mischief.dice) / 255.0;
        let mut todo = Todo::new(Serial(self.next_serial), Box::new(move || share));
        self.app.handle(self.now, event, &mut todo);
        self.actions = todo.take();
        for action in self.actions.clone() {
            self.perform(action);
        }
        self.next_serial = todo.fresh_serial().0;
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

    /// Everybody serves, or nobody is wanted; nothing is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        let all_serve = match self.app.generations.as_slice() {
            [] => !self.app.is_expected(),
            [live] => self.app.is_expected() && live.serving() == live.places.len(),
            _ => false,
        };
        let serving: usize = self.app.generations.iter().map(|generation| generation.places.len()).sum();
        all_serve && self.sets.len() == 1 && self.processes.len() == serving && self.tickets.is_empty()
    }

    pub(super) fn version(&self) -> Version {
        *self.sets.keys().next_back().expect("the acknowledged set is always there")
    }

    pub(super) fn in_force(&self) -> Version {
        *self.sets.keys().next().expect("the acknowledged set is always there")
    }

    fn happen(&mut self, choice: Choice) -> Event {
        match choice {
            Choice::Start => {
                self.mischief.starts = self.mischief.starts.saturating_sub(1);
                if !self.app.is_expected() {
                    self.next_number += 1;
                    self.stop_owed = false;
                }
                Event::Start(self.plan)
            }
            Choice::Reload => self.reload(),
            Choice::Stop => {
                self.mischief.stops = self.mischief.stops.saturating_sub(1);
                self.stop_owed = true;
                Event::Stop
            }
            Choice::Spawned(serial) => {
                self.process(serial).runs = true;
                Event::Spawned { serial }
            }
            Choice::SpawnFailed(serial) => {
                self.mischief.spawn_failures = self.mischief.spawn_failures.saturating_sub(1);
                self.processes.remove(&serial);
                Event::SpawnFailed { serial, reason: "chdir: no such directory".into() }
            }
            Choice::Passed(serial) => {
                let process = self.process(serial);
                process.probed = false;
                process.streak += 1;
                Event::Probed { serial, outcome: Ok(()) }
            }
            Choice::Failed(serial) => {
                let process = self.process(serial);
                process.probed = false;
                process.streak = 0;
                Event::Probed { serial, outcome: Err("GET /health answered 500".into()) }
            }
            Choice::Exited(serial) => self.exit(serial),
            Choice::Acknowledged(version) => {
                self.sets = self.sets.split_off(&version);
                Event::Published { version }
            }
            Choice::Idle(serial) => {
                self.process(serial).idle = true;
                Event::Idle { serial }
            }
            Choice::Wake(late) => {
                let deadline = self.app.deadline().unwrap_or(self.now);
                self.now = deadline.max(self.now) + Duration::from_secs(late);
                Event::Wake
            }
        }
    }

    fn reload(&mut self) -> Event {
        self.mischief.reloads = self.mischief.reloads.saturating_sub(1);
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.tickets.push(ticket);
        self.staged.push(Generation(self.next_number));
        self.next_number += 1;
        Event::Reload { ticket, plan: self.plan }
    }

    fn exit(&mut self, serial: Serial) -> Event {
        let ended = self.processes.remove(&serial).expect("a choice is about a process that there is");
        if !ended.is_told_to_end() {
            self.mischief.crashes = self.mischief.crashes.saturating_sub(1);
        }
        Event::Exited { serial, how: "exit code 1".into() }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { serial, worker } => self.spawn(serial, worker),
            Action::Probe { serial } => self.probe(serial),
            Action::Publish { version } => self.publish(version),
            Action::Stop { serial } => self.stop(serial),
            Action::Kill { serial } => self.kill(serial),
            Action::Forced { serial } => {
                self.require(!self.processes[&serial].forced, "a drain is forced once");
                self.process(serial).forced = true;
            }
            Action::Finish { ticket, outcome } => self.finish(ticket, outcome),
            Action::Retired { generation } => {
                let left = self.awaited().any(|process| process.worker.generation == generation);
                self.require(!left, "a generation is retired with a process left");
            }
            Action::Stopped => {
                self.require(self.stop_owed, "an app stops because it was asked to, and says so once");
                self.require(self.awaited().next().is_none(), "an app is stopped with a process left");
                self.stop_owed = false;
            }
        }
    }

    fn spawn(&mut self, serial: Serial, worker: WorkerId) {
        self.require(self.processes.values().all(|process| process.worker != worker), "two processes in one slot");
        self.require(self.app.is_expected(), "a process is started for an app that is to stop");
        let process = Process {
            worker,
            runs: false,
            probed: false,
            streak: 0,
            stopped: None,
            killed: None,
            forced: false,
            idle: false,
            listed: Version(0),
        };
        let fresh = self.processes.insert(serial, process).is_none();
        self.require(fresh, "a serial is used twice");
    }

    fn probe(&mut self, serial: Serial) {
        let Process { runs, probed, stopped, .. } = self.processes[&serial];
        self.require(runs && !probed && stopped.is_none(), "a probe of a worker that cannot take one");
        self.process(serial).probed = true;
    }

    fn stop(&mut self, serial: Serial) {
        self.require_unlisted(serial);
        let Process { runs, stopped, .. } = self.processes[&serial];
        self.require(runs && stopped.is_none(), "a stop signal for a worker that cannot take one");
        let now = self.now;
        let answers = self.mischief.late_answers;
        let process = self.process(serial);
        process.stopped = Some(now);
        process.probed &= answers;
    }

    fn kill(&mut self, serial: Serial) {
        self.require_unlisted(serial);
        let Process { runs, stopped, killed, .. } = self.processes[&serial];
        let patient = stopped.is_none_or(|at| self.now >= at + self.plan.kill_timeout);
        self.require(patient && (stopped.is_some() || !runs || killed.is_some()), "a kill without a stop before it");
        let now = self.now;
        let process = self.process(serial);
        process.killed = process.killed.or(Some(now));
    }

    fn finish(&mut self, ticket: Ticket, outcome: Outcome) {
        let open = self.tickets.len();
        self.tickets.retain(|open| *open != ticket);
        self.require(self.tickets.len() + 1 == open, "a ticket is finished once");
        if let Outcome::Live { generation } = outcome {
            let opened = self.opened.get(&generation).is_some_and(|version| *version <= self.in_force());
            self.require(opened, "a reload is called live before the proxies know");
        }
        self.outcomes.push((ticket, outcome));
    }

    fn publish(&mut self, version: Version) {
        self.require(version == self.version().next(), "versions count one by one");
        let set = self.app.endpoints();
        let before = &self.sets[&self.version()];
        let is_open_in = |set: &[EndpointView], serial| set.iter().any(|one| one.open && one.serial == serial);
        let serving = before.iter().filter(|one| one.open && self.processes.contains_key(&one.serial)).count();
        let open = set.iter().filter(|one| one.open).count();
        self.require(serving == 0 || open > 0 || !self.app.is_expected(), "I4: the set was emptied by our own action");
        for one in set.iter().filter(|one| one.open && !is_open_in(before, one.serial)) {
            self.require_gated(*one, serving, &set);
        }
        for one in &set {
            self.process(one.serial).listed = version;
            if one.open {
                self.opened.entry(one.generation).or_insert(version);
            }
        }
        self.sets.insert(version, set);
    }

    /// I5: who opens has earned it, in this incarnation.
    fn require_gated(&self, one: EndpointView, serving: usize, set: &[EndpointView]) {
        let first = self.staged.contains(&one.generation) && !self.opened.contains_key(&one.generation);
        let generation = self.app.generations.iter().find(|generation| generation.number == one.generation);
        let full_terms = |generation: &Live| (generation.plan.successes, generation.places.len());
        let terms = generation.filter(|_| first && serving > 0).map(full_terms);
        let (needed, width) = terms.unwrap_or((1, 1));
        let process = &self.processes[&one.serial];
        self.require(process.streak >= needed && !process.idle, "I5: a worker opens that has not earned it");
        let open = set.iter().filter(|other| other.open && other.generation == one.generation).count();
        self.require(open >= width, "I5: a generation takes over before all of it is ready");
    }

    /// No proxy can have it any more: neither the acknowledged set nor one after it has it.
    fn require_unlisted(&self, serial: Serial) {
        let process = &self.processes[&serial];
        let unlisted = process.listed == Version(0) || process.listed < self.in_force();
        self.require(unlisted, "a signal for a worker that a proxy may still have");
    }

    fn judge(&self) {
        let generations = &self.app.generations;
        let staging = generations.iter().filter(|generation| generation.is_staging()).count();
        let newest = generations.last().is_none_or(|newest| staging == 0 || newest.is_staging());
        self.require(staging <= 1 && newest, "one generation is staging, the newest");
        self.require(generations.iter().filter(|one| one.is_live()).count() <= 1, "one generation is live");
        self.require(generations.iter().filter(|one| one.is_draining()).count() <= 3, "three generations drain");
        for generation in generations {
            let starting = generation.workers().filter(|worker| worker.state.is_starting()).count();
            self.require(starting <= generation.plan.concurrent_starts as usize, "too many starts at once");
            let permits = starting < generation.plan.concurrent_starts as usize;
            let waiting = generation.places.iter().any(|place| place.is_waiting());
            self.require(!(waiting && permits && generation.is_live()), "nobody waits while there are permits");
        }
        self.require(!self.stop_owed || !generations.is_empty() || self.app.is_expected(), "a stop is not confirmed");
        self.require(self.app.endpoints() == self.sets[&self.version()], "the published set is the present one");
        self.require(self.is_at_rest() || self.is_going_on(), "it is stuck");
    }

    /// Something will happen, without anybody's doing.
    fn is_going_on(&self) -> bool {
        let awaited = |process: &Process| !process.runs || process.probed || process.is_told_to_end();
        self.app.deadline().is_some() || self.sets.len() > 1 || self.processes.values().any(awaited)
    }

    /// Processes but those that were killed and given up.
    fn awaited(&self) -> impl Iterator<Item = &Process> {
        let patient = |process: &Process| process.killed.is_none_or(|at| self.now < at + Duration::from_secs(5));
        let awaited = move |(serial, process): &(&Serial, &Process)| {
            patient(process) || self.state(**serial) != Some(State::Unkillable)
        };
        self.processes.iter().filter(awaited).map(|(_, process)| process)
    }

    fn is_closed(&self, serial: Serial) -> bool {
        self.sets[&self.version()].iter().any(|one| one.serial == serial && !one.open)
    }

    fn process(&mut self, serial: Serial) -> &mut Process {
        self.processes.get_mut(&serial).expect("actions and choices are about processes that there are")
    }

    pub(super) fn state(&self, serial: Serial) -> Option<State> {
        let workers = self.app.generations.iter().flat_map(|generation| generation.workers());
        workers.chain(&self.app.stranded).find(|worker| worker.serial == serial).map(|worker| worker.state)
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
