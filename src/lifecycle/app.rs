//! One app: which of its generations serves, which is to follow, and which are on their way out.
//!
//! Composes generations and publishes what comes of it; how a generation or a worker behaves is theirs to know.
//! Invariants: at most one generation is on its way to take over, and it is the newest; at most one is live, and none exactly when the
//! app is not wanted; at most one is retained; each version is published once, after the step that made it; at most three
//! generations drain, unless all are to go.

mod few;
mod record;

use std::time::Instant;

use super::generation::{Generation, Stage};
use super::recycle::Recycles;
use super::report::{Report, Restarts};
use super::todo::{Step, Todo};
use super::worker::{End, Worker};
use super::{Action, EndpointView, Event, Outcome, Plan, Size, Ticket, Version, Word};
use crate::id::{AppName, Generation as Number, Serial};

/// More generations than these do not drain at the same time: the oldest is forced.
const MAX_DRAINING: usize = 3;

/// The machine of one app.
///
/// - With nobody serving, a new generation takes over with its first ready worker; its other slots go on starting as
///   those of a live generation. While an app has never come up, or has lost all workers, that is the quickest cure.
///   The generation it replaces goes on trying until then; if one of its workers serves first, the reload has to meet
///   the full terms again.
/// - A killed process that is still there after 5 s blocks neither `Retired` nor `Stopped`. Its slot stays its own in
///   a live generation, lest stuck processes pile up; it is in the report until it is gone.
/// - A reload of an app that is not wanted is refused, as aborted.
#[derive(Clone, Debug)]
pub struct App {
    pub(super) name: AppName,
    /// Oldest first.
    pub(super) generations: Vec<Generation>,
    /// Killed and still there.
    pub(super) stranded: Vec<Worker>,
    /// What the proxies were given last, and its version.
    published: Picture,
    version: Version,
    next_number: Number,
    /// Of generations that are gone.
    pub(super) restarts: Restarts,
    pub(super) recycles: Recycles,
    pub(super) ignored: u64,
    /// Memory is short.
    pub(super) is_pressed: bool,
}

/// What the proxies know of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Picture {
    endpoints: Vec<EndpointView>,
    expected: bool,
    dormant: bool,
    canary: Option<(Number, u32)>,
}

impl App {
    /// An app that is not started yet. Its first generation has number 1, its first version is 1.
    #[must_use]
    pub fn new(name: AppName) -> Self {
        Self {
            name,
            generations: Vec::new(),
            stranded: Vec::new(),
            published: Picture::default(),
            version: Version::default(),
            next_number: Number(1),
            restarts: Restarts::default(),
            recycles: Recycles::default(),
            ignored: 0,
            is_pressed: false,
        }
    }

