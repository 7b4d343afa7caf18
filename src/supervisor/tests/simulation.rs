//! One run: a supervisor in a world, driven step by step with a clock that jumps to whatever comes next.
//!
//! A run has three parts. In the first all sorts of things go wrong while the operator gives orders; then the world turns kind,
//! and everything has to come to what was last asked for; in the end the supervisor is stopped, and nothing may be left.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::oneshot::error::TryRecvError;
use tokio_util::task::TaskTracker;

use super::judge::Seen;
use super::operator::{Answer, Operator};
use super::town::Town;
use super::world::{Hands, Happening, Tally, World};
use crate::control::words::{Diversion, Outcome};
use crate::id::{AppName, Serial};
use crate::lifecycle::Todo;
use crate::supervisor::archive::Archive;
use crate::supervisor::calendar::Calendar;
use crate::supervisor::event::{Event, Signal};
use crate::supervisor::idle::Quiet;
use crate::supervisor::launch::{Logs, Preload, Sockets, Starter};
use crate::supervisor::listeners::Listeners;
use crate::supervisor::memory::Gauges;
use crate::supervisor::orphans::Sweep;
use crate::supervisor::outcome::Reloads;
use crate::supervisor::output::{Feed, Halt, Sink, Sweeper};
use crate::supervisor::proxies::Proxies;
use crate::supervisor::rescue::Rescues;
use crate::supervisor::roster::Roster;
use crate::supervisor::scrape::Scrapes;
use crate::supervisor::settings::recipe;
use crate::supervisor::shutdown::Phase;
use crate::supervisor::watch::Watches;
use crate::supervisor::{Chores, Machines, Outlook, Published, Supervisor, adoption, clock};
use crate::sys::notify::Notifier;
use crate::sys::orphans::Orphans;
use crate::telemetry::supervisor_metrics::SupervisorMetrics;

/// The first part takes so long at most, and so many steps.
const CHAOS: u64 = 60_000;
const CHAOS_STEPS: u64 = 300;

/// Within so much time the kind world has to come to rest, and the supervisor to its end.
const REST_LIMIT: Duration = Duration::from_mins(5);
const STEP_LIMIT: u64 = 20_000;

pub(super) struct Simulation {
    pub(super) supervisor: Supervisor,
    pub(super) world: Rc<RefCell<World>>,
    pub(super) operator: Operator,
    pub(super) seen: Seen,
    pub(super) is_first_start: bool,
    pub(super) is_hasty: bool,
    seed: u64,
}

/// Runs the world of this seed to its end. `is_told`: what happened in it is, should a promise be broken.
pub(super) fn run(seed: u64, folder: &Path, is_told: bool) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let _inside = runtime.enter();
    let mut simulation = Simulation::begin(seed, folder, is_told);
    simulation.chaos();
    simulation.come_to_rest();
    simulation.end();
    let world = simulation.world.borrow();
    world.tally
}

/// Wake-ups that one moment may take.
const WAKE_UPS: usize = 2;

