//! An app that is written down at any moment, and taken up by another supervisor: nobody is lost, and all goes on.
//!
//! A driver that is as kind as can be answers whatever the app asks for from then on; what it may ask for is checked.

mod moments;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::chance::{mischief, plans, turn};
use super::world::{Choice, World, is_divided};
use crate::id::Serial;
use crate::lifecycle::generation::Generation;
use crate::lifecycle::place::Place;
use crate::lifecycle::record::AppRecord;
use crate::lifecycle::{Action, App, AppState, Event, Plan, Readiness, Report, Todo, Version, Word, WorkerState};

/// So much later the next supervisor takes over.
const GAP: Duration = Duration::from_millis(700);

/// An app after it was taken over, with its processes.
struct Taken {
    app: App,
    now: Instant,
    processes: BTreeSet<Serial>,
    /// What the proxies act on.
    version: Version,
    next_serial: u64,
    actions: Vec<Action>,
}

impl Taken {
    /// Over by way of the text that stands in the ledger.
    fn over(app: &App, plan: Plan, written: Instant, processes: BTreeSet<Serial>, next_serial: u64) -> Self {
        let text = serde_json::to_string(&app.record(written)).unwrap();
        let record: AppRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(record, app.record(written), "what was written is read");
        let now = written + GAP;
        let mut todo = Todo::new(Serial(next_serial), Box::new(|| 0.5));
        let app = App::adopt("web".parse().unwrap(), &record, |_| plan, (written, now), &mut todo);
        let (actions, next_serial) = (todo.take(), todo.next_serial());
        let mut taken =
            Self { app, now, processes, version: Version(record.version), next_serial, actions: Vec::new() };
        taken.take_in(actions);
        taken
    }

    fn of(world: &World) -> Self {
        let processes = world.processes.iter().filter(|(_, process)| process.runs).map(|(serial, _)| *serial).collect();
        Self::over(&world.app, world.plan, world.now, processes, 1 << 32)
    }

    fn feed(&mut self, event: Event) {
        let mut todo = Todo::new(Serial(self.next_serial), Box::new(|| 0.5));
        self.app.handle(self.now, event, &mut todo);
        self.next_serial = todo.next_serial();
        let actions = todo.take();
        self.take_in(actions);
    }

    fn take_in(&mut self, actions: Vec<Action>) {
        for action in &actions {
            if let Action::Stop { serial } = action {
                let is_listed = self.app.endpoints().iter().any(|endpoint| endpoint.serial == *serial);
                assert!(!is_listed, "{serial} is asked to stop while proxies may send to it");
            }
        }
        self.actions.extend(actions);
    }

    /// Answers what was asked for, the oldest first; false when nothing was.
    fn answer(&mut self) -> bool {
        if self.actions.is_empty() {
            return false;
        }
        match self.actions.remove(0) {
            Action::Spawn { serial, .. } => {
                self.processes.insert(serial);
                self.feed(Event::Spawned { serial });
                let report = self.app.report();
                if is_declarer(&self.app) && states(&report).any(|(one, state)| one == serial && is_starting(state)) {
                    self.feed(Event::Declared { serial });
                }
            }
            Action::Probe { serial } => self.feed(Event::Probed { serial, outcome: Ok(()) }),
            Action::Check { serial } => self.feed(Event::Checked { serial, outcome: Ok(()), oldest: None }),
            Action::Stop { serial } | Action::Kill { serial } if self.processes.remove(&serial) => {
                self.feed(Event::Exited { serial, how: "exit code 0".into(), code: Some(0) });
            }
            Action::Publish { version } if version > self.version => {
                self.version = version;
                self.feed(Event::Published { version });
            }
            _ => {}
        }
        true
    }

    /// Goes on until nothing is left to be done, with nothing in flight anywhere.
    fn settle(&mut self) {
        for _ in 0..3_000 {
            if self.answer() {
                continue;
            }
            let closed: Vec<_> = self.app.endpoints().into_iter().filter(|endpoint| !endpoint.open).collect();
            let before = self.app.report();
            for endpoint in closed {
                self.feed(Event::Idle { serial: endpoint.serial });
            }
            if !self.actions.is_empty() || before.generations != self.app.report().generations {
                continue;
            }
            if self.is_at_rest() {
                return;
            }
            let watched: Vec<_> = states(&before).filter(|(_, state)| is_watched(*state)).collect();
            let is_silent = watched.iter().any(|(_, state)| *state == WorkerState::Unready);
            let Some(at) = self.app.deadline().or_else(|| is_silent.then_some(self.now)) else { break };
            self.now = self.now.max(at);
            // They say so just in time.
            for (serial, _) in watched {
                self.feed(Event::Told { serial, word: Word::Well });
            }
            self.feed(Event::Wake);
        }
        assert!(self.is_at_rest(), "it does not come to rest: {:?}", self.app);
    }

