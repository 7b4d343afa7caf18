//! What a proxy counts while it serves.
//!
//! [`ExchangeMetrics`] is made once in a proxy and passed down; [`AppMetrics`] are one app's handles, resolved when a
//! snapshot is applied, so that an exchange looks up no label. Does not know HTTP, snapshots or endpoints.
//! Invariant: a gauge that was raised is lowered by a drop, so no path out of an exchange can forget it.

mod app;
mod cut;
mod gauge;
mod streams;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use prometheus::IntCounter;
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::exposition::{self, Family};
use super::registration::{counter, counters, gauges, histograms_by_app};
use crate::id::AppName;
use cut::Cuts;

use app::Longest;
pub use app::{AppMetrics, Held, HoldEnd, RetryRule};
pub use cut::Cut;
pub use gauge::{Gauge, Raised};
pub use streams::{StreamEnd, StreamKind};

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
    accept_failures: IntCounterVec,
    cuts: Cuts,
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
    failed: IntCounterVec,
    streams: IntCounterVec,
    longest_holds: Arc<Mutex<BTreeMap<String, Longest>>>,
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
            accept_failures: counters(
                &registry,
                "portreeve_accept_failures_total",
                "Connections that could not be accepted because the system had no descriptor or memory for them.",
                &["listener"],
            ),
            cuts: Cuts::new(&registry),
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
        Gauge::new(self.client_connections.with_label_values(&[&listener.to_string()]))
    }

    /// Counts access lines that could not be written.
    #[must_use]
    pub fn access_log_dropped(&self) -> IntCounter {
        self.access_log_dropped.clone()
    }

    /// Counts connections to one listener that could not be accepted for now.
    #[must_use]
    pub fn accept_failures(&self, listener: SocketAddr) -> IntCounter {
        self.accept_failures.with_label_values(&[&listener.to_string()])
    }

    /// A client was cut off.
    pub fn cut(&self, why: Cut) {
        self.cuts.count(why);
    }

    /// Counters of what must never happen.
    #[must_use]
    pub fn invariants(&self) -> &Invariants {
        &self.invariants
    }

    /// The longest that a request of each app has waited for an endpoint, of those whose wait has ended since this was
    /// last asked.
    #[must_use]
    pub fn take_longest_holds(&self) -> Vec<(AppName, Duration)> {
        let holds = self.apps.longest_holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.iter().filter_map(|(app, longest)| Some((app.parse().ok()?, longest.take()?))).collect()
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
            failed: counters(
                registry,
                "portreeve_requests_failed_total",
                "Exchanges that had no whole answer from an endpoint, but for those that their client gave up.",
                &["app"],
            ),
            streams: counters(
                registry,
                "portreeve_streams_ended_total",
                "Streams that ended while their worker, or their proxy, was on its way out, by how.",
                &["app", "kind", "how"],
            ),
            longest_holds: Arc::default(),
        }
    }

    fn handles(&self, app: &str) -> AppMetrics {
        let requests = |class: &str| self.requests.with_label_values(&[app, class]);
        AppMetrics {
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(requests),
            seconds: self.seconds.with_label_values(&[app]),
            inflight: Gauge::new(self.inflight.with_label_values(&[app])),
            held: Gauge::new(self.held.with_label_values(&[app])),
            held_total: HoldEnd::ALL.map(|end| self.held_total.with_label_values(&[app, end.label()])),
            queue_seconds: self.queue_seconds.with_label_values(&[app]),
            retries: RetryRule::ALL.map(|rule| self.retries.with_label_values(&[app, rule.label()])),
            upstream_faults: self.upstream_faults.clone(),
            failed: self.failed.with_label_values(&[app]),
            streams: streams::Streams::of(&self.streams, app),
            longest_hold: self.longest_hold(app),
            app: app.to_owned(),
        }
    }

    fn longest_hold(&self, app: &str) -> Longest {
        let mut holds = self.longest_holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.entry(app.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests;
