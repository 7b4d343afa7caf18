//! The simulated world: what has been set going in it, and when that comes to something.
//!
//! Everything that will happen stands in an agenda, by time; what comes of it is told to the supervisor as events. Chance is
//! drawn from one seed, so a world goes the same way each time. What must never be is noted as a fault.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::fronts::Front;
use super::nature::Character;
use super::processes;
use crate::id::{AppName, Serial};
use crate::link::FromProxy;
use crate::supervisor::clock;
use crate::supervisor::effects::{About, Birth, Effects, Linked, Question, Summons};
use crate::supervisor::event::Event;
use crate::supervisor::launch::Starter;
use crate::supervisor::listeners::Listeners;
use crate::supervisor::output::Tail;
use crate::supervisor::process::Process;
use crate::supervisor::proxies::Recipe;
use crate::supervisor::workers::Worker;
use crate::sys::spawn::Exit;
use crate::sys::tree::Tree;
use crate::sys::unread::Unread;

/// What will happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// A worker's process ends: by its own doing, if nobody has asked for it.
    Ends { serial: Serial, exit: Exit, is_own_doing: bool },
    /// A worker is asked, and answers if it can.
    Answers { serial: Serial, app: AppName, about: About },
    /// A proxy takes in what was published first of what it has not.
    TakesIn { proxy: u64 },
    /// What a proxy had in flight to a closed endpoint is done.
    Drains { proxy: u64, serial: Serial },
    /// A proxy's process ends.
    ProxyEnds { proxy: u64, exit: Exit },
    /// The supervisor hears of it.
    Tells(Event),
    /// The operator has something to say.
    Orders,
    /// The time of a job has come.
    JobIsDue(AppName),
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) chance: fastrand::Rng,
    agenda: BTreeMap<(Instant, u64), Happening>,
    next_entry: u64,
    pub(super) processes: BTreeMap<Serial, processes::Process>,
    pub(super) fronts: BTreeMap<u64, Front>,
    pub(super) characters: BTreeMap<AppName, Character>,
    /// Nothing goes wrong any more.
    pub(super) is_kind: bool,
    /// When a worker of an app was first ordered.
    pub(super) first_births: BTreeMap<AppName, Instant>,
    pub(super) faults: Vec<String>,
    pub(super) tally: Tally,
    /// What has happened, in lines; `None`: nobody wants to know.
    past: Option<Vec<String>>,
    began: Instant,
}

/// What has happened, so that it is known that it does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) steps: u64,
    pub(super) births: u64,
    pub(super) stillbirths: u64,
    pub(super) crashes: u64,
    pub(super) deaf_to_term: u64,
    pub(super) unkillable: u64,
    pub(super) proxies_lost: u64,
    pub(super) forced: u64,
    pub(super) orders: u64,
    pub(super) refusals: u64,
    pub(super) live: u64,
    pub(super) aborted: u64,
    pub(super) scaled: u64,
    pub(super) recycles: u64,
    pub(super) overlaps: u64,
    pub(super) runs: u64,
    /// Publications while two generations serve.
    pub(super) rolls: u64,
    pub(super) hooks: u64,
}

impl Tally {
    /// Has everything happened that the world is there for?
    pub(super) fn lacks_nothing(self) -> bool {
        let Self { births, stillbirths, crashes, deaf_to_term, unkillable, proxies_lost, forced, .. } = self;
        let Self { orders, refusals, live, aborted, scaled, recycles, overlaps, runs, rolls, hooks, .. } = self;
        let of_world = [births, stillbirths, crashes, deaf_to_term, unkillable, proxies_lost, forced];
        let of_orders = [orders, refusals, live, aborted, scaled, recycles, overlaps, runs, rolls, hooks];
        of_world.into_iter().chain(of_orders).all(|count| count > 0)
    }

    #[must_use]
    pub(super) fn plus(self, more: Self) -> Self {
        Self {
            steps: self.steps + more.steps,
            births: self.births + more.births,
            stillbirths: self.stillbirths + more.stillbirths,
            crashes: self.crashes + more.crashes,
            deaf_to_term: self.deaf_to_term + more.deaf_to_term,
            unkillable: self.unkillable + more.unkillable,
            proxies_lost: self.proxies_lost + more.proxies_lost,
            forced: self.forced + more.forced,
            orders: self.orders + more.orders,
            refusals: self.refusals + more.refusals,
            live: self.live + more.live,
            aborted: self.aborted + more.aborted,
            scaled: self.scaled + more.scaled,
            recycles: self.recycles + more.recycles,
            overlaps: self.overlaps + more.overlaps,
            runs: self.runs + more.runs,
            rolls: self.rolls + more.rolls,
            hooks: self.hooks + more.hooks,
        }
    }
}

/// The hands of the supervisor, in this world.
#[derive(Debug)]
pub(super) struct Hands(pub(super) Rc<RefCell<World>>);

impl Effects for Hands {
    fn start_worker(&self, _: &Starter, birth: Birth<'_>) -> Result<Worker, String> {
        self.0.borrow_mut().bear(birth)
    }

