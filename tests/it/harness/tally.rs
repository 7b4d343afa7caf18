//! What came of a load: what was answered, what failed, and whether each order was handled exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::client::Failure;
use super::ledger::Ledger;

/// What came of it all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Connections that were made.
    pub(crate) connections: u64,
    /// `GET`s that were answered.
    pub(crate) gets: u64,
    /// Ids of the orders that were answered.
    pub(crate) orders: BTreeSet<String>,
    pub(crate) failures: Vec<Failed>,
    /// Answers by generation.
    pub(crate) generations: BTreeMap<u64, u64>,
}

/// A request without the right answer.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) id: String,
    pub(crate) is_post: bool,
    pub(crate) failure: Failure,
}

impl Tally {
    pub(crate) fn answered(&self) -> u64 {
        self.gets + self.orders.len() as u64
    }

    /// Failures of a method and kind.
    pub(crate) fn failed(&self, is_post: bool) -> impl Iterator<Item = &Failure> {
        self.failures.iter().filter(move |failed| failed.is_post == is_post).map(|failed| &failed.failure)
    }

    /// Panics unless every request was answered rightly.
    #[track_caller]
    pub(crate) fn assert_nothing_failed(&self) {
        assert!(self.failures.is_empty(), "{self}");
        assert!(self.answered() > 0, "there was load at all");
    }

    /// Panics unless every answered order was handled exactly once, every failed one at most once, and no other ever.
    #[track_caller]
    pub(crate) fn assert_each_order_once(&self, ledger: &Ledger) {
        let handled = ledger.orders();
        let failed: BTreeSet<&String> = self.failures.iter().filter(|one| one.is_post).map(|one| &one.id).collect();
        let twice: Vec<_> = handled.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "handled more than once: {twice:?}");
        let lost: Vec<_> = self.orders.iter().filter(|id| !handled.contains_key(*id)).collect();
        assert!(lost.is_empty(), "answered, but never handled: {lost:?}");
        let strange: Vec<_> = handled.keys().filter(|id| !self.orders.contains(*id) && !failed.contains(id)).collect();
        assert!(strange.is_empty(), "handled, but never sent: {strange:?}");
    }

    pub(super) fn plus(mut self, mut other: Self) -> Self {
        self.connections += other.connections;
        self.gets += other.gets;
        self.orders.append(&mut other.orders);
        self.failures.append(&mut other.failures);
        for (generation, count) in other.generations {
            *self.generations.entry(generation).or_default() += count;
        }
        self
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gets, orders) = (self.gets, self.orders.len());
        let failed = self.failures.len();
        write!(f, "{} connections, {gets} GET and {orders} POST answered, {failed} failed:", self.connections)?;
        let mut kinds: BTreeMap<(&str, &str), (u64, &Failed)> = BTreeMap::new();
        for one in &self.failures {
            let method = if one.is_post { "POST" } else { "GET" };
            kinds.entry((method, one.failure.kind())).or_insert((0, one)).0 += 1;
        }
        for ((method, kind), (count, example)) in kinds {
            write!(f, "\n  {count} × {method} {kind}, such as {}: {}", example.id, example.failure)?;
        }
        Ok(())
    }
}
