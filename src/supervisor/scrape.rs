//! Collects the metrics of all proxies and of the supervisor for whoever asks.
//!
//! What a dead proxy had counted is kept, so that counters never fall while the supervisor lives. Invariant: a proxy
//! that does not answer delays an answer by [`LIMIT`] at most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Supervisor, clock};
use crate::link::ToProxy;
use crate::telemetry::exposition::{self, Family};

/// How long proxies may take to answer.
const LIMIT: Duration = Duration::from_millis(500);

/// How often the counts of all proxies are noted, so that little is lost when one is killed.
const NOTE_EVERY: Duration = Duration::from_secs(5);

/// Open questions, and what is known of each proxy.
#[derive(Debug)]
pub(super) struct Scrapes {
    next_ticket: u64,
    open: BTreeMap<u64, Scrape>,
    /// The latest counts of each living proxy.
    latest: BTreeMap<u64, Vec<Family>>,
    /// The counts of those that are gone.
    carried: Vec<Family>,
    next_note: Instant,
}

#[derive(Debug)]
struct Scrape {
    waiting: BTreeSet<u64>,
    until: Instant,
    then: Then,
}

/// What the counts are for.
#[derive(Debug)]
enum Then {
    /// They are noted, as all are.
    Note,
    Answer(oneshot::Sender<String>),
    /// A change begins.
    Open(u64),
    /// A change is over.
    Close(u64),
}

impl Scrapes {
    pub(super) fn new(now: Instant) -> Self {
        let next_note = now + NOTE_EVERY;
        Self { next_ticket: 0, open: BTreeMap::new(), latest: BTreeMap::new(), carried: Vec::new(), next_note }
    }

    /// Goes on with what was counted before us.
    pub(super) fn carry(&mut self, counters: Vec<Family>) {
        self.carried = counters;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|scrape| scrape.until).chain([self.next_note]).min()
    }

    fn begin(&mut self, proxies: BTreeSet<u64>, then: Then) -> u64 {
        self.next_ticket += 1;
        self.open.insert(self.next_ticket, Scrape { waiting: proxies, until: clock::now() + LIMIT, then });
        self.next_ticket
    }

    /// Those that wait for nobody any more, or for too long.
    fn take_ended(&mut self, now: Instant) -> Vec<Scrape> {
        self.open.extract_if(.., |_, scrape| scrape.waiting.is_empty() || scrape.until <= now).map(|(_, s)| s).collect()
    }

    /// The sum over all proxies, dead and alive.
    fn sum(&self) -> Vec<Family> {
        let mut families = self.carried.clone();
        for latest in self.latest.values() {
            exposition::merge(&mut families, latest.clone());
        }
        families
    }
}

impl Supervisor {
    /// Asks all proxies, then answers.
    pub(super) fn scrape(&mut self, reply: oneshot::Sender<String>) {
        self.begin_scrape(Then::Answer(reply));
    }

    /// Has the counts told to a change that begins.
    pub(super) fn count_opening(&mut self, deploy: u64) {
        self.begin_scrape(Then::Open(deploy));
    }

    /// Has the counts told to a change that is over.
    pub(super) fn count_closing(&mut self, deploy: u64) {
        self.begin_scrape(Then::Close(deploy));
    }

    fn begin_scrape(&mut self, then: Then) {
        let ticket = self.chores.scrapes.begin(self.proxies.iter().map(|(number, _)| number).collect(), then);
        self.proxies.broadcast(&ToProxy::Scrape { ticket });
        self.end_scrapes(clock::now());
    }

    /// A proxy answered.
    pub(super) fn scraped(&mut self, proxy: u64, ticket: u64, families: Vec<Family>) {
        if !self.proxies.iter().any(|(number, _)| number == proxy) {
            // It has ended meanwhile, and what it had counted is kept already.
            return;
        }
        self.chores.scrapes.latest.insert(proxy, families);
        if let Some(scrape) = self.chores.scrapes.open.get_mut(&ticket) {
            scrape.waiting.remove(&proxy);
        }
        self.end_scrapes(clock::now());
    }

    /// What was counted by whoever is gone, and by ourselves, as if we were gone too.
    pub(super) fn counters_for_good(&self) -> Vec<Family> {
        let mut families = self.chores.scrapes.carried.clone();
        exposition::merge(&mut families, self.outlook.metrics.counters());
        families
    }

    /// A proxy is gone: what it had counted stays counted.
    pub(super) fn keep_counters_of(&mut self, proxy: u64) {
        if let Some(latest) = self.chores.scrapes.latest.remove(&proxy) {
            exposition::merge(&mut self.chores.scrapes.carried, exposition::counters_only(latest));
        }
        for scrape in self.chores.scrapes.open.values_mut() {
            scrape.waiting.remove(&proxy);
        }
        self.end_scrapes(clock::now());
    }

    /// Answers whoever has waited enough, and notes all counts now and then.
    pub(super) fn end_scrapes(&mut self, now: Instant) {
        for scrape in self.chores.scrapes.take_ended(now) {
            match scrape.then {
                Then::Note => {}
                Then::Answer(reply) => {
                    let mut families = self.own_families();
                    exposition::merge(&mut families, self.chores.scrapes.sum());
                    let _ = reply.send(exposition::render(families));
                }
                Then::Open(deploy) => self.reloads.deploys.open_books(deploy, &self.chores.scrapes.sum()),
                Then::Close(deploy) => {
                    let report = self.reloads.deploys.close_books(deploy, &self.chores.scrapes.sum());
                    if let Some(report) = report {
                        self.reloads.past.complete(report);
                    }
                }
            }
        }
        if self.chores.scrapes.next_note <= now {
            self.chores.scrapes.next_note = now + NOTE_EVERY;
            self.begin_scrape(Then::Note);
        }
    }
}
