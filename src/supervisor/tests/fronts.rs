//! The simulated proxies: they take in what is published, in order and late, have work in flight, retire, go deaf and die.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::world::{Happening, World};
use crate::id::Serial;
use crate::link::{self, FromProxy, Load, Snapshot, ToProxy};
use crate::supervisor::clock;
use crate::supervisor::effects::Linked;
use crate::supervisor::event::Event;
use crate::supervisor::process::{self, Order};
use crate::sys::spawn::Exit;

/// Messages that may wait for one.
const INBOX: usize = 256;

#[derive(Debug)]
pub(super) struct Front {
    orders: mpsc::Receiver<Order>,
    inbox: mpsc::Receiver<ToProxy>,
    pub(super) is_alive: bool,
    /// It takes nothing in any more.
    is_deaf: bool,
    is_slow: bool,
    pub(super) in_force: Option<Snapshot>,
    /// What it has not taken in yet.
    pub(super) ahead: VecDeque<Snapshot>,
    busy_until: Instant,
    /// When its latest message is heard.
    spoken: Instant,
    /// The endpoints that it has closed.
    pub(super) closings: BTreeMap<Serial, Closing>,
    finished: BTreeMap<Serial, u64>,
}

/// One endpoint that takes no new claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub(super) since: Instant,
    /// When the last of its work is done.
    pub(super) until: Instant,
    is_told: bool,
}

impl Front {
    /// May it send a request to this worker, now or by what it was sent?
    pub(super) fn may_have(&self, serial: Serial) -> bool {
        self.in_force.iter().chain(&self.ahead).any(|snapshot| endpoints(snapshot).any(|one| one.serial == serial))
    }
}

pub(super) fn endpoints(snapshot: &Snapshot) -> impl Iterator<Item = &link::Endpoint> {
    snapshot.apps.iter().flat_map(|app| &app.endpoints)
}

impl World {
    pub(super) fn bear_front(&mut self, number: u64) -> Result<Linked, String> {
        if !self.is_kind && self.chance(5) {
            return Err("fork: resource temporarily unavailable".to_owned());
        }
        let (process, orders) = process::Process::leash(u32::MAX - u32::try_from(number).expect("few are started"));
        let (to, inbox) = mpsc::channel(INBOX);
        let is_kind = self.is_kind;
        let front = Front {
            orders,
            inbox,
            is_alive: true,
            is_deaf: !is_kind && self.chance(5),
            is_slow: !is_kind && self.chance(20),
            in_force: None,
            ahead: VecDeque::new(),
            busy_until: clock::now(),
            spoken: clock::now(),
            closings: BTreeMap::new(),
            finished: BTreeMap::new(),
        };
        self.note(|| format!("proxy {number} starts"));
        self.fronts.insert(number, front);
        if !is_kind && self.chance(25) {
            let wait = self.millis(0..40_000);
            self.plan(wait, Happening::ProxyEnds { proxy: number, exit: Exit::Code(101) });
        }
        Ok(Linked { process, to, relink: None })
    }

    /// Has the proxies do what they were told since.
    pub(super) fn obey_fronts(&mut self) {
        let numbers: Vec<_> =
            self.fronts.iter().filter(|(_, front)| front.is_alive).map(|(number, _)| *number).collect();
        for number in numbers {
            while let Some(message) = self.fronts.get_mut(&number).and_then(|front| front.inbox.try_recv().ok()) {
                self.hear(number, message);
            }
            while let Some(order) = self.fronts.get_mut(&number).and_then(|front| front.orders.try_recv().ok()) {
                let exit = Exit::Signal { signal: 9, core: false };
                let wait = self.millis(0..5);
                self.note(|| format!("proxy {number}: {order:?}"));
                self.plan(wait, Happening::ProxyEnds { proxy: number, exit });
            }
        }
    }

    fn hear(&mut self, number: u64, message: ToProxy) {
        match message {
            ToProxy::Publish(snapshot) => {
                let is_kind = self.is_kind;
                let wait = match &self.fronts[&number] {
                    front if front.is_slow && !is_kind => self.millis(0..3_000),
                    _ => self.millis(0..40),
                };
                let front = self.fronts.get_mut(&number).expect("it is there");
                front.ahead.push_back(*snapshot);
                let at = front.busy_until.max(clock::now() + wait);
                front.busy_until = at;
                if !front.is_deaf {
                    self.plan_at(at, Happening::TakesIn { proxy: number });
                }
            }
            ToProxy::Retire { within, .. } => {
                let most = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                // One may take longer than it was given.
                let wait = if !self.is_kind && self.chance(5) { within * 2 } else { self.millis(0..most.max(1)) };
                self.plan(wait, Happening::ProxyEnds { proxy: number, exit: Exit::Code(0) });
            }
            ToProxy::Scrape { ticket } => {
                if self.is_kind || self.chance(80) {
                    let message = FromProxy::Metrics { ticket, families: Vec::new(), longest_holds: Vec::new() };
                    let wait = self.millis(0..20);
                    self.say(number, wait, message);
                }
            }
            ToProxy::Unread { serial, .. } => {
                if self.is_kind || self.chance(80) {
                    let wait = self.millis(0..700);
                    self.say(number, wait, FromProxy::Noted { serial });
                }
            }
            ToProxy::Manifest(_) | ToProxy::Reopen => {}
        }
    }

