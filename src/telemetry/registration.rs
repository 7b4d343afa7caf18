//! Makes metrics and registers them in one step.
//!
//! Knows no metric's name. Invariant: what is returned is registered, so nothing is measured that nobody can read.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, Result,
};

/// A counter without labels.
pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::new(name, help))
}

/// Counters with the given label names.
pub(super) fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

/// Gauges with the given label names.
pub(super) fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

/// A histogram without labels, with these upper bounds.
pub(super) fn histogram(registry: &Registry, name: &str, help: &str, bounds: &[f64]) -> Histogram {
    registered(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec())))
}

/// Histograms with these upper bounds, one for each app.
pub(super) fn histograms_by_app(registry: &Registry, name: &str, help: &str, bounds: &[f64]) -> HistogramVec {
    registered(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(bounds.to_vec()), &["app"]))
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, made: Result<C>) -> C {
    let metric = made.expect("names and bounds are constants of this room, and valid");
    registry.register(Box::new(metric.clone())).expect("each name is registered once");
    metric
}