    /// Every process is one of those who serve, and whoever is wanted does.
    fn is_at_rest(&self) -> bool {
        let report = self.app.report();
        let serving: BTreeSet<_> =
            states(&report).filter(|(_, state)| *state == WorkerState::Serving).map(|(serial, _)| serial).collect();
        let is_settled = matches!(
            report.state,
            AppState::Running
                | AppState::Stopped
                | AppState::GivenUp
                | AppState::Exited
                | AppState::Degraded
                | AppState::Asleep
        );
        let all = report.generations.iter().flat_map(|one| &one.workers);
        let nobody_comes =
            !all.map(|one| one.state).any(|one| matches!(one, WorkerState::Pending | WorkerState::Backoff));
        let is_one = report.generations.len() <= 1 || is_divided(&self.app);
        is_settled && nobody_comes && serving == self.processes && is_one
    }
}

fn is_declarer(app: &App) -> bool {
    app.generations.last().is_some_and(|one| one.plan.probing.readiness == Readiness::Declared)
}

fn is_starting(state: WorkerState) -> bool {
    state == WorkerState::Starting
}

/// Who fell silent while nobody looked speaks again, too.
fn is_watched(state: WorkerState) -> bool {
    matches!(state, WorkerState::Serving | WorkerState::Unready)
}

fn states(report: &Report) -> impl Iterator<Item = (Serial, WorkerState)> {
    let all = report.generations.iter().flat_map(|one| one.workers.iter().chain(&one.beside));
    all.chain(&report.stranded).filter_map(|one| Some((one.serial?, one.state)))
}

/// Those who are to go once somebody else serves, for they are to be replaced, or surplus. That may be so at once, for whoever
/// was being warmed up serves as it is.
fn goers(app: &App) -> BTreeSet<Serial> {
    let goes = |one: &Generation, place: &&Place| place.slot() >= one.kept() || place.relay.wish.is_some();
    let places = app.generations.iter().flat_map(|one| one.places.iter().filter(move |place| goes(one, place)));
    places.filter_map(|place| Some(place.worker()?.serial)).collect()
}

fn known(app: &App) -> BTreeSet<Serial> {
    states(&app.report()).map(|(serial, _)| serial).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    /// At whatever moment it is written down.
    #[test]
    fn nobody_is_lost_and_all_comes_to_rest(
        plan in plans(),
        script in vec(any::<(u8, u8, u8)>(), 0..200),
        kindness in 120..=250_u8,
    ) {
        let mut world = World::new(plan, mischief(&plan));
        world.apply(Choice::Start);
        for one in script {
            turn(&mut world, kindness, one);
        }
        let before = known(&world.app);
        let mut taken = Taken::of(&world);
        prop_assert!(before.is_subset(&known(&taken.app)), "somebody is lost");
        let open = |app: &App| -> BTreeSet<Serial> {
            app.endpoints().into_iter().filter(|one| one.open).map(|one| one.serial).collect()
        };
        // In a loop those who have fallen silent go at once, and a reload that is given up holds no replacement up.
        if world.app.generations.iter().all(|one| one.circuit.is_closed() && !one.is_coming() && !one.is_stepwise()) {
            let (before, after) = (open(&world.app), open(&taken.app));
            // Whoever fails its probes is open only while most do.
            let report = world.app.report();
            let well: BTreeSet<_> = states(&report).filter(|(_, state)| *state == WorkerState::Serving).collect();
            let is_well = |one: &&Serial| well.contains(&(**one, WorkerState::Serving));
            let gone: Vec<_> = before.difference(&after).filter(is_well).copied().collect();
            let goers = goers(&world.app);
            prop_assert!(gone.iter().all(|one| goers.contains(one)), "{gone:?} served and do not any more");
            prop_assert!(gone.len() <= after.difference(&before).count(), "{gone:?} go and nobody has come");
        }
        // Whoever had been ordered and was not there yet never comes.
        let never: Vec<_> = known(&taken.app).difference(&taken.processes).copied().collect();
        let ordered: BTreeSet<_> = taken.actions.iter().filter_map(|action| match action {
            Action::Spawn { serial, .. } => Some(*serial),
            _ => None,
        }).collect();
        for serial in never.into_iter().filter(|serial| !ordered.contains(serial)) {
            taken.feed(Event::Exited { serial, how: "an exit that nobody saw".into(), code: None });
        }
        let is_declarer = is_declarer(&taken.app);
        let starting: Vec<_> = states(&taken.app.report()).filter(|(_, state)| is_starting(*state)).collect();
        for (serial, _) in starting.into_iter().filter(|_| is_declarer) {
            taken.feed(Event::Declared { serial });
        }
        taken.settle();
    }
}