    /// Behind what it has said before: the link keeps the order.
    fn say(&mut self, proxy: u64, wait: Duration, message: FromProxy) {
        let front = self.fronts.get_mut(&proxy).expect("it is there");
        front.spoken = front.spoken.max(clock::now() + wait);
        let at = front.spoken;
        self.plan_at(at, Happening::Tells(Event::Said { proxy, message }));
    }

    pub(super) fn take_in(&mut self, number: u64) {
        let front = self.fronts.get_mut(&number).expect("it was started");
        let Some(snapshot) = front.ahead.pop_front().filter(|_| front.is_alive) else { return };
        let before: BTreeMap<_, _> =
            front.in_force.iter().flat_map(endpoints).map(|endpoint| (endpoint.serial, endpoint.open)).collect();
        let listed: Vec<_> = endpoints(&snapshot).map(|endpoint| (endpoint.serial, endpoint.open)).collect();
        // What is in flight goes on, also when nobody lists its endpoint any more.
        front.closings.retain(|serial, _| !listed.contains(&(*serial, true)));
        let epoch = snapshot.epoch;
        let asleep: Vec<_> = snapshot.apps.iter().filter(|app| app.hold.wakes).map(|app| app.name.clone()).collect();
        front.in_force = Some(snapshot);
        let wait = self.millis(0..3);
        self.say(number, wait, FromProxy::Published { epoch });
        for app in asleep {
            if !self.is_kind && self.chance(50) {
                // Somebody asks, in the moment in which it is closed or later.
                let wait = if self.chance(50) { self.millis(0..50) } else { self.millis(0..4_000) };
                self.say(number, wait, FromProxy::Wanted { app });
            }
        }
        let mut loads = Vec::new();
        for (serial, is_open) in listed {
            if is_open {
                loads.push(serial);
            } else if !self.fronts[&number].closings.contains_key(&serial) {
                let was_open = before.get(&serial).copied().unwrap_or(false);
                self.close(number, serial, was_open);
            }
        }
        self.report_loads(number, loads);
    }

    /// An endpoint takes no new claim; what is in flight goes on for a while.
    fn close(&mut self, number: u64, serial: Serial, was_open: bool) {
        let now = clock::now();
        let work = match self.chance.u32(0..100) {
            _ if !was_open => self.millis(0..1),
            0..60 => self.millis(0..1),
            60..90 => self.millis(1..4_000),
            _ => self.millis(4_000..12_000),
        };
        let front = self.fronts.get_mut(&number).expect("it is there");
        front.closings.insert(serial, Closing { since: now, until: now + work, is_told: false });
        self.plan(work, Happening::Drains { proxy: number, serial });
    }

    pub(super) fn drain(&mut self, number: u64, serial: Serial) -> Option<Event> {
        let front = self.fronts.get_mut(&number).filter(|front| front.is_alive)?;
        let is_listed = front.in_force.iter().flat_map(endpoints).any(|one| one.serial == serial);
        let is_news = |closing: &&mut Closing| is_listed && closing.until <= clock::now() && !closing.is_told;
        front.closings.get_mut(&serial).filter(is_news)?.is_told = true;
        let wait = self.millis(0..20);
        self.say(number, wait, FromProxy::Idle { serial });
        None
    }

    fn report_loads(&mut self, number: u64, open: Vec<Serial>) {
        if !self.chance(50) {
            return;
        }
        let mut loads = Vec::new();
        for serial in open {
            let more = self.chance.u64(0..40);
            let front = self.fronts.get_mut(&number).expect("it is there");
            let finished = front.finished.entry(serial).or_default();
            *finished += more;
            loads.push(Load { serial, in_flight: 1, finished: *finished, failed: 0, errors: 0, oldest: None });
        }
        let wait = self.millis(0..20);
        self.say(number, wait, FromProxy::Load(loads));
    }

    pub(super) fn end_front(&mut self, number: u64, exit: Exit) -> Option<Event> {
        let front = self.fronts.get_mut(&number).filter(|front| front.is_alive)?;
        front.is_alive = false;
        self.tally.proxies_lost += u64::from(exit != Exit::Code(0));
        self.note(|| format!("proxy {number} ends: {exit}"));
        let wait = self.millis(0..10);
        self.plan(wait, Happening::Tells(Event::ProxyExited { proxy: number, exit }));
        None
    }
}
