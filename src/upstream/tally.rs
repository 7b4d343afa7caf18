//! What has been asked of one endpoint, and since when its oldest request waits for the head of a response.
//!
//! It does not know what a request is. Nothing is asked of the clock and no line of memory is shared between threads on
//! the way of a request: each thread counts on a strip of its own, with plain loads and stores, and one who looks now
//! and then adds up. Ages are known by turns: whoever begins to wait is counted into the present turn, and each look
//! ends a turn in which somebody waits. So an age is never said to be greater than it is, and less by the time between
//! two looks at most, or, with more turns in use than there are, by some of those.
//!
//! Invariants: a strip has one writer; what is counted into a turn is counted out of the same.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Turns that can have somebody waiting at once: as many as fill a line of memory.
const TURNS: usize = 14;

/// Counts for all threads.
#[derive(Debug)]
pub(super) struct Tally {
    strips: Box<[Strip]>,
    /// Into which those are counted who begin to wait.
    turn: AtomicU8,
    failed: AtomicU64,
    errors: AtomicU64,
    /// When each turn ended; taken by whoever looks.
    ends: Mutex<[Option<Instant>; TURNS]>,
}

/// What one thread counts.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Strip {
    begun: AtomicU64,
    /// By the turn in which they began to wait.
    waiting: [AtomicU32; TURNS],
}

/// What a look finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests that were sent, ever.
    pub begun: u64,
    /// Requests that the endpoint has failed, ever.
    pub failed: u64,
    /// Answers of it that say that it has failed (5xx), ever.
    pub errors: u64,
    /// How long the oldest request waits that waits for a head.
    pub oldest: Option<Duration>,
}

/// A request that waits for the head of its response, until this is dropped, on the thread that made it.
#[must_use = "it waits for as long as this value lives"]
pub struct Waiting<'a> {
    strip: &'a Strip,
    turn: usize,
}

impl Tally {
    pub(super) fn new(threads: usize) -> Self {
        let strips = (0..threads).map(|_| Strip::default()).collect();
        Self {
            strips,
            turn: AtomicU8::new(0),
            failed: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            ends: Mutex::new([None; TURNS]),
        }
    }

    /// A request of `thread` begins to wait.
    pub(super) fn wait(&self, thread: usize) -> Waiting<'_> {
        let (strip, turn) = (&self.strips[thread], usize::from(self.turn.load(Relaxed)));
        strip.begun.store(strip.begun.load(Relaxed) + 1, Relaxed);
        let waiting = &strip.waiting[turn];
        waiting.store(waiting.load(Relaxed) + 1, Relaxed);
        Waiting { strip, turn }
    }

    /// A request has failed.
    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// It has answered with an error of its own.
    pub(super) fn err(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    /// Adds up, and begins another turn if somebody waits since this one.
    pub(super) fn look(&self, now: Instant) -> Seen {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = usize::from(self.turn.load(Relaxed));
        ends[turn] = Some(now);
        let is_waited_in: [bool; TURNS] =
            std::array::from_fn(|turn| self.strips.iter().any(|strip| strip.waiting[turn].load(Relaxed) > 0));
        if let (true, Some(free)) = (is_waited_in[turn], is_waited_in.iter().position(|is_waited| !is_waited)) {
            self.turn.store(free as u8, Relaxed);
        }
        let waited = ends.iter().zip(is_waited_in).filter_map(|(end, is_waited)| end.filter(|_| is_waited));
        Seen {
            begun: self.strips.iter().map(|strip| strip.begun.load(Relaxed)).sum(),
            failed: self.failed.load(Relaxed),
            errors: self.errors.load(Relaxed),
            oldest: waited.min().map(|end| now.saturating_duration_since(end)),
        }
    }
}

impl Waiting<'_> {
    /// It was not sent after all: no request was begun.
    pub fn take_back(self) {
        let begun = &self.strip.begun;
        begun.store(begun.load(Relaxed).saturating_sub(1), Relaxed);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waiting = &self.strip.waiting[self.turn];
        waiting.store(waiting.load(Relaxed).saturating_sub(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> (Tally, impl Fn(u64) -> Instant) {
        let began = Instant::now();
        (Tally::new(2), move |seconds| began + Duration::from_secs(seconds))
    }

    fn oldest(tally: &Tally, now: Instant) -> Option<u64> {
        tally.look(now).oldest.map(|oldest| oldest.as_secs())
    }

    #[test]
    fn a_strip_is_one_line_of_memory() {
        assert_eq!(size_of::<Strip>(), 64);
    }

    #[test]
    fn what_all_threads_count_is_added_up() {
        let (tally, at) = tally();
        drop(tally.wait(0));
        let waiting = tally.wait(1);
        tally.wait(1).take_back();
        tally.fail();
        assert_eq!(tally.look(at(0)), Seen { begun: 2, failed: 1, errors: 0, oldest: Some(Duration::ZERO) });
        drop(waiting);
        assert_eq!(tally.look(at(1)), Seen { begun: 2, failed: 1, errors: 0, oldest: None });
    }

    #[test]
    fn an_age_is_never_too_great_and_less_by_one_look_at_most() {
        let (tally, at) = tally();
        assert_eq!(oldest(&tally, at(10)), None);
        let first = tally.wait(0);
        assert_eq!(oldest(&tally, at(11)), Some(0), "it may have begun just now");
        let second = tally.wait(1);
        assert_eq!(oldest(&tally, at(12)), Some(1));
        assert_eq!(oldest(&tally, at(15)), Some(4));
        drop(first);
        assert_eq!(oldest(&tally, at(16)), Some(4), "the second began before 12");
        drop(second);
        assert_eq!(oldest(&tally, at(17)), None);
    }

    #[test]
    fn a_turn_is_used_again_when_nobody_waits_in_it() {
        let (tally, at) = tally();
        for second in 0..100 {
            let waiting = tally.wait(0);
            assert_eq!(oldest(&tally, at(2 * second)), Some(0));
            drop(waiting);
            assert_eq!(oldest(&tally, at(2 * second + 1)), None);
        }
    }

    #[test]
    fn with_somebody_waiting_in_every_turn_the_latest_are_said_to_be_younger() {
        let (tally, at) = tally();
        let mut waiting = std::collections::VecDeque::new();
        for second in 0..40 {
            waiting.push_back(tally.wait(0));
            assert_eq!(oldest(&tally, at(second)), Some(second), "of the first");
        }
        for second in 40..80 {
            waiting.pop_front();
            let (said, true_age) = (oldest(&tally, at(second)).unwrap_or(0), second - (second - 39));
            assert!(said <= true_age, "{said} at {second}");
        }
        assert!(waiting.is_empty());
        assert_eq!(oldest(&tally, at(80)), None);
    }
}
