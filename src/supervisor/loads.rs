//! The load on each worker, over all proxies: those that serve, those that drain, and what those that are gone had done.
//!
//! Adds up what the proxies say; nothing here decides anything. Invariant: what is finished only grows while a worker is
//! listed, whatever becomes of the proxies.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::id::Serial;
use crate::lifecycle::Answers;
use crate::link;

/// About how far back the rate of requests looks.
const MEMORY: Duration = Duration::from_secs(5);

/// What is known of every endpoint.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// What each living proxy said last.
    said: BTreeMap<u64, HashMap<Serial, link::Load>>,
    /// What is kept of each endpoint beside that.
    ledgers: HashMap<Serial, Ledger>,
}

#[derive(Clone, Copy, Debug)]
struct Ledger {
    /// By proxies that are gone.
    finished: u64,
    failed: u64,
    rate: Rate,
}

/// Requests a second, with the latest ones counting most.
#[derive(Clone, Copy, Debug)]
struct Rate {
    value: f64,
    at: Instant,
}

/// The load on one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Load {
    pub(super) in_flight: u32,
    pub(super) finished: u64,
    pub(super) failed: u64,
    pub(super) oldest: Option<Duration>,
    pub(super) per_second: f64,
}

/// What is written down of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LoadsRecord {
    said: Vec<(u64, Vec<link::Load>)>,
    /// By proxies that are gone: what of each endpoint they had finished, and failed.
    done: Vec<(Serial, u64, u64)>,
}

impl Loads {
    pub(super) fn record(&self) -> LoadsRecord {
        let said = self.said.iter().map(|(proxy, said)| (*proxy, said.values().copied().collect()));
        let done = self.ledgers.iter().map(|(serial, one)| (*serial, one.finished, one.failed));
        LoadsRecord { said: said.collect(), done: done.collect() }
    }

    pub(super) fn adopt(record: LoadsRecord, now: Instant) -> Self {
        let rate = Rate { value: 0.0, at: now };
        let by_serial = |said: Vec<link::Load>| said.into_iter().map(|load| (load.serial, load)).collect();
        let done = record.done.into_iter();
        Self {
            said: record.said.into_iter().map(|(proxy, said)| (proxy, by_serial(said))).collect(),
            ledgers: done.map(|(serial, finished, failed)| (serial, Ledger { finished, failed, rate })).collect(),
        }
    }

    /// A proxy has said what is new of one endpoint; gives what was answered since it last did.
    pub(super) fn note(&mut self, proxy: u64, load: link::Load, now: Instant) -> Answers {
        let before = self.said.entry(proxy).or_default().insert(load.serial, load);
        let finished = load.finished.saturating_sub(before.map_or(0, |before| before.finished));
        let all_bad = |load: &link::Load| load.failed + load.errors;
        let bad = all_bad(&load).saturating_sub(before.as_ref().map_or(0, all_bad));
        let fresh = Ledger { finished: 0, failed: 0, rate: Rate { value: 0.0, at: now } };
        self.ledgers.entry(load.serial).or_insert(fresh).rate.add(finished, now);
        Answers { given: finished, bad }
    }

    /// A proxy is gone, with what it had in flight.
    pub(super) fn lose(&mut self, proxy: u64) {
        for (serial, load) in self.said.remove(&proxy).unwrap_or_default() {
            if let Some(ledger) = self.ledgers.get_mut(&serial) {
                ledger.finished += load.finished;
                ledger.failed += load.failed;
            }
        }
    }

    /// Keeps the endpoints that are meant, and forgets the others.
    pub(super) fn retain(&mut self, is_known: impl Fn(Serial) -> bool) {
        self.ledgers.retain(|serial, _| is_known(*serial));
        self.said.values_mut().for_each(|said| said.retain(|serial, _| is_known(*serial)));
    }

    /// The load on one endpoint.
    pub(super) fn of(&self, serial: Serial, now: Instant) -> Load {
        let Some(ledger) = self.ledgers.get(&serial) else { return Load::default() };
        let said = || self.said.values().filter_map(|said| said.get(&serial));
        Load {
            in_flight: said().map(|load| load.in_flight).sum(),
            finished: ledger.finished + said().map(|load| load.finished).sum::<u64>(),
            failed: ledger.failed + said().map(|load| load.failed).sum::<u64>(),
            oldest: said().filter_map(|load| load.oldest).max(),
            per_second: ledger.rate.at(now),
        }
    }
}

impl Rate {
    fn add(&mut self, count: u64, now: Instant) {
        *self = Self { value: self.at(now) + count as f64 / MEMORY.as_secs_f64(), at: now };
    }

    fn at(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        self.value * (-age / MEMORY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(serial: u64, in_flight: u32, finished: u64, oldest: Option<u64>) -> link::Load {
        let oldest = oldest.map(Duration::from_secs);
        link::Load { serial: Serial(serial), in_flight, finished, failed: 1, errors: 2, oldest }
    }

    #[test]
    fn the_load_is_the_sum_over_all_proxies() {
        let (mut loads, now) = (Loads::default(), Instant::now());
        assert_eq!(loads.of(Serial(7), now), Load::default());
        assert_eq!(loads.note(1, load(7, 2, 10, Some(3)), now), Answers { given: 10, bad: 3 });
        assert_eq!(loads.note(2, load(7, 1, 5, Some(4)), now), Answers { given: 5, bad: 3 });
        assert_eq!(loads.note(1, load(7, 3, 12, None), now), Answers { given: 2, bad: 0 });
        let sum = loads.of(Serial(7), now);
        assert_eq!((sum.in_flight, sum.finished, sum.failed), (4, 17, 2));
        assert_eq!(sum.oldest, Some(Duration::from_secs(4)));
    }

    #[test]
    fn what_a_proxy_had_finished_outlives_it() {
        let (mut loads, now) = (Loads::default(), Instant::now());
        loads.note(1, load(7, 2, 10, Some(3)), now);
        loads.lose(1);
        loads.lose(1);
        let left = loads.of(Serial(7), now);
        assert_eq!((left.in_flight, left.finished, left.failed, left.oldest), (0, 10, 1, None));
        loads.note(2, load(7, 0, 1, None), now);
        assert_eq!(loads.of(Serial(7), now).finished, 11);
    }

    #[test]
    fn who_is_no_longer_known_is_forgotten() {
        let (mut loads, now) = (Loads::default(), Instant::now());
        loads.note(1, load(7, 2, 10, None), now);
        loads.note(1, load(8, 2, 10, None), now);
        loads.retain(|serial| serial == Serial(8));
        assert_eq!(loads.of(Serial(7), now), Load::default());
        assert_eq!(loads.of(Serial(8), now).finished, 10);
        assert_eq!(loads.said[&1].len(), 1);
    }

    #[test]
    fn a_steady_rate_is_shown_within_a_tenth_and_fades_when_it_ends() {
        let (mut loads, began) = (Loads::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        for second in 1..=60 {
            loads.note(1, load(7, 0, 100 * second, None), at(second));
        }
        for now in [at(60), at(61)] {
            let rate = loads.of(Serial(7), now).per_second;
            assert!((89.0..112.0).contains(&rate), "{rate}");
        }
        assert!(loads.of(Serial(7), at(90)).per_second < 1.0);
    }
}