impl Simulation {
    fn begin(seed: u64, folder: &Path, is_told: bool) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let (town, characters) = Town::found(&mut chance);
        let path = folder.join("portreeve.toml");
        let operator = Operator::new(&path, town);
        let world = Rc::new(RefCell::new(World::new(chance.u64(..), characters, is_told)));
        let supervisor = supervisor(&path, chance.u64(..), Box::new(Hands(Rc::clone(&world))));
        let mut simulation =
            Self { supervisor, world, operator, seen: Seen::default(), is_first_start: true, is_hasty: false, seed };
        if simulation.supervisor.bring_up().is_err() {
            // Then there is no supervisor at all; here it goes on without a proxy for a moment.
            simulation.supervisor.proxies.plan_restart(clock::now());
        }
        simulation.come_to_terms();
        simulation
    }

    fn chaos(&mut self) {
        let until = clock::now() + self.world.borrow_mut().millis(5_000..CHAOS);
        let mut at = clock::now();
        while at < until {
            at += self.world.borrow_mut().millis(0..8_000);
            self.world.borrow_mut().plan_at(at, Happening::Orders);
        }
        for _ in 0..CHAOS_STEPS {
            if self.next().is_none_or(|next| next > until) {
                break;
            }
            self.step();
        }
    }

    fn come_to_rest(&mut self) {
        self.is_first_start = false;
        self.world.borrow_mut().turn_kind();
        for app in self.operator.subjects() {
            for diversion in [Diversion::Resume, Diversion::Undrain(Vec::new())] {
                let (what, event) = self.operator.diversion(&app, diversion);
                self.give(&what, event);
            }
        }
        let (what, event) = self.operator.mend();
        self.give(&what, event);
        let until = clock::now() + REST_LIMIT;
        for _ in 0..STEP_LIMIT {
            let Some(unrest) = self.unrest() else { return };
            if self.next().is_none_or(|next| next > until) {
                self.fail(&format!("it does not come to rest: {unrest}"));
            }
            self.step();
        }
        self.fail("it does not come to rest in so many steps");
    }

    fn end(&mut self) {
        let is_impatient = self.world.borrow_mut().chance(20);
        // Workers are as they are: some do not listen.
        let is_kind = self.world.borrow_mut().chance(50);
        self.world.borrow_mut().is_kind = is_kind;
        self.note_report();
        self.operator.waiting.clear();
        self.hear(Event::Signal(Signal::Stop));
        let until = clock::now() + REST_LIMIT;
        for step in 0..STEP_LIMIT {
            if self.supervisor.is_done() {
                return self.judge_end();
            }
            if is_impatient && step == 20 {
                self.is_hasty = true;
                self.hear(Event::Signal(Signal::Stop));
                continue;
            }
            if self.next().is_none_or(|next| next > until) {
                self.fail(&format!("it does not end: {:?}", self.supervisor.phase));
            }
            self.step();
        }
        self.fail("it does not end in so many steps");
    }

    /// When something comes next.
    fn next(&self) -> Option<Instant> {
        [self.world.borrow().next(), self.supervisor.deadline()].into_iter().flatten().min()
    }

    fn step(&mut self) {
        self.world.borrow_mut().tally.steps += 1;
        let Some(next) = self.next() else { self.fail("nothing will ever happen") };
        jump_to(next);
        let is_due = self.supervisor.deadline().is_some_and(|deadline| deadline <= clock::now());
        let is_first = self.world.borrow_mut().chance(50);
        let happening = if is_due && is_first { None } else { self.world.borrow_mut().take_due() };
        match happening {
            Some(Happening::Orders) => self.give_order(),
            Some(Happening::JobIsDue(app)) => {
                self.supervisor.job_is_due(&app);
                self.come_to_terms();
            }
            Some(happening) => {
                let event = self.world.borrow_mut().happen(happening);
                if let Some(event) = event {
                    self.hear(event);
                }
            }
            None => self.wake(),
        }
    }

    fn wake(&mut self) {
        // To be late is to go wrong: what has ended in time may then be taken for late as well.
        let is_late = self.world.borrow_mut().chance(10) && !self.world.borrow().is_kind;
        if is_late {
            let late = self.world.borrow_mut().millis(0..1_500);
            jump_to(clock::now() + late);
        }
        let now = clock::now();
        let is_due = |simulation: &Self| simulation.supervisor.deadline().is_some_and(|deadline| deadline <= now);
        // What a wake-up brings about may be due in the same moment, as the end of a worker that comes to serve at an age
        // at which it has to go; nothing may be due again and again.
        for _ in 0..WAKE_UPS {
            self.supervisor.wake(now);
            self.come_to_terms();
            if !is_due(self) {
                return;
            }
        }
        self.fail("what was due is still due after the wake-up");
    }

    fn hear(&mut self, event: Event) {
        self.supervisor.handle(event);
        self.come_to_terms();
    }

    /// As the loop does after each event; then the world does what was ordered, and is judged.
    fn come_to_terms(&mut self) {
        self.supervisor.settle();
        self.world.borrow_mut().obey();
        self.world.borrow_mut().obey_fronts();
        self.judge();
    }

    fn give_order(&mut self) {
        let chance = &mut self.world.borrow_mut().chance.fork();
        if chance.u32(0..4) == 0 {
            let jobs: Vec<AppName> =
                self.supervised().filter(|(_, site)| site.runs.is_some()).map(|(app, _)| app.clone()).collect();
            for app in jobs {
                self.world.borrow_mut().plan(Duration::ZERO, Happening::JobIsDue(app));
            }
        }
        let (what, event) = self.operator.order(chance);
        self.give(&what, event);
    }

    fn give(&mut self, what: &str, event: Event) {
        self.world.borrow_mut().note(|| format!("the operator: {what}"));
        self.world.borrow_mut().tally.orders += 1;
        self.is_first_start = false;
        self.supervisor.handle(event);
        // Refused or taken: that is known at once.
        self.supervisor.settle();
        if let Some(refusal) = self.operator.note_order() {
            self.world.borrow_mut().note(|| format!("refused: {refusal}"));
            self.world.borrow_mut().tally.refusals += 1;
        }
        self.come_to_terms();
    }

    /// Takes what callers were answered; gives what one will never be.
    pub(super) fn hear_answers(&mut self) -> Option<String> {
        let tally = &mut self.world.borrow_mut().tally;
        let mut lost = None;
        self.operator.waiting.retain_mut(|waiting| {
            let answer = match &mut waiting.reply {
                Answer::Change(reply) => reply.try_recv().map(|answer| {
                    for app in answer.into_iter().flat_map(|reloaded| reloaded.apps) {
                        tally.live += u64::from(app.outcome == Outcome::Live);
                        tally.aborted += u64::from(app.outcome == Outcome::Aborted);
                        tally.scaled += u64::from(app.outcome == Outcome::Scaled);
                    }
                }),
                Answer::Diversion(reply) => reply.try_recv().map(|_| ()),
            };
            if answer == Err(TryRecvError::Closed) {
                lost = Some(waiting.what.clone());
            }
            answer == Err(TryRecvError::Empty)
        });
        lost
    }

    fn note_report(&mut self) {
        let mut tally = self.world.borrow().tally;
        for (_, site) in self.supervised() {
            let report = site.machine.report();
            tally.recycles += report.recycles.by_reason().map(|(_, count)| count).sum::<u64>();
            tally.runs += site.runs.as_ref().map_or(0, |runs| runs.job.begun());
        }
        self.world.borrow_mut().tally = tally;
    }

    pub(super) fn require(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fail(&what());
        }
    }

    pub(super) fn fail(&self, what: &str) -> ! {
        let apps = self.supervised().map(|(app, site)| format!("  {app}: {:?}\n", site.machine.report()));
        let apps: String = apps.collect();
        let past = self.world.try_borrow().map(|world| world.past()).unwrap_or_default();
        let seed = self.seed;
        panic!(
            "{what}\nseed {seed}; again, with all that happened: SIM_SEED={seed} cargo test simulated_world\n{past}{apps}"
        );
    }
}

