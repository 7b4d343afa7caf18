//! What a load saw: counters that its tasks share, latencies, and the JSON line at its end.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that many tasks add to.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes one away; false when there was none left.
    pub(crate) fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl From<u64> for Counter {
    fn from(start: u64) -> Self {
        Self(start.into())
    }
}

/// A JSON object of numbers, printed as one line.
#[derive(Default)]
pub(crate) struct Report(String);

impl Report {
    pub(crate) fn number(mut self, name: &str, value: u64) -> Self {
        write!(self.0, ",\"{name}\":{value}").expect("a String takes all");
        self
    }

    pub(crate) fn seconds(mut self, name: &str, value: Duration) -> Self {
        write!(self.0, ",\"{name}\":{:.9}", value.as_secs_f64()).expect("a String takes all");
        self
    }

    /// Percentiles by nearest rank, and the longest.
    pub(crate) fn latencies(self, mut seen: Vec<Duration>) -> Self {
        seen.sort_unstable();
        let at = |part: f64| {
            let rank = (part * seen.len() as f64).ceil() as usize;
            seen.get(rank.max(1) - 1).copied().unwrap_or_default()
        };
        let named = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("longest", 1.0)];
        named.into_iter().fold(self, |report, (name, part)| report.seconds(name, at(part)))
    }

    pub(crate) fn print(&self) {
        println!("{{{}}}", self.0.trim_start_matches(','));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let report = Report::default().latencies((1..=1000).rev().map(Duration::from_secs).collect());
        assert_eq!(
            report.0,
            ",\"p50\":500.000000000,\"p90\":900.000000000,\"p99\":990.000000000,\"p999\":999.000000000,\"longest\":1000.000000000"
        );
    }

    #[test]
    fn no_latencies_are_zero() {
        assert!(Report::default().latencies(Vec::new()).0.starts_with(",\"p50\":0.0"));
    }
}
