//! What workers of a generation have answered of late, and whether that is worse than what those before it did.
//!
//! Pure: counts come in with their time. Judges by shares, so that an app that has always answered some errors may go on
//! doing so, and never by a handful of requests. Invariant: nothing older than [`MEMORY`] before the latest count counts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So far back a generation is judged.
const MEMORY: Duration = Duration::from_mins(5);

/// Counts of so much time are kept as one.
const STEP: Duration = Duration::from_secs(15);

/// Fewer answers than these say nothing.
const LEAST: u64 = 50;

/// A share of errors up to this is no reason to go back, in hundredths.
const FINE: u64 = 5;

/// So many times the share from before is a reason.
const FACTOR: u64 = 3;

/// A number of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// All that there were.
    pub given: u64,
    /// Those that were errors of the worker (5xx), or never came because of it.
    pub bad: u64,
}

/// The answers of one generation.
#[derive(Clone, Debug, Default)]
pub struct Record(VecDeque<(Instant, Answers)>);

impl Record {
    /// These have come since this was last said.
    pub fn note(&mut self, now: Instant, answers: Answers) {
        match self.0.back_mut() {
            Some((since, sum)) if now.saturating_duration_since(*since) < STEP => *sum = sum.plus(answers),
            _ => self.0.push_back((now, answers)),
        }
        self.0.retain(|(since, _)| now.saturating_duration_since(*since) < MEMORY);
    }

    /// Those that count.
    #[must_use]
    pub fn recent(&self) -> Answers {
        self.0.iter().map(|(_, answers)| *answers).fold(Answers::default(), Answers::plus)
    }
}

impl Answers {
    fn plus(self, more: Self) -> Self {
        Self { given: self.given + more.given, bad: self.bad + more.bad }
    }

    /// An error may be known before its exchange is over.
    fn total(self) -> u64 {
        self.given.max(self.bad)
    }

    /// Is it clearly worse than what there was before? If so, why.
    #[must_use]
    pub fn fault(self, before: Self) -> Option<String> {
        let (total, total_before) = (u128::from(self.total()), u128::from(before.total().max(1)));
        let (bad, bad_before) = (u128::from(self.bad), u128::from(before.bad));
        let is_much = bad * 100 > total * u128::from(FINE);
        let is_more = bad * total_before > u128::from(FACTOR) * bad_before * total;
        let is_worse = self.total() >= LEAST && is_much && is_more;
        is_worse.then(|| {
            let Self { bad, .. } = self;
            format!(
                "{bad} of its {total} answers were errors (5xx), of those before {} of {}",
                before.bad,
                before.total()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_worse(bad: u64, given: u64, bad_before: u64, given_before: u64) -> bool {
        let before = Answers { given: given_before, bad: bad_before };
        Answers { given, bad }.fault(before).is_some()
    }

    #[test]
    fn it_takes_enough_answers_a_large_share_and_more_than_before() {
        for (bad, given, bad_before, given_before, expected) in [
            (0, 0, 0, 0, false),
            (49, 49, 0, 10_000, false),
            (50, 50, 0, 10_000, true),
            (50, 0, 0, 10_000, true),
            (3, 50, 0, 10_000, true),
            (5, 100, 0, 10_000, false),
            (6, 100, 0, 10_000, true),
            // Nobody has asked before: what is much is much.
            (6, 100, 0, 0, true),
            (30, 100, 10, 100, false),
            (31, 100, 10, 100, true),
            // It could not be worse, and it was bad before.
            (100, 100, 40, 100, false),
        ] {
            assert_eq!(
                is_worse(bad, given, bad_before, given_before),
                expected,
                "{bad}/{given} {bad_before}/{given_before}"
            );
        }
        let fault = Answers { given: 60, bad: 30 }.fault(Answers { given: 900, bad: 1 }).unwrap();
        assert_eq!(fault, "30 of its 60 answers were errors (5xx), of those before 1 of 900");
    }

    #[test]
    fn five_minutes_are_remembered() {
        let (mut record, began) = (Record::default(), Instant::now());
        let one = Answers { given: 1, bad: 1 };
        for second in 0..600 {
            record.note(began + Duration::from_secs(second), one);
            assert!(record.0.len() <= 21);
        }
        let recent = record.recent();
        assert!((285..=300).contains(&recent.given), "{recent:?}");
        assert_eq!(recent.given, recent.bad);
        record.note(began + Duration::from_hours(1), one);
        assert_eq!(record.recent(), one);
    }
}
