//! What the metrics say of each app between two looks at them.
//!
//! Reads the few series of the text format (version 0.0.4) that the screen shows. Pure. A counter that has fallen belongs to
//! another supervisor, so that look is the first again.

use std::collections::BTreeMap;

use crate::id::AppName;

/// The counters of one app.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counters {
    requests: f64,
    /// Of which the status was 500 or more.
    errors: f64,
    /// Finished exchanges that took no longer than so many seconds; in ascending order, the last is for all.
    buckets: Vec<(f64, f64)>,
}

/// What went on in an app between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Requests a second.
    pub(super) requests: f64,
    /// Of these, the part that failed, from 0 to 1.
    pub(super) errors: f64,
    /// In seconds; `None`: nothing was finished.
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// Reads the counters of all apps.
pub(super) fn read(text: &str) -> BTreeMap<AppName, Counters> {
    let mut apps: BTreeMap<AppName, Counters> = BTreeMap::new();
    for sample in text.lines().filter_map(Sample::read) {
        let Some(app) = sample.label("app").and_then(|app| app.parse().ok()) else { continue };
        let counters = apps.entry(app).or_default();
        match sample.name {
            "portreeve_requests_total" => {
                counters.requests += sample.value;
                if sample.label("code_class") == Some("5xx") {
                    counters.errors += sample.value;
                }
            }
            "portreeve_request_seconds_bucket" => {
                let bound = sample.label("le").and_then(|bound| bound.replace("+Inf", "inf").parse().ok());
                counters.buckets.extend(bound.map(|bound| (bound, sample.value)));
            }
            _ => {}
        }
    }
    apps
}

impl Counters {
    /// What went on since `before`, which was so many seconds ago.
    pub(super) fn since(&self, before: &Self, seconds: f64) -> Rates {
        let requests = self.requests - before.requests;
        if requests < 0.0 || seconds <= 0.0 {
            return Rates::default();
        }
        let errors = if requests > 0.0 { (self.errors - before.errors).max(0.0) / requests } else { 0.0 };
        let grown = self.grown(before);
        let quantile = |q| quantile(&grown, q);
        Rates { requests: requests / seconds, errors, p50: quantile(0.5), p99: quantile(0.99) }
    }

    fn grown(&self, before: &Self) -> Vec<(f64, f64)> {
        let earlier = |bound: f64| before.buckets.iter().find(|(known, _)| known.total_cmp(&bound).is_eq());
        let grown = |&(bound, count): &(f64, f64)| (bound, count - earlier(bound).map_or(0.0, |(_, count)| *count));
        self.buckets.iter().map(grown).collect()
    }
}

/// The quantile as Prometheus' `histogram_quantile` estimates it: linear within a bucket, and never beyond the last
/// bound.
fn quantile(buckets: &[(f64, f64)], q: f64) -> Option<f64> {
    let rank = buckets.last().filter(|(_, all)| *all > 0.0)?.1 * q;
    let mut below = (0.0, 0.0);
    for &(bound, count) in buckets {
        if count >= rank {
            let within = if count > below.1 { (rank - below.1) / (count - below.1) } else { 1.0 };
            return Some(if bound.is_finite() { below.0 + (bound - below.0) * within } else { below.0 });
        }
        below = (bound, count);
    }
    None
}

/// One line of the text format.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.strip_suffix('}')?.split_once('{')?;
        Some(Self { name, labels, value: value.parse().ok()? })
    }

    /// None of the labels that are asked for has a value that would need an escape.
    fn label(&self, name: &str) -> Option<&'a str> {
        let pairs = self.labels.split("\",").filter_map(|pair| pair.split_once("=\""));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.trim_end_matches('"')).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(requests: u32, errors: u32, fast: u32, slow: u32) -> String {
        format!(
            "# HELP portreeve_requests_total Finished.\n# TYPE portreeve_requests_total counter\n\
             portreeve_requests_total{{app=\"web\",code_class=\"2xx\"}} {requests}\n\
             portreeve_requests_total{{app=\"web\",code_class=\"5xx\"}} {errors}\n\
             portreeve_request_seconds_bucket{{app=\"web\",le=\"0.01\"}} {fast}\n\
             portreeve_request_seconds_bucket{{app=\"web\",le=\"0.1\"}} {all}\n\
             portreeve_request_seconds_bucket{{app=\"web\",le=\"+Inf\"}} {all}\n\
             portreeve_request_seconds_sum{{app=\"web\"}} 1.5\n\
             portreeve_generation{{app=\"web\"}} 3\nportreeve_proxies 1\n",
            all = fast + slow,
        )
    }

    fn counters(text: &str) -> Counters {
        read(text).remove(&"web".parse().unwrap()).unwrap()
    }

    #[test]
    fn rates_are_what_was_added_between_two_looks() {
        let (before, after) = (counters(&text(100, 0, 100, 0)), counters(&text(280, 20, 199, 101)));
        let rates = after.since(&before, 2.0);
        assert_eq!((rates.requests, rates.errors), (100.0, 0.1));
        assert!(rates.p50.is_some_and(|p50| (p50 - 0.01).abs() < 0.002), "{rates:?}");
        assert!(rates.p99.is_some_and(|p99| (p99 - 0.098).abs() < 0.002), "{rates:?}");
    }

    #[test]
    fn nothing_done_has_no_latency_and_a_new_supervisor_no_negative_rate() {
        let (few, many) = (counters(&text(1, 0, 1, 0)), counters(&text(9, 0, 9, 0)));
        assert_eq!(few.since(&few, 1.0), Rates::default());
        assert_eq!(few.since(&many, 1.0), Rates::default());
    }

    #[test]
    fn what_is_beyond_the_last_bound_counts_as_that_bound() {
        assert_eq!(quantile(&[(0.1, 0.0), (f64::INFINITY, 5.0)], 0.5), Some(0.1));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn text_that_is_no_metric_is_passed_over() {
        assert!(read("nonsense\n{} 1\nx{app=\"\"} 1\nportreeve_proxies 1\n").is_empty());
    }
}
