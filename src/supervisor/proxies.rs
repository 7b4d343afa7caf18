//! The proxy processes: which there are, what is said to them, and what they have acknowledged.
//!
//! Does not know what a snapshot holds. Invariants: at most [`MOST`] are alive, the oldest retiring one is killed first;
//! a proxy that dies is replaced at once, and slower each time when it dies young; one that does not acknowledge
//! within [`ACK_LIMIT`] is killed, because a worker may only be stopped when no proxy can send to it.

mod record;
mod start;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::clock;
use super::effects::{Effects, Linked};
use super::launch::Starter;
use super::listeners::Listeners;
use super::loads::Loads;
use super::process::Process;
use crate::id::Serial;
use crate::link::{Epoch, Snapshot, ToProxy};
use crate::sys::spawn::{Exit, Identity};

pub(super) use start::start;

/// Proxies alive at once.
const MOST: usize = 3;

/// Time a proxy has to acknowledge a snapshot.
const ACK_LIMIT: Duration = Duration::from_secs(5);

/// A proxy that lived this long did not die young.
const GROWN: Duration = Duration::from_secs(10);

/// Pause before a proxy that died young is replaced, doubled each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The variable by which a proxy is known, whoever has started it: the line of supervisors, and its number.
pub(super) const MARK: &str = "PORTREEVE_PROXY";

/// How proxies are started.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// The process ID of the first supervisor of those that took over from each other.
    pub(super) line: u32,
    pub(super) threads: u32,
    pub(super) identity: Option<Identity>,
    pub(super) log_level: String,
    pub(super) log_json: bool,
    pub(super) access_log: Option<PathBuf>,
    pub(super) access_json: bool,
}

/// Where a proxy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Has not acknowledged a snapshot yet.
    // Starting => (Serving | Retiring)
    Starting,
    // Serving => Retiring
    Serving,
    Retiring,
}

/// One proxy process.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) process: Process,
    pub(super) state: State,
    to: mpsc::Sender<ToProxy>,
    /// Over which whoever takes over from us gives it another link.
    relink: Option<OwnedFd>,
    born: Instant,
    sent: Epoch,
    acked: Epoch,
    /// Since when an acknowledgement is awaited.
    waiting: Option<Instant>,
    idle: HashSet<Serial>,
}

/// All proxies.
#[derive(Debug)]
pub(super) struct Proxies {
    pub(super) recipe: Recipe,
    pub(super) loads: Loads,
    alive: BTreeMap<u64, Proxy>,
    /// The last epoch in which each endpoint was published open.
    opened: HashMap<Serial, Epoch>,
    next: u64,
    young_deaths: u32,
    restart_at: Option<Instant>,
}

impl Proxies {
    pub(super) fn new(recipe: Recipe) -> Self {
        let (loads, alive, opened) = (Loads::default(), BTreeMap::new(), HashMap::new());
        Self { recipe, loads, alive, opened, next: 1, young_deaths: 0, restart_at: None }
    }

    /// Starts one more proxy and sends it the snapshot in force.
    ///
    /// # Errors
    /// A sentence that names the step that failed; nothing has changed then.
    pub(super) fn start(
        &mut self,
        effects: &dyn Effects,
        starter: &Starter,
        listeners: &Listeners,
        snapshot: &Snapshot,
    ) -> Result<(), String> {
        let number = self.next;
        let Linked { process, to, relink } = effects.start_proxy(starter, number, &self.recipe, listeners)?;
        tracing::info!(proxy = number, pid = process.pid(), "proxy started");
        let mut proxy = Proxy::new(process, State::Starting, to, relink);
        proxy.publish(snapshot);
        self.next += 1;
        self.restart_at = None;
        self.alive.insert(number, proxy);
        self.kill_surplus();
        Ok(())
    }

    /// Sends a snapshot to all.
    pub(super) fn publish(&mut self, snapshot: &Snapshot) {
        for proxy in self.alive.values_mut() {
            proxy.publish(snapshot);
        }
    }

    /// Notes what a proxy acknowledged.
    pub(super) fn acknowledge(&mut self, number: u64, epoch: Epoch) {
        let Some(proxy) = self.alive.get_mut(&number) else { return };
        proxy.acked = proxy.acked.max(epoch);
        if proxy.acked >= proxy.sent {
            proxy.waiting = None;
        }
        if proxy.state == State::Starting {
            proxy.state = State::Serving;
            tracing::info!(proxy = number, "proxy serves");
        }
    }

    /// A proxy that cannot use a snapshot serves on with the one before; to kill it would leave nobody who serves.
    pub(super) fn excuse(&mut self, number: u64) {
        if let Some(proxy) = self.alive.get_mut(&number) {
            proxy.waiting = None;
        }
    }

    /// Notes that a proxy has nothing in flight to an endpoint.
    pub(super) fn note_idle(&mut self, number: u64, serial: Serial) {
        let Some(proxy) = self.alive.get_mut(&number) else { return };
        // What it has not heard of yet may have opened the endpoint and closed it again.
        if self.opened.get(&serial).is_none_or(|opened| proxy.acked > *opened) {
            proxy.idle.insert(serial);
        }
    }

    /// An endpoint is about to be published open: what was said of it while it was closed is void.
    pub(super) fn note_open(&mut self, serial: Serial, epoch: Epoch) {
        self.opened.insert(serial, epoch);
        for proxy in self.alive.values_mut() {
            proxy.idle.remove(&serial);
        }
    }