    fn start_proxy(&self, _: &Starter, number: u64, _: &Recipe, _: &Listeners) -> Result<Linked, String> {
        self.0.borrow_mut().bear_front(number)
    }

    fn start_hook(&self, _: &Starter, summons: Summons<'_>) -> Result<(Process, Tail), String> {
        let world = &mut *self.0.borrow_mut();
        world.tally.hooks += 1;
        let is_well = world.is_kind || world.chance(80);
        let longest = if world.is_kind { 1_000 } else { 3_000 };
        let (wait, exit) = (world.millis(0..longest), Exit::Code(i32::from(!is_well)));
        let serial = summons.serial;
        world.note(|| format!("a hook begins ({serial}): {exit} after {wait:?}"));
        world.plan(wait, Happening::Tells(Event::HookEnded { serial, exit }));
        Ok((Process::leash(1 << 29).0, Tail::default()))
    }

    fn ask(&self, _: &Starter, question: Question) {
        let Question { app, serial, about, .. } = question;
        let world = &mut *self.0.borrow_mut();
        let wait = world.millis(1..100);
        world.plan(wait, Happening::Answers { serial, app, about });
    }

    fn stand_still(&self, _: &Starter, (app, serial): (AppName, Serial), _: Tree, address: SocketAddr) {
        let world = &mut *self.0.borrow_mut();
        let unread = (0..world.chance.u32(0..3)).map(|bytes| Unread { client: address, bytes }).collect();
        let wait = world.millis(0..250);
        world.plan(wait, Happening::Tells(Event::Stands { app, serial, unread }));
    }
}

impl World {
    pub(super) fn new(seed: u64, characters: BTreeMap<AppName, Character>, is_told: bool) -> Self {
        Self {
            chance: fastrand::Rng::with_seed(seed),
            agenda: BTreeMap::new(),
            next_entry: 0,
            processes: BTreeMap::new(),
            fronts: BTreeMap::new(),
            characters,
            is_kind: false,
            first_births: BTreeMap::new(),
            faults: Vec::new(),
            tally: Tally::default(),
            past: is_told.then(Vec::new),
            began: clock::now(),
        }
    }

    /// Has something happen after this time.
    pub(super) fn plan(&mut self, wait: Duration, happening: Happening) {
        self.plan_at(clock::now() + wait, happening);
    }

    pub(super) fn plan_at(&mut self, at: Instant, happening: Happening) {
        self.next_entry += 1;
        self.agenda.insert((at, self.next_entry), happening);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Takes out what happens now.
    pub(super) fn take_due(&mut self) -> Option<Happening> {
        let entry = self.agenda.first_entry().filter(|entry| entry.key().0 <= clock::now())?;
        Some(entry.remove())
    }

    /// From now on nothing goes wrong by itself.
    pub(super) fn turn_kind(&mut self) {
        self.is_kind = true;
        self.note(|| "the world turns kind".to_owned());
        let is_mischief = |happening: &Happening| match happening {
            Happening::Ends { is_own_doing, .. } => *is_own_doing,
            Happening::Orders | Happening::JobIsDue(_) => true,
            _ => false,
        };
        self.agenda.retain(|_, happening| !is_mischief(happening));
        let jobs: Vec<_> =
            self.processes.iter().filter(|(_, one)| one.is_alive && one.is_of_job).map(|(s, _)| *s).collect();
        for serial in jobs {
            self.plan(Duration::from_secs(1), Happening::Ends { serial, exit: Exit::Code(0), is_own_doing: true });
        }
    }

    /// Does what happens; gives what the supervisor hears of it at once.
    pub(super) fn happen(&mut self, happening: Happening) -> Option<Event> {
        match happening {
            Happening::Ends { serial, exit, is_own_doing } => {
                self.end(serial, exit, is_own_doing);
                None
            }
            Happening::Answers { serial, app, about } => Some(self.answer(serial, app, about)),
            Happening::TakesIn { proxy } => {
                self.take_in(proxy);
                None
            }
            Happening::Drains { proxy, serial } => self.drain(proxy, serial),
            Happening::ProxyEnds { proxy, exit } => self.end_front(proxy, exit),
            Happening::Tells(event) => {
                if !matches!(event, Event::Said { message: FromProxy::Metrics { .. } | FromProxy::Load(_), .. }) {
                    self.note(|| format!("told: {}", brief(&event)));
                }
                Some(event)
            }
            Happening::Orders | Happening::JobIsDue(_) => None,
        }
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.chance.u32(0..100) < percent
    }

    pub(super) fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.chance.u64(range))
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let at = clock::since(self.began).as_secs_f64();
        if let Some(past) = &mut self.past {
            past.push(format!("  {at:9.3} {}\n", line()));
        }
    }

    pub(super) fn fault(&mut self, what: String) {
        self.note(|| format!("FAULT {what}"));
        self.faults.push(what);
    }

    pub(super) fn past(&self) -> String {
        self.past.iter().flatten().map(String::as_str).collect()
    }
}

fn brief(event: &Event) -> String {
    let mut text = format!("{event:?}");
    text.truncate(160);
    text
}
