//! An app that is written down at any moment, and taken up by another supervisor: nobody is lost, and all goes on.
//!
//! A driver that is as kind as can be answers whatever the app asks for from then on; what it may ask for is checked.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::chance::{WILD, mischief, plans, turn};
use super::plan;
use super::world::{Choice, Mischief, Says, World, is_divided};
use crate::id::Serial;
use crate::lifecycle::generation::Generation;
use crate::lifecycle::place::Place;
use crate::lifecycle::record::{AppRecord, CircuitRecord};
use crate::lifecycle::{
    Action, App, AppState, Event, OnLoop, Plan, Readiness, Report, Restart, Ticket, Timeouts, Todo, Trial, Version,
    Word, WorkerState,
};

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

/// An app with so many workers that serve.
fn running(plan: Plan) -> World {
    let mut world = World::new(plan, Mischief { busy: true, ..WILD });
    world.apply(Choice::Start);
    world.settle();
    world
}

fn state(taken: &Taken, serial: u64) -> Option<WorkerState> {
    states(&taken.app.report()).find(|(one, _)| one.0 == serial).map(|(_, state)| state)
}

#[test]
fn who_served_serves_on_and_the_proxies_are_told_again() {
    let world = running(plan(2));
    let taken = Taken::of(&world);
    assert_eq!(taken.app.endpoints(), world.app.endpoints());
    assert_eq!(taken.actions, [Action::Publish { version: world.version().next() }]);
}

#[test]
fn who_has_died_meanwhile_is_replaced() {
    let world = running(plan(2));
    let mut taken = Taken::of(&world);
    taken.processes.remove(&Serial(1));
    taken.feed(Event::Exited { serial: Serial(1), how: "an exit that nobody saw".into(), code: None });
    taken.settle();
    assert_eq!(taken.app.report().state, AppState::Running);
    assert_eq!(taken.app.report().restarts.crash, 1);
}

#[test]
fn a_drain_keeps_its_deadline() {
    let mut world = running(plan(1));
    let serial = Serial(1);
    world.apply(Choice::Stop);
    let version = world.version();
    world.apply(Choice::Acknowledged(version));
    let deadline = world.app.deadline().expect("it drains");
    world.now += Duration::from_secs(10);
    let mut taken = Taken::of(&world);
    assert_eq!((state(&taken, 1), taken.app.deadline()), (Some(WorkerState::Draining), Some(deadline)));
    taken.now = deadline;
    taken.feed(Event::Wake);
    assert!(taken.actions.contains(&Action::Forced { serial }), "{:?}", taken.actions);
}

#[test]
fn who_was_asked_to_stop_is_not_asked_again_and_is_killed_when_its_time_is_over() {
    let mut world = World::new(plan(1), WILD);
    world.apply(Choice::Start);
    world.apply(Choice::Spawned(Serial(1)));
    world.apply(Choice::Stop);
    let deadline = world.app.deadline().expect("it stops");
    let mut taken = Taken::of(&world);
    assert_eq!(state(&taken, 1), Some(WorkerState::Stopping));
    assert!(!taken.actions.iter().any(|action| matches!(action, Action::Stop { .. } | Action::Kill { .. })));
    taken.now = deadline;
    taken.feed(Event::Wake);
    assert!(taken.actions.contains(&Action::Kill { serial: Serial(1) }), "{:?}", taken.actions);
}

#[test]
fn a_reload_whose_caller_is_gone_is_given_up_and_the_old_generation_serves_on() {
    let mut world = running(plan(1));
    world.apply(Choice::Reload);
    world.apply(Choice::Spawned(Serial(2)));
    let mut taken = Taken::of(&world);
    assert_eq!((state(&taken, 1), state(&taken, 2)), (Some(WorkerState::Serving), Some(WorkerState::Stopping)));
    taken.settle();
    assert_eq!(known(&taken.app), BTreeSet::from([Serial(1)]));
}

/// Worker 2 has taken over from worker 1, which is kept for ten minutes.
fn with_somebody_kept() -> World {
    let trial = Trial { bake: Duration::ZERO, retain: Duration::from_mins(10), canary: None };
    let mut world = running(Plan { trial, ..plan(1) });
    world.apply(Choice::Reload);
    while !world.tickets.is_empty() {
        let next = world.kindest().expect("a reload comes to its end");
        world.apply(next);
    }
    world
}

