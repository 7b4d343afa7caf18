//! Metrics as plain values: they travel over the link, are merged, and are rendered as text.
//!
//! Knows the Prometheus data model and nothing of what is measured. Invariant: [`render`] writes a text that a strict
//! reader accepts whatever it is given: one family per name, one sample per label set, none without a sample.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use prometheus::proto::{self, MetricType};
use prometheus::{Registry, TextEncoder};
use serde::{Deserialize, Serialize};

/// The `Content-Type` of what [`render`] returns.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All samples of one metric name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Family {
    pub name: String,
    pub help: String,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One time series at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Sorted by name.
    pub labels: Vec<(String, String)>,
    pub value: Value,
}

/// What a sample holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    Number(f64),
    /// `buckets` are cumulative, as (upper bound, count), without the one for infinity.
    Histogram {
        count: u64,
        sum: f64,
        buckets: Vec<(f64, u64)>,
    },
}

/// All metrics of a registry as of now, ordered by name and labels.
#[must_use]
pub fn gather(registry: &Registry) -> Vec<Family> {
    registry.gather().iter().filter_map(family_from).collect()
}

/// Adds families to others: samples of equal name and labels are summed, the rest is appended.
///
/// Two proxies of different versions may disagree. A family whose kind differs from the one already there is left out,
/// and of histograms with different bounds the bounds that both have remain: those are the counts known for certain.
pub fn merge(into: &mut Vec<Family>, more: Vec<Family>) {
    for family in more {
        match into.iter_mut().find(|known| known.name == family.name) {
            None => into.push(without_repeats(family)),
            Some(known) if known.kind == family.kind => add_samples(&mut known.samples, family.samples),
            Some(_) => {}
        }
    }
}

/// What a proxy that has ended leaves behind: all that only ever grows. Its gauges ended with it.
#[must_use]
pub fn counters_only(mut families: Vec<Family>) -> Vec<Family> {
    families.retain(|family| family.kind != Kind::Gauge);
    families
}

/// The families in Prometheus' text format 0.0.4, ordered by name.
#[must_use]
pub fn render(families: Vec<Family>) -> String {
    let mut merged = Vec::new();
    merge(&mut merged, families);
    merged.retain(|family| !family.name.is_empty() && !family.samples.is_empty());
    merged.sort_by(|a, b| a.name.cmp(&b.name));
    text_of(&merged.into_iter().map(proto_from).collect::<Vec<_>>())
}

fn text_of(families: &[proto::MetricFamily]) -> String {
    TextEncoder::new().encode_to_string(families).expect("every family has a name and a sample, and a String takes all")
}

fn without_repeats(mut family: Family) -> Family {
    let samples = std::mem::take(&mut family.samples);
    add_samples(&mut family.samples, samples);
    family
}

fn add_samples(into: &mut Vec<Sample>, more: Vec<Sample>) {
    let mut places: HashMap<_, _> = into.iter().enumerate().map(|(at, sample)| (sample.labels.clone(), at)).collect();
    for sample in more {
        match places.entry(sample.labels.clone()) {
            Entry::Occupied(place) => add_value(&mut into[*place.get()].value, sample.value),
            Entry::Vacant(place) => {
                place.insert(into.len());
                into.push(sample);
            }
        }
    }
}

fn add_value(to: &mut Value, more: Value) {
    match (to, more) {
        (Value::Number(sum), Value::Number(number)) => *sum += number,
        (
            Value::Histogram { count, sum, buckets },
            Value::Histogram { count: more_count, sum: more_sum, buckets: more },
        ) => {
            *count += more_count;
            *sum += more_sum;
            *buckets = common_buckets(buckets, &more);
        }
        // A number and a histogram cannot be of one kind; whoever says so is not believed.
        (Value::Number(_), Value::Histogram { .. }) | (Value::Histogram { .. }, Value::Number(_)) => {}
    }
}

fn common_buckets(some: &[(f64, u64)], others: &[(f64, u64)]) -> Vec<(f64, u64)> {
    let count_at =
        |bound: f64| others.iter().find(|(other, _)| other.total_cmp(&bound).is_eq()).map(|(_, count)| *count);
    some.iter().filter_map(|&(bound, count)| Some((bound, count + count_at(bound)?))).collect()
}

/// `None` for a kind that portreeve does not use.
fn family_from(family: &proto::MetricFamily) -> Option<Family> {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::HISTOGRAM => Kind::Histogram,
        _ => return None,
    };
    let samples = family.get_metric().iter().map(|metric| sample_from(kind, metric)).collect();
    Some(Family { name: family.name().to_owned(), help: family.help().to_owned(), kind, samples })
}

fn sample_from(kind: Kind, metric: &proto::Metric) -> Sample {
    let label = |pair: &proto::LabelPair| (pair.name().to_owned(), pair.value().to_owned());
    let mut labels: Vec<_> = metric.get_label().iter().map(label).collect();
    labels.sort();
    let value = match kind {
        Kind::Counter => Value::Number(metric.get_counter().get_value()),
        Kind::Gauge => Value::Number(metric.get_gauge().get_value()),
        Kind::Histogram => histogram_from(metric.get_histogram()),
    };
    Sample { labels, value }
}

fn histogram_from(histogram: &proto::Histogram) -> Value {
    let buckets = histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    Value::Histogram {
        count: histogram.get_sample_count(),
        sum: histogram.get_sample_sum(),
        buckets: buckets.filter(|(bound, _)| bound.is_finite()).collect(),
    }
}

fn proto_from(family: Family) -> proto::MetricFamily {
    let mut made = proto::MetricFamily::default();
    made.set_name(family.name);
    made.set_help(family.help);
    made.set_field_type(match family.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    made.set_metric(family.samples.into_iter().map(|sample| metric_from(family.kind, sample)).collect());
    made
}

fn metric_from(kind: Kind, sample: Sample) -> proto::Metric {
    let mut metric = proto::Metric::from_label(sample.labels.into_iter().map(label_pair).collect());
    match (kind, sample.value) {
        (Kind::Counter, Value::Number(number)) => {
            let mut counter = proto::Counter::default();
            counter.set_value(number);
            metric.set_counter(counter);
        }
        (_, Value::Number(number)) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(number);
            metric.set_gauge(gauge);
        }
        (_, Value::Histogram { count, sum, buckets }) => {
            let mut histogram = proto::Histogram::default();
            histogram.set_sample_count(count);
            histogram.set_sample_sum(sum);
            histogram.set_bucket(buckets.into_iter().map(bucket).collect());
            metric.set_histogram(histogram);
        }
    }
    metric
}

fn label_pair((name, value): (String, String)) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name);
    pair.set_value(value);
    pair
}

fn bucket((bound, count): (f64, u64)) -> proto::Bucket {
    let mut bucket = proto::Bucket::default();
    bucket.set_upper_bound(bound);
    bucket.set_cumulative_count(count);
    bucket
}

#[cfg(test)]
mod tests;
