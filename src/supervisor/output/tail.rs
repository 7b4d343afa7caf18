//! The last lines of one worker, for the message that says why it failed.
//!
//! Bounded in lines and in bytes, because each ended worker that is remembered has one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines kept of each worker.
const KEPT_LINES: usize = 200;

/// Bytes kept of each worker; the very last line is kept however long it is.
const KEPT_BYTES: usize = 64 * 1024;

/// The last lines of one worker, oldest first.
#[derive(Clone, Debug, Default)]
pub(in crate::supervisor) struct Tail(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    pub(super) fn push(&self, lines: &[String]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in &lines[lines.len().saturating_sub(KEPT_LINES)..] {
            tail.bytes += line.len();
            tail.kept.push_back(line.clone());
        }
        while tail.kept.len() > KEPT_LINES || (tail.bytes > KEPT_BYTES && tail.kept.len() > 1) {
            let oldest = tail.kept.pop_front().map_or(0, |line| line.len());
            tail.bytes -= oldest;
        }
    }

    /// The last `count` lines, oldest first.
    pub(in crate::supervisor) fn last(&self, count: usize) -> Vec<String> {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.kept.iter().skip(tail.kept.len().saturating_sub(count)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_in_lines() {
        let tail = Tail::default();
        tail.push(&(0..500).map(|n| n.to_string()).collect::<Vec<_>>());
        (500..600).for_each(|n| tail.push(&[n.to_string()]));
        assert_eq!(tail.last(usize::MAX).len(), KEPT_LINES);
        assert_eq!(tail.last(2), ["598", "599"]);
    }

    #[test]
    fn the_tail_is_bounded_in_bytes_and_never_without_the_last_line() {
        let tail = Tail::default();
        (0..10).for_each(|_| tail.push(&["x".repeat(KEPT_BYTES / 4)]));
        assert_eq!(tail.last(usize::MAX).len(), 4);
        tail.push(&["y".repeat(KEPT_BYTES * 2)]);
        assert_eq!(tail.last(usize::MAX), ["y".repeat(KEPT_BYTES * 2)]);
    }
}