#[test]
fn who_is_kept_to_go_back_to_is_kept_on_until_its_time_is_over() {
    let mut world = with_somebody_kept();
    let until = world.app.deadline().expect("it is kept for a time");
    world.now += Duration::from_mins(3);
    let mut taken = Taken::of(&world);
    assert_eq!((state(&taken, 1), state(&taken, 2)), (Some(WorkerState::Retained), Some(WorkerState::Serving)));
    assert_eq!(taken.app.deadline(), Some(until));
    let mut expired = Taken::of(&world);
    expired.now = until;
    expired.feed(Event::Wake);
    expired.settle();
    assert_eq!(known(&expired.app), BTreeSet::from([Serial(2)]));
    taken.feed(Event::GoBack { ticket: Ticket(7) });
    let open: Vec<_> = taken.app.endpoints().into_iter().filter(|one| one.open).map(|one| one.serial).collect();
    assert_eq!(open, [Serial(1)], "at once");
    taken.settle();
    assert_eq!(known(&taken.app), BTreeSet::from([Serial(1)]));
}

#[test]
fn who_is_kept_and_has_died_meanwhile_is_nobody_to_go_back_to() {
    let world = with_somebody_kept();
    let mut taken = Taken::of(&world);
    taken.processes.remove(&Serial(1));
    taken.feed(Event::Exited { serial: Serial(1), how: "an exit that nobody saw".into(), code: None });
    taken.settle();
    assert_eq!(known(&taken.app), BTreeSet::from([Serial(2)]));
}

#[test]
fn who_sleeps_sleeps_on_and_who_was_about_to_serves() {
    let mut world = running(plan(2));
    world.mischief.busy = false;
    world.apply(Choice::Doze);
    let dozing = Taken::of(&world);
    assert_eq!(dozing.app.report().state, AppState::Running);
    assert_eq!(dozing.app.endpoints().iter().filter(|one| one.open).count(), 2);
    world.settle();
    let mut taken = Taken::of(&world);
    assert_eq!((taken.app.report().state, taken.app.deadline()), (AppState::Asleep, None));
    assert!(taken.app.is_dormant(), "whoever asks wakes it");
    taken.feed(Event::Rouse);
    taken.settle();
    assert_eq!((taken.app.report().state, taken.processes.len()), (AppState::Running, 2));
}

#[test]
fn a_successor_that_was_being_warmed_up_takes_its_seat() {
    let timeouts = Timeouts { warmup: Some(Duration::from_secs(10)), ..plan(1).timeouts };
    let mut world = running(Plan { timeouts, ..plan(1) });
    world.apply(Choice::Recycle(Serial(1)));
    world.apply(Choice::Spawned(Serial(2)));
    for probe in 1..=3 {
        world.apply(Choice::Passed(Serial(2)));
        (probe < 3).then(|| world.apply(Choice::Wake(0)));
    }
    let mut taken = Taken::of(&world);
    assert_eq!(
        (state(&taken, 1), state(&taken, 2)),
        (Some(WorkerState::Quiescing), Some(WorkerState::Serving)),
        "it serves as it is"
    );
    taken.settle();
    assert_eq!(known(&taken.app), BTreeSet::from([Serial(2)]));
}

#[test]
fn who_had_fallen_silent_goes_when_nobody_comes_any_more() {
    let restart = Restart { intensity: 1, on_loop: OnLoop::GiveUp, ..plan(2).restart };
    let mut world = running(Plan { restart, watchdog: Some(Duration::from_secs(9)), ..plan(2) });
    world.apply(Choice::Told(Serial(1), Says::Ill));
    let mut taken = Taken::of(&world);
    assert_eq!(state(&taken, 1), Some(WorkerState::Unready));
    // Its successor had been ordered and was never seen; the other one crashes, and so does whoever comes.
    taken.feed(Event::Exited { serial: Serial(3), how: "an exit that nobody saw".into(), code: None });
    for _ in 0..2 {
        let serial = *taken.processes.iter().find(|serial| **serial != Serial(1)).unwrap();
        taken.processes.remove(&serial);
        taken.feed(Event::Exited { serial, how: "exit code 1".into(), code: Some(1) });
        taken.now += Duration::from_secs(1);
        taken.feed(Event::Wake);
        while taken.answer() {}
    }
    taken.settle();
    assert_eq!((taken.app.report().state, state(&taken, 1)), (AppState::GivenUp, None));
}

#[test]
fn a_crash_loop_goes_on_as_one() {
    let restart = Restart { intensity: 1, on_loop: OnLoop::Retry(Duration::from_secs(30)), ..plan(1).restart };
    let mut world = running(Plan { restart, ..plan(1) });
    for _ in 0..2 {
        let serial = *world.processes.keys().next().unwrap();
        world.apply(Choice::Exited(serial));
        if world.app.report().state != AppState::CrashLooping {
            world.settle();
        }
    }
    assert_eq!(world.app.report().state, AppState::CrashLooping);
    let taken = Taken::of(&world);
    assert_eq!(taken.app.report().state, AppState::CrashLooping);
    assert_eq!(taken.app.deadline(), world.app.deadline());
    assert!(matches!(world.app.record(world.now).generations[0].circuit, CircuitRecord::Looping { .. }));
}