    /// Takes in one event and adds to `todo` what is to be done. Any event may come at any time; one that cannot be
    /// meant is ignored and counted. `now` never goes back.
    pub fn handle(&mut self, now: Instant, event: Event, todo: &mut Todo) {
        let step = &mut Step { now, version: self.version.next(), todo };
        let meant = match event {
            Event::Start(plan) => self.start(&plan, step),
            Event::Reload { ticket, plan } => self.reload(ticket, &plan, step),
            Event::Resize(size) => self.resize(size, step),
            Event::Recycle { serial, reason } => self.recycle(serial, reason, step),
            Event::Served { serial, exchanges } => self.served(serial, exchanges, step),
            Event::Hasten { serial } => self.worker(serial).map(|worker| worker.force(step)).is_some(),
            Event::GoBack { ticket } => self.go_back(ticket, step),
            Event::Promote => self.coming().any(|one| one.pass(step)),
            Event::Condemn { generation, reason } => self.condemn(generation, &reason, step),
            Event::Discard => self.discard(step),
            Event::Doze => self.doze(step),
            Event::Rouse => self.rouse(step),
            Event::Pressure { is_short } => self.note_pressure(is_short),
            Event::Stop => self.stop(step),
            Event::Spawned { serial } => self.worker(serial).is_some_and(|worker| worker.spawned(step)),
            Event::SpawnFailed { serial, reason } => self.ended(serial, &End::NeverStarted(reason), step),
            Event::Probed { serial, outcome } => self.worker(serial).is_some_and(|worker| worker.probed(outcome, step)),
            Event::Checked { serial, outcome, oldest } => {
                self.worker(serial).is_some_and(|worker| worker.checked(outcome, oldest, step))
            }
            Event::Warmed { serial } => self.worker(serial).is_some_and(Worker::warmed),
            Event::Declared { serial } => self.worker(serial).is_some_and(|worker| worker.declared(step)),
            Event::Told { serial, word } => self.told(serial, &word, step),
            Event::Exited { serial, how, code } => self.ended(serial, &End::Exited { how, code }, step),
            Event::Cleared { generation, outcome } => self.cleared(generation, outcome, step),
            Event::Published { version } => self.acknowledged(version, step),
            Event::Idle { serial } => self.worker(serial).is_some_and(|worker| worker.idle(step)),
            Event::Wake => self.wake(step),
        };
        self.ignored += u64::from(!meant);
        self.settle(step);
    }