    /// The epoch that every proxy has acknowledged; `None` when there is no proxy that could send anything.
    pub(super) fn floor(&self) -> Option<Epoch> {
        self.alive.values().map(|proxy| proxy.acked).min()
    }

    /// Has every proxy reported that nothing is in flight to this closed endpoint?
    pub(super) fn is_idle(&self, serial: Serial) -> bool {
        self.alive.values().all(|proxy| proxy.idle.contains(&serial))
    }

    /// May one of them have something in flight to this endpoint, open or closed?
    pub(super) fn may_be_busy(&self, serial: Serial) -> bool {
        self.opened.contains_key(&serial) && !self.is_idle(serial)
    }

    /// Forgets an endpoint that is gone.
    pub(super) fn forget(&mut self, serial: Serial) {
        self.opened.remove(&serial);
        for proxy in self.alive.values_mut() {
            proxy.idle.remove(&serial);
        }
    }

    /// Does one of them accept connections with a snapshot in force?
    pub(super) fn is_serving(&self) -> bool {
        self.alive.values().any(|proxy| proxy.state == State::Serving)
    }

    /// Tells those that serve, or all but the newest, to finish and go.
    pub(super) fn retire(&mut self, keep_newest: bool, within: Duration) {
        let newest = self.alive.keys().next_back().copied().filter(|_| keep_newest);
        for (number, proxy) in &mut self.alive {
            if Some(*number) != newest && proxy.state != State::Retiring {
                proxy.state = State::Retiring;
                proxy.send(ToProxy::Retire { within, is_last: !keep_newest });
                tracing::info!(proxy = *number, ?within, "proxy retires");
            }
        }
    }

    /// Is the newest one ready to take over from older ones that still serve?
    pub(super) fn has_successor(&self) -> bool {
        let mut newest_first = self.alive.values().rev();
        newest_first.next().is_some_and(|proxy| proxy.state == State::Serving)
            && newest_first.any(|proxy| proxy.state != State::Retiring)
    }

    pub(super) fn broadcast(&self, message: &ToProxy) {
        self.alive.values().for_each(|proxy| proxy.send(message.clone()));
    }

    pub(super) fn kill_all(&self) {
        self.alive.values().for_each(|proxy| proxy.process.kill());
    }

    /// Takes note of an end; says whether the proxy went without being asked to, and is to be replaced.
    pub(super) fn exited(&mut self, number: u64, exit: Exit, now: Instant) -> bool {
        let Some(proxy) = self.alive.remove(&number) else { return false };
        self.loads.lose(number);
        if proxy.state == State::Retiring {
            tracing::info!(proxy = number, %exit, "proxy retired");
            return false;
        }
        self.young_deaths = if now.duration_since(proxy.born) < GROWN { self.young_deaths + 1 } else { 0 };
        let pause = match self.young_deaths {
            0 | 1 => Duration::ZERO,
            deaths => FIRST_PAUSE.saturating_mul(1 << (deaths - 2).min(16)).min(LONGEST_PAUSE),
        };
        tracing::error!(proxy = number, %exit, ?pause, "proxy died");
        self.plan_restart(now + pause);
        true
    }

    /// A start is due at the given time, unless another proxy is at work by then.
    pub(super) fn plan_restart(&mut self, at: Instant) {
        self.restart_at = Some(at);
    }

    /// No more starts.
    pub(super) fn cancel_restart(&mut self) {
        self.restart_at = None;
    }

    /// When [`Proxies::wake`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let acks = self.alive.values().filter_map(|proxy| proxy.waiting).map(|since| since + ACK_LIMIT);
        acks.chain(self.restart_at).min()
    }

    /// Kills those that are overdue; says whether a new one is to be started.
    pub(super) fn wake(&mut self, now: Instant) -> bool {
        for (number, proxy) in &mut self.alive {
            if proxy.waiting.is_some_and(|since| since + ACK_LIMIT <= now) {
                tracing::error!(proxy = *number, "proxy does not acknowledge; killing it");
                proxy.waiting = None;
                proxy.process.kill();
            }
        }
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart_at = None;
            return true;
        }
        false
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &Proxy)> {
        self.alive.iter().map(|(number, proxy)| (*number, proxy))
    }

    fn kill_surplus(&self) {
        let surplus = self.alive.len().saturating_sub(MOST);
        for (number, proxy) in self.alive.iter().take(surplus) {
            tracing::warn!(proxy = *number, "too many proxies drain; killing the oldest");
            proxy.process.kill();
        }
    }
}

impl Proxy {
    fn new(process: Process, state: State, to: mpsc::Sender<ToProxy>, relink: Option<OwnedFd>) -> Self {
        let (born, sent, acked, idle) = (clock::now(), Epoch::default(), Epoch::default(), HashSet::new());
        Self { process, state, to, relink, born, sent, acked, waiting: None, idle }
    }

    fn publish(&mut self, snapshot: &Snapshot) {
        self.sent = snapshot.epoch;
        self.waiting.get_or_insert_with(clock::now);
        self.send(ToProxy::Publish(Box::new(snapshot.clone())));
    }

    fn send(&self, message: ToProxy) {
        match self.to.try_send(message) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::error!(pid = self.process.pid(), "proxy does not read its link; killing it");
                self.process.kill();
            }
        }
    }
}
