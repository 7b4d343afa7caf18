use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts};

use super::super::strict_text;
use super::*;

/// A registry with one metric of each kind.
fn registry() -> Registry {
    let registry = Registry::new();
    let counters = IntCounterVec::new(Opts::new("x_total", "Things."), &["slot", "app"]).unwrap();
    counters.with_label_values(&["0", "web"]).inc_by(3);
    let gauge = IntGauge::new("x_open", "Open things.").unwrap();
    gauge.set(-2);
    let seconds = Histogram::with_opts(HistogramOpts::new("x_seconds", "Time.").buckets(vec![0.5, 1.0])).unwrap();
    for value in [0.25, 0.75, 7.0] {
        seconds.observe(value);
    }
    registry.register(Box::new(counters)).unwrap();
    registry.register(Box::new(gauge)).unwrap();
    registry.register(Box::new(seconds)).unwrap();
    registry
}

fn family(name: &str, kind: Kind, samples: Vec<Sample>) -> Family {
    Family { name: name.into(), help: "Help.".into(), kind, samples }
}

fn number(labels: &[(&str, &str)], value: f64) -> Sample {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sample { labels, value: Value::Number(value) }
}

fn histogram(count: u64, sum: f64, buckets: &[(f64, u64)]) -> Sample {
    Sample { labels: Vec::new(), value: Value::Histogram { count, sum, buckets: buckets.to_vec() } }
}

#[test]
fn a_registry_is_gathered_in_order_with_sorted_labels() {
    let families = gather(&registry());
    assert_eq!(
        families.iter().map(|family| family.name.as_str()).collect::<Vec<_>>(),
        ["x_open", "x_seconds", "x_total"]
    );
    assert_eq!(families[0].samples, [number(&[], -2.0)]);
    assert_eq!(families[1].samples, [histogram(3, 8.0, &[(0.5, 1), (1.0, 2)])]);
    assert_eq!(families[2].samples, [number(&[("app", "web"), ("slot", "0")], 3.0)]);
}

#[test]
fn what_is_gathered_survives_json() {
    let families = gather(&registry());
    let text = serde_json::to_string(&families).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Family>>(&text).unwrap(), families);
}

#[test]
fn the_text_names_kinds_and_closes_histograms_with_infinity() {
    let text = render(gather(&registry()));
    strict_text::accept(&text);
    for line in [
        "# HELP x_total Things.",
        "# TYPE x_total counter",
        "x_total{app=\"web\",slot=\"0\"} 3",
        "# TYPE x_open gauge",
        "x_open -2",
        "# TYPE x_seconds histogram",
        "x_seconds_bucket{le=\"0.5\"} 1",
        "x_seconds_bucket{le=\"1\"} 2",
        "x_seconds_bucket{le=\"+Inf\"} 3",
        "x_seconds_sum 8",
        "x_seconds_count 3",
    ] {
        assert!(text.lines().any(|known| known == line), "no line {line:?} in\n{text}");
    }
}

#[test]
fn merging_sums_equal_series_and_keeps_the_others() {
    let web = [("app", "web")];
    let mut sum = vec![family("a", Kind::Counter, vec![number(&web, 1.0)])];
    let api = number(&[("app", "api")], 5.0);
    merge(
        &mut sum,
        vec![
            family("a", Kind::Counter, vec![number(&web, 2.0), api.clone()]),
            family("b", Kind::Gauge, vec![number(&[], 7.0)]),
        ],
    );
    assert_eq!(sum[0].samples, [number(&web, 3.0), api]);
    assert_eq!(sum[1], family("b", Kind::Gauge, vec![number(&[], 7.0)]));
}

#[test]
fn merging_a_registry_with_itself_doubles_it() {
    let mut sum = gather(&registry());
    merge(&mut sum, gather(&registry()));
    assert_eq!(sum[1].samples, [histogram(6, 16.0, &[(0.5, 2), (1.0, 4)])]);
    assert_eq!(sum[2].samples[0].value, Value::Number(6.0));
}

#[test]
fn histograms_with_different_bounds_keep_the_bounds_they_share() {
    let mut sum = vec![family("h", Kind::Histogram, vec![histogram(4, 4.0, &[(0.5, 1), (1.0, 2), (2.0, 4)])])];
    merge(&mut sum, vec![family("h", Kind::Histogram, vec![histogram(10, 2.5, &[(0.5, 3), (2.0, 9), (5.0, 10)])])]);
    assert_eq!(sum[0].samples, [histogram(14, 6.5, &[(0.5, 4), (2.0, 13)])]);
    strict_text::accept(&render(sum));
}

#[test]
fn a_family_that_changed_its_kind_is_left_out() {
    let counter = family("a_total", Kind::Counter, vec![number(&[], 1.0)]);
    let mut sum = vec![counter.clone()];
    merge(&mut sum, vec![family("a_total", Kind::Gauge, vec![number(&[], 9.0)])]);
    assert_eq!(sum, [counter]);
}

#[test]
fn a_dead_proxy_leaves_its_counters_and_histograms() {
    let left = counters_only(gather(&registry()));
    assert_eq!(left.iter().map(|family| family.name.as_str()).collect::<Vec<_>>(), ["x_seconds", "x_total"]);
}

#[test]
fn the_text_is_valid_whatever_is_in_the_labels() {
    let hostile = "a\"b\\c\nd}{,=\u{1f600}\\";
    let families = vec![family("a_total", Kind::Counter, vec![number(&[("x", hostile), ("y", "")], 1.5)])];
    let text = render(families);
    strict_text::accept(&text);
    assert!(text.contains("x=\"a\\\"b\\\\c\\nd}{,=\u{1f600}\\\\\""), "{text}");
}

#[test]
fn families_and_series_given_twice_are_rendered_once() {
    let twice = family("a_total", Kind::Counter, vec![number(&[], 1.0), number(&[], 2.0)]);
    let text = render(vec![twice.clone(), twice]);
    strict_text::accept(&text);
    assert!(text.ends_with("\na_total 6\n"), "{text}");
}

#[test]
fn a_family_without_samples_is_not_rendered() {
    assert_eq!(render(vec![family("a_total", Kind::Counter, Vec::new())]), "");
}
