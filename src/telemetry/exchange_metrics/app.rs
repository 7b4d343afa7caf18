//! One app's handles, and what can be said with them.
//!
//! Does not know where the handles come from. Invariant: label values are constants of the program, so the number of
//! series is bounded whatever clients do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter, IntCounterVec};

use super::gauge::{Gauge, Raised};
use super::streams::{StreamEnd, StreamKind, Streams};

/// One app's handles. Every method but [`upstream_fault`](Self::upstream_fault) is a few atomic additions.
#[derive(Clone, Debug)]
pub struct AppMetrics {
    pub(super) requests: [IntCounter; 5],
    pub(super) seconds: Histogram,
    pub(super) inflight: Gauge,
    pub(super) held: Gauge,
    pub(super) held_total: [IntCounter; HoldEnd::ALL.len()],
    pub(super) queue_seconds: Histogram,
    pub(super) retries: [IntCounter; RetryRule::ALL.len()],
    pub(super) upstream_faults: IntCounterVec,
    pub(super) failed: IntCounter,
    pub(super) streams: Streams,
    pub(super) longest_hold: Longest,
    pub(super) app: String,
}

impl AppMetrics {
    /// An exchange is in flight until the returned value is dropped.
    pub fn begin(&self) -> Raised {
        self.inflight.raise()
    }

    /// An exchange has ended with this status, so long after the head of its request.
    pub fn finish(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, self.requests.len());
        self.requests[class - 1].inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// An exchange has ended without a whole answer from an endpoint, and its client is not to blame.
    pub fn fail(&self) {
        self.failed.inc();
    }

    /// A stream has ended whose worker, or proxy, was on its way out.
    pub fn stream_ended(&self, kind: StreamKind, end: StreamEnd) {
        self.streams.count(kind, end);
    }

    /// A request claimed an endpoint, so long after its head was read.
    pub fn claimed(&self, waited: Duration) {
        self.queue_seconds.observe(waited.as_secs_f64());
    }

    /// A request waits for an endpoint until [`Held::end`]; one that is dropped before has gone.
    pub fn hold(&self) -> Held {
        Held {
            _raised: self.held.raise(),
            totals: self.held_total.clone(),
            end: HoldEnd::Gone,
            began: Instant::now(),
            longest: self.longest_hold.clone(),
        }
    }

    /// A request is sent again.
    pub fn retry(&self, rule: RetryRule) {
        self.retries[rule as usize].inc();
    }

    /// An endpoint failed an attempt. `kind` is a label value: one of a few constants, never anything from a client.
    pub fn upstream_fault(&self, kind: &'static str) {
        self.upstream_faults.with_label_values(&[self.app.as_str(), kind]).inc();
    }
}

/// Why a request was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryRule {
    /// R1: no connection could be made, so nothing was sent.
    NotConnected,
    /// R2: a reused connection was closed before any byte of the request was written.
    NotSent,
    /// R3: no byte of a response came, and the request is safe to repeat.
    Repeatable,
    /// R5: the worker ended without having read the request.
    NotRead,
}

impl RetryRule {
    pub(super) const ALL: [Self; 4] = [Self::NotConnected, Self::NotSent, Self::Repeatable, Self::NotRead];

    /// The label value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotConnected => "R1",
            Self::NotSent => "R2",
            Self::Repeatable => "R3",
            Self::NotRead => "R5",
        }
    }
}

/// How the wait of a held request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldEnd {
    /// It got an endpoint.
    Served,
    /// It waited as long as it may.
    Timeout,
    /// Too many were waiting already.
    Overflow,
    /// The client went away, or the app ceased to be expected.
    Gone,
    /// Others were waiting for too long already.
    Shed,
}

impl HoldEnd {
    pub(super) const ALL: [Self; 5] = [Self::Served, Self::Timeout, Self::Overflow, Self::Gone, Self::Shed];

    /// The label value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Timeout => "timeout",
            Self::Overflow => "overflow",
            Self::Gone => "gone",
            Self::Shed => "shed",
        }
    }
}

/// A request that waits. Counted once, when dropped: as [`HoldEnd::Gone`] unless told otherwise.
#[must_use = "a request is held for as long as this value lives"]
#[derive(Debug)]
pub struct Held {
    _raised: Raised,
    totals: [IntCounter; HoldEnd::ALL.len()],
    end: HoldEnd,
    began: Instant,
    longest: Longest,
}

impl Held {
    /// The wait is over.
    pub fn end(mut self, end: HoldEnd) {
        self.end = end;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.totals[self.end as usize].inc();
        self.longest.note(self.began.elapsed());
    }
}

/// The longest of some times since this was last asked. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Longest(Arc<AtomicU64>);

impl Longest {
    fn note(&self, time: Duration) {
        self.0.fetch_max(time.as_micros().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// `None`: there was none.
    pub(super) fn take(&self) -> Option<Duration> {
        Some(self.0.swap(0, Ordering::Relaxed)).filter(|micros| *micros > 0).map(Duration::from_micros)
    }
}
