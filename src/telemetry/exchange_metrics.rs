//! What a proxy counts while it serves.
//!
//! [`ExchangeMetrics`] is made once in a proxy and passed down; [`AppMetrics`] are one app's handles, resolved when a
//! snapshot is applied, so that an exchange looks up no label. Does not know HTTP, snapshots or endpoints.
//! Invariant: a gauge that was raised is lowered by a drop, so no path out of an exchange can forget it.

use std::net::SocketAddr;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::exposition::{self, Family};
use super::registration::{counter, counters, gauges, histograms_by_app};
use crate::id::AppName;

/// Upper bounds in seconds for whole exchanges and for waiting.
const BOUNDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The app label of exchanges that no app was found for. No app can have this name.
const NO_APP: &str = "-";

/// All metrics of one proxy. Cheap to clone; clones count into the same metrics.
#[derive(Clone, Debug)]
pub struct ExchangeMetrics {
    registry: Registry,
    apps: ByApp,
    client_connections: IntGaugeVec,
    access_log_dropped: IntCounter,
    invariants: Invariants,
}

/// Counters of what must never happen; each stays 0 in a correct proxy.
#[derive(Clone, Debug)]
pub struct Invariants {
    /// I1: an exchange was sent to an endpoint after its closing had been acknowledged.
    pub dispatch_after_quiesce: IntCounter,
    /// I3: an endpoint that was already stopping reset an exchange.
    pub upstream_reset_stopping: IntCounter,
    /// I6: a client connection was closed while bytes of its request were unread.
    pub close_unread: IntCounter,
}

#[derive(Clone, Debug)]
struct ByApp {
    requests: IntCounterVec,
    seconds: HistogramVec,
    inflight: IntGaugeVec,
    held: IntGaugeVec,
    held_total: IntCounterVec,
    queue_seconds: HistogramVec,
    retries: IntCounterVec,
    upstream_faults: IntCounterVec,
}

impl ExchangeMetrics {
    /// A fresh set, all at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        Self {
            apps: ByApp::new(&registry),
            client_connections: gauges(
                &registry,
                "portreeve_client_connections",
                "Open client connections.",
                &["listener"],
            ),
            access_log_dropped: counter(
                &registry,
                "portreeve_access_log_dropped_total",
                "Access lines that could not be written.",
            ),
            invariants: Invariants::new(&registry),
            registry,
        }
    }

    /// The handles of one app; the same metrics each time.
    #[must_use]
    pub fn app(&self, name: &AppName) -> AppMetrics {
        self.apps.handles(name.as_str())
    }

    /// The handles for exchanges that no app was found for; their app label is `-`.
    #[must_use]
    pub fn no_app(&self) -> AppMetrics {
        self.apps.handles(NO_APP)
    }

    /// Open client connections of one listener: raise it per connection.
    #[must_use]
    pub fn client_connections(&self, listener: SocketAddr) -> Gauge {
        Gauge(self.client_connections.with_label_values(&[&listener.to_string()]))
    }

    /// Counts access lines that could not be written.
    #[must_use]
    pub fn access_log_dropped(&self) -> IntCounter {
        self.access_log_dropped.clone()
    }

    /// Counters of what must never happen.
    #[must_use]
    pub fn invariants(&self) -> &Invariants {
        &self.invariants
    }

    /// Everything as of now.
    #[must_use]
    pub fn gather(&self) -> Vec<Family> {
        exposition::gather(&self.registry)
    }
}

impl Default for ExchangeMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Invariants {
    fn new(registry: &Registry) -> Self {
        Self {
            dispatch_after_quiesce: counter(
                registry,
                "portreeve_dispatch_after_quiesce_total",
                "Exchanges sent to an endpoint after its closing was acknowledged (must stay 0).",
            ),
            upstream_reset_stopping: counter(
                registry,
                "portreeve_upstream_reset_stopping_total",
                "Exchanges reset by an endpoint that was already stopping (must stay 0).",
            ),
            close_unread: counter(
                registry,
                "portreeve_close_unread_total",
                "Client connections closed with request bytes unread (must stay 0).",
            ),
        }
    }
}

