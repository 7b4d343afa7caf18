//! The keys of session tickets: made here, handed to every proxy, and to whoever takes over.
//!
//! So a client resumes its session whichever proxy it meets, after an upgrade and after a crash too. They are in memory only. Invariant: a key
//! that has ever sealed opens for as long as its last ticket lives.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::adoption::Estate;
use super::clock;
use crate::certs;
use crate::link::TicketKey;

/// How long a key seals before there is another one.
const SEALS: Duration = Duration::from_hours(12);

/// How long it opens after that.
const OPENS: Duration = Duration::from_secs(certs::LIFETIME as u64);

/// Until it is tried again to make one.
const RETRY: Duration = Duration::from_mins(1);

/// All that may be of use, the newest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Tickets {
    keys: Vec<Aged>,
    /// When a key is to be made, or let go.
    due: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Aged {
    key: TicketKey,
    made: Instant,
}

/// A key as it is left for whoever takes over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    key: TicketKey,
    age: Duration,
}

impl Tickets {
    /// Those that were left, or a first one.
    pub(super) fn of(estate: Option<&Estate>) -> Self {
        let now = clock::now();
        match estate {
            Some(estate) => Self::adopt(&estate.tickets, estate.ledger.written.instant(now), now),
            None => Self::adopt(&[], now, now),
        }
    }

    /// Those that were left at the time of `then`.
    fn adopt(records: &[Record], then: Instant, now: Instant) -> Self {
        let aged = |record: &Record| {
            let made = then.checked_sub(record.age).unwrap_or(then);
            Aged { key: record.key.clone(), made }
        };
        let mut tickets = Self { keys: records.iter().map(aged).collect(), due: Some(now) };
        tickets.rotate(now);
        tickets
    }

    /// Makes a key and lets old ones go, if it is time to; says whether anything has changed.
    pub(super) fn rotate(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        let age = |aged: &Aged| now.saturating_duration_since(aged.made);
        let before = self.keys.len();
        self.keys.retain(|aged| age(aged) < SEALS + OPENS);
        let mut has_changed = self.keys.len() != before;
        self.due = None;
        if self.keys.first().is_none_or(|newest| age(newest) >= SEALS) {
            match certs::ticket_key() {
                Ok((name, secret)) => {
                    self.keys.insert(0, Aged { key: TicketKey { name, secret }, made: now });
                    has_changed = true;
                }
                Err(error) => {
                    tracing::error!(%error, "no new key for session tickets");
                    self.due = Some(now + RETRY);
                }
            }
        }
        let ends = self.keys.last().map(|oldest| oldest.made + SEALS + OPENS);
        let next = self.keys.first().map(|newest| newest.made + SEALS).filter(|at| *at > now);
        self.due = self.due.into_iter().chain(next).chain(ends).min();
        has_changed
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// As proxies have them: the first one seals.
    pub(super) fn keys(&self) -> Vec<TicketKey> {
        self.keys.iter().map(|aged| aged.key.clone()).collect()
    }

    pub(super) fn record(&self, now: Instant) -> Vec<Record> {
        let record = |aged: &Aged| Record { key: aged.key.clone(), age: now.saturating_duration_since(aged.made) };
        self.keys.iter().map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_key_seals_for_twelve_hours_and_opens_for_a_day_more() {
        let began = Instant::now();
        let mut tickets = Tickets::adopt(&[], began, began);
        let first = tickets.keys();
        assert_eq!(first.len(), 1);
        assert!(!tickets.rotate(began + 11 * HOUR));
        let mut counts = Vec::new();
        for hours in 1..=72 {
            let now = began + hours * HOUR;
            let is_due = tickets.deadline().is_some_and(|due| due <= now);
            assert_eq!(tickets.rotate(now), is_due);
            counts.push(tickets.keys().len());
            assert_eq!(tickets.keys().contains(&first[0]), hours < 36, "{hours}");
            assert_eq!(tickets.keys()[0] == first[0], hours < 12, "{hours}");
        }
        assert_eq!(counts.iter().max(), Some(&3));
    }

    #[test]
    fn whoever_takes_over_goes_on_where_the_other_was() {
        let began = Instant::now() + 100 * HOUR;
        let mut tickets = Tickets::adopt(&[], began, began);
        tickets.rotate(began + 12 * HOUR);
        let then = began + 20 * HOUR;
        let text = serde_json::to_string(&tickets.record(then)).unwrap();
        let records: Vec<Record> = serde_json::from_str(&text).unwrap();
        // An hour of nobody.
        let mut next = Tickets::adopt(&records, then, then + HOUR);
        assert_eq!(next.keys(), tickets.keys());
        assert!(!next.rotate(began + 23 * HOUR));
        assert!(next.rotate(began + 24 * HOUR));
        assert_eq!(next.keys()[1..], tickets.keys());
        let late = Tickets::adopt(&records, then, then + 48 * HOUR);
        assert!(!late.keys().iter().any(|key| tickets.keys().contains(key)));
    }

    #[test]
    fn no_key_is_shown() {
        let key = TicketKey { name: [250; 16], secret: [251; 32] };
        let record = Record { key, age: Duration::ZERO };
        assert_eq!(format!("{record:?}"), "Record { key: TicketKey { .. }, age: 0ns }");
    }
}