/// Lets the clock jump; nothing else runs meanwhile.
fn jump_to(at: Instant) {
    let wait = at.saturating_duration_since(clock::now());
    if wait > Duration::ZERO {
        let mut advance = std::pin::pin!(tokio::time::advance(wait));
        let _ = advance.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

/// A supervisor as it is built, but for what is real about it.
fn supervisor(path: &Path, seed: u64, effects: Box<Hands>) -> Supervisor {
    static SHARED: LazyLock<(Sink, Sweeper)> =
        LazyLock::new(|| (Sink::open(std::io::sink(), false).unwrap().0, Sweeper::start().unwrap()));
    let config = crate::config::load(path).unwrap().config;
    // Tasks of chores are never run: there is nothing that they could look at.
    let (events, tasks) = (mpsc::channel(1).0, TaskTracker::new());
    let (metrics, mut dice) = (SupervisorMetrics::new(), fastrand::Rng::with_seed(seed));
    let (now, (sink, sweeper)) = (clock::now(), &*SHARED);
    Supervisor {
        roster: Roster::new(false),
        listeners: Listeners::open(&config, 1).unwrap(),
        sites: BTreeMap::new(),
        proxies: Proxies::new(recipe(&config, None, 0)),
        starter: Starter {
            effects,
            environment: Vec::new(),
            events,
            metrics: metrics.clone(),
            sink: sink.clone(),
            feed: Feed::default(),
            tasks,
            logs: Logs {
                metrics: metrics.clone(),
                sweeper: sweeper.clone(),
                writers: TaskTracker::new(),
                halt: Halt::default(),
            },
            sockets: Sockets::beside(path, None),
            preload: Preload::default(),
            realm: None,
            line: 0,
        },
        machines: Machines {
            todo: Todo::new(Serial(1), Box::new(move || dice.f64())),
            order: crate::lifecycle::Order::default(),
            queue: std::collections::VecDeque::new(),
        },
        reloads: Reloads::default(),
        published: Published::default(),
        phase: Phase::Running,
        chores: chores(now),
        outlook: Outlook {
            notifier: Notifier::from_environment().unwrap(),
            metrics,
            metrics_address: None,
            began: now,
            announce: None,
            announced: false,
            admin: None,
            line: adoption::Line::default(),
            upgrade: adoption::Upgrade::None,
            store: adoption::Store::default(),
        },
        config,
    }
}

fn chores(now: Instant) -> Chores {
    Chores {
        scrapes: Scrapes::new(now),
        sweep: Sweep::new(Orphans::default()),
        gauges: Gauges::default(),
        calendar: Calendar::default(),
        archive: Archive::default(),
        watches: Watches::new(Vec::new()),
        rescues: Rescues::default(),
        quiet: Quiet::default(),
    }
}