impl ByApp {
    fn new(registry: &Registry) -> Self {
        let histograms = |name, help| histograms_by_app(registry, name, help, &BOUNDS);
        Self {
            requests: counters(
                registry,
                "portreeve_requests_total",
                "Finished exchanges by class of status code.",
                &["app", "code_class"],
            ),
            seconds: histograms(
                "portreeve_request_seconds",
                "From the head of a request to the last byte of its response.",
            ),
            inflight: gauges(registry, "portreeve_inflight", "Exchanges in flight.", &["app"]),
            held: gauges(registry, "portreeve_held_requests", "Requests that wait for an endpoint.", &["app"]),
            held_total: counters(
                registry,
                "portreeve_held_total",
                "Requests that waited for an endpoint, by how that ended.",
                &["app", "outcome"],
            ),
            queue_seconds: histograms(
                "portreeve_queue_seconds",
                "From the head of a request to its claim on an endpoint.",
            ),
            retries: counters(
                registry,
                "portreeve_retries_total",
                "Requests sent again, by retry rule.",
                &["app", "rule"],
            ),
            upstream_faults: counters(
                registry,
                "portreeve_upstream_faults_total",
                "Attempts that an endpoint failed.",
                &["app", "kind"],
            ),
        }
    }

    fn handles(&self, app: &str) -> AppMetrics {
        let requests = |class: &str| self.requests.with_label_values(&[app, class]);
        AppMetrics {
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(requests),
            seconds: self.seconds.with_label_values(&[app]),
            inflight: Gauge(self.inflight.with_label_values(&[app])),
            held: Gauge(self.held.with_label_values(&[app])),
            held_total: HoldEnd::ALL.map(|end| self.held_total.with_label_values(&[app, end.label()])),
            queue_seconds: self.queue_seconds.with_label_values(&[app]),
            retries: RetryRule::ALL.map(|rule| self.retries.with_label_values(&[app, rule.label()])),
            upstream_faults: self.upstream_faults.clone(),
            app: app.to_owned(),
        }
    }
}

/// One app's handles. Every method but [`upstream_fault`](Self::upstream_fault) is a few atomic additions.
#[derive(Clone, Debug)]
pub struct AppMetrics {
    requests: [IntCounter; 5],
    seconds: Histogram,
    inflight: Gauge,
    held: Gauge,
    held_total: [IntCounter; 4],
    queue_seconds: Histogram,
    retries: [IntCounter; 3],
    upstream_faults: IntCounterVec,
    app: String,
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

    /// A request claimed an endpoint, so long after its head was read.
    pub fn claimed(&self, waited: Duration) {
        self.queue_seconds.observe(waited.as_secs_f64());
    }

    /// A request waits for an endpoint until [`Held::end`]; one that is dropped before has gone.
    pub fn hold(&self) -> Held {
        Held { _raised: self.held.raise(), totals: self.held_total.clone(), end: HoldEnd::Gone }
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
}

impl RetryRule {
    const ALL: [Self; 3] = [Self::NotConnected, Self::NotSent, Self::Repeatable];

    /// The label value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotConnected => "R1",
            Self::NotSent => "R2",
            Self::Repeatable => "R3",
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
}

impl HoldEnd {
    const ALL: [Self; 4] = [Self::Served, Self::Timeout, Self::Overflow, Self::Gone];

    /// The label value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Timeout => "timeout",
            Self::Overflow => "overflow",
            Self::Gone => "gone",
        }
    }
}

/// A request that waits. Counted once, when dropped: as [`HoldEnd::Gone`] unless told otherwise.
#[must_use = "a request is held for as long as this value lives"]
#[derive(Debug)]
pub struct Held {
    _raised: Raised,
    totals: [IntCounter; 4],
    end: HoldEnd,
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
    }
}

/// Something that is counted while it lasts.
#[derive(Clone, Debug)]
pub struct Gauge(IntGauge);

impl Gauge {
    /// One more until the returned value is dropped.
    pub fn raise(&self) -> Raised {
        self.0.inc();
        Raised(self.0.clone())
    }
}

/// One thing that is being counted; the gauge goes down again when this is dropped.
#[must_use = "the gauge goes down as soon as this value is dropped"]
#[derive(Debug)]
pub struct Raised(IntGauge);

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