    /// When [`Event::Wake`] is due; `None` while nothing is waited for that could fail to come.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.generations.iter().filter_map(Generation::deadline).min()
    }

    /// What the proxies are to know as of the latest [`Action::Publish`], oldest generation first, then by slot.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointView> {
        self.generations.iter().flat_map(Generation::endpoints).collect()
    }

    /// Is a worker coming soon, if none is open? Then requests are held. A change is published as one of the endpoints
    /// is.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.generations.iter().any(Generation::is_expected)
    }

    /// Is it to run, whatever has become of its workers?
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.generations.iter().any(Generation::is_live)
    }

    /// Do requests wait while its workers make way for others?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.generations.iter().any(|one| one.is_stepwise() && one.plan.rollout.holds())
    }

    /// Does it matter to it whether programs wait for memory?
    #[must_use]
    pub fn minds_pressure(&self) -> bool {
        self.is_pressed || self.generations.iter().any(|one| one.is_coming() || one.is_yielding())
    }

    /// Has it been told that programs wait for memory?
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.is_pressed
    }

    /// The app as it is now.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::of(self)
    }

    fn start(&mut self, plan: &Plan, step: &mut Step<'_>) -> bool {
        if self.is_wanted() {
            return false;
        }
        self.generate(plan, Stage::Live, step);
        true
    }

    fn reload(&mut self, ticket: Ticket, plan: &Plan, step: &mut Step<'_>) -> bool {
        if self.is_wanted() {
            self.rouse_the_dozing(step);
            self.coming().for_each(|older| older.give_way(Outcome::Superseded, step));
            if plan.is_stepwise() {
                // Where there is no room for all, there is none for those who are only kept.
                self.discard(step);
            }
            self.generate(plan, Stage::Staging { ticket, progressed: step.now }, step);
        } else {
            let outcome = refusal(self.fresh_number(), "the app is not running");
            step.push(Action::Finish { ticket, outcome });
        }
        true
    }

    fn resize(&mut self, size: Size, step: &mut Step<'_>) -> bool {
        let staying = self.generations.iter_mut().filter(|one| one.is_live() || one.is_coming());
        staying.map(|generation| generation.resize(size, step)).count() > 0
    }

    fn stop(&mut self, step: &mut Step<'_>) -> bool {
        if self.generations.is_empty() {
            step.push(Action::Stopped);
        }
        for generation in &mut self.generations {
            generation.dismiss(refusal(generation.number, "the app is stopping"), step);
        }
        true
    }

    pub(super) fn worker(&mut self, serial: Serial) -> Option<&mut Worker> {
        let seated = self.generations.iter_mut().flat_map(Generation::workers_mut);
        seated.chain(&mut self.stranded).find(|worker| worker.serial == serial)
    }

    fn told(&mut self, serial: Serial, word: &Word, step: &mut Step<'_>) -> bool {
        self.generations.iter_mut().any(|generation| generation.told(serial, word, step))
    }

    fn ended(&mut self, serial: Serial, end: &End, step: &mut Step<'_>) -> bool {
        let gone = self.stranded.extract_if(.., |worker| worker.serial == serial).count();
        let is_meant = gone > 0 || self.generations.iter_mut().any(|generation| generation.ended(serial, end, step));
        self.coming().filter(|one| one.is_stepwise()).for_each(|generation| generation.note_progress(step.now));
        is_meant
    }

    fn acknowledged(&mut self, version: Version, step: &mut Step<'_>) -> bool {
        if version > self.version {
            return false;
        }
        self.generations.iter_mut().for_each(|generation| generation.published(version, step));
        true
    }

    fn cleared(&mut self, generation: Number, outcome: Result<(), String>, step: &mut Step<'_>) -> bool {
        let asked = self.generations.iter_mut().find(|one| one.number == generation);
        asked.is_some_and(|one| one.cleared(outcome, step))
    }

    fn wake(&mut self, step: &mut Step<'_>) -> bool {
        self.generations.iter_mut().for_each(|generation| generation.wake(step));
        true
    }

    /// Draws the conclusions from whatever has just changed.
    fn settle(&mut self, step: &mut Step<'_>) {
        let mut has_promoted = false;
        loop {
            let is_replacing = self.is_replacing();
            self.admit(is_replacing, step);
            self.fall_asleep_or_wake(step);
            self.begin_canary(step);
            self.begin_to_roll(step);
            has_promoted |= self.promote(step);
            self.judge_trial(step);
            self.generations.iter_mut().for_each(|generation| generation.heed(step));
            self.generations.iter_mut().for_each(|generation| generation.dismiss_silent(step));
            self.replace_as_planned(Generation::send_away, step);
            self.steer(step);
            // It may have been the last one who was kept until all have let go, or of the old ones who made way.
            self.fall_asleep_or_wake(step);
            let is_over = self.promote(step);
            has_promoted |= is_over;
            // With nobody left to replace less is asked of those who come.
            if !is_over && is_replacing == self.is_replacing() {
                break;
            }
        }
        self.bound_draining(step);
        self.publish(has_promoted, step);
        self.start_waiting(step);
        self.replace_as_planned(Generation::start_successors, step);
        self.retire(step);
    }

    /// Do those who come do so in the place of others who serve?
    fn is_replacing(&self) -> bool {
        self.generations.iter().any(|one| one.is_yielding() && !one.is_over()) && self.somebody_serves()
    }

    fn admit(&mut self, is_replacing: bool, step: &mut Step<'_>) {
        // Those first who may come to serve by it: whoever is to replace them then has to meet the full terms.
        self.generations.iter_mut().filter(|one| !one.is_coming()).for_each(|one| one.admit(is_replacing, step));
        let somebody_serves = self.somebody_serves();
        self.coming().for_each(|one| one.admit(somebody_serves, step));
    }

    fn promote(&mut self, step: &mut Step<'_>) -> bool {
        let somebody_serves = self.somebody_serves();
        let is_due = |one: &Generation| one.is_due(somebody_serves) || self.has_rolled(one);
        let Some(index) = self.generations.iter().position(is_due) else { return false };
        if !self.generations[index].is_cleared(step) {
            return false;
        }
        let (older, newer) = self.generations.split_at_mut(index);
        let keeps = !newer[0].plan.trial.retain.is_zero() && !newer[0].is_rolling();
        for generation in older {
            if keeps && generation.is_live() && !generation.is_dormant() {
                generation.retain(step);
            } else {
                generation.dismiss(Outcome::Superseded, step);
            }
        }
        newer[0].promote(step);
        true
    }

    /// Has requests go to those who are well, and to as many as are to serve.
    fn steer(&mut self, step: &mut Step<'_>) {
        loop {
            self.generations.iter_mut().for_each(|generation| generation.steer(step));
            // Whoever goes leaves other shares of those who serve and those who do not.
            if !self.make_way(step) {
                return;
            }
        }
    }

    /// Starts those who wait, the newest first: where there is room for one only, it is for whoever is to follow.
    fn start_waiting(&mut self, step: &mut Step<'_>) {
        for index in (0..self.generations.len()).rev() {
            let room = self.room(index);
            self.generations[index].start_waiting(room, step);
        }
    }

    /// When all are to go, no more will come, and nobody is cut short for the others.
    fn bound_draining(&mut self, step: &mut Step<'_>) {
        let is_wanted = self.is_wanted();
        let counts = |one: &Generation| is_wanted && one.is_draining();
        let surplus = self.generations.iter().filter(|one| counts(one)).count().saturating_sub(MAX_DRAINING);
        self.generations.iter_mut().filter(|one| counts(one)).take(surplus).for_each(|one| one.force(step));
    }

    /// What a reload is about to replace anyway is not replaced before.
    fn replace_as_planned(&mut self, replace: fn(&mut Generation, usize, &mut Step<'_>), step: &mut Step<'_>) {
        let live = self.generations.iter().position(Generation::is_live);
        // A canary may take its time.
        let is_soon = |one: &Generation| one.is_coming() && !one.is_canary();
        if let Some(live) = live.filter(|_| !self.generations.iter().any(is_soon)) {
            let room = self.room_beside(live);
            replace(&mut self.generations[live], room, step);
        }
    }

    /// `is_owed`: somebody waits for this version, whether it differs from the last one or not.
    fn publish(&mut self, is_owed: bool, step: &mut Step<'_>) {
        let picture = self.picture();
        if picture != self.published || is_owed {
            self.published = picture;
            self.version = step.version;
            step.push(Action::Publish { version: step.version });
        }
    }

    fn picture(&self) -> Picture {
        Picture {
            endpoints: self.endpoints(),
            expected: self.is_expected(),
            dormant: self.is_dormant(),
            canary: self.canary(),
        }
    }

    fn retire(&mut self, step: &mut Step<'_>) {
        let mut retired = false;
        for generation in self.generations.extract_if(.., |generation| generation.is_over()) {
            retired = true;
            self.restarts = self.restarts.plus(generation.restarts());
            self.recycles = self.recycles.plus(generation.recycles());
            step.push(Action::Retired { generation: generation.number });
            self.stranded.extend(generation.into_workers());
        }
        // Nothing but a stop empties an app.
        if retired && self.generations.is_empty() {
            step.push(Action::Stopped);
        }
    }

    pub(super) fn somebody_serves(&self) -> bool {
        self.generations.iter().any(Generation::is_routed)
    }

    /// Who is on its way to take over.
    pub(super) fn coming(&mut self) -> impl Iterator<Item = &mut Generation> {
        self.generations.iter_mut().filter(|generation| generation.is_coming())
    }

    fn generate(&mut self, plan: &Plan, stage: Stage, step: &Step<'_>) {
        let live = self.generations.iter().find(|one| one.is_live()).map(|live| live.number);
        let number = self.fresh_number();
        let mut generation = Generation::new(&self.name, number, plan, stage, step.now);
        generation.base = live.unwrap_or(number);
        self.generations.push(generation);
    }

    pub(super) fn fresh_number(&mut self) -> Number {
        let number = self.next_number;
        self.next_number = Number(number.0 + 1);
        number
    }
}

pub(super) fn refusal(generation: Number, why: &str) -> Outcome {
    Outcome::Aborted { generation, reason: why.to_owned(), worker: None }
}
