use std::time::Duration;

use super::super::exposition::{Value, render};
use super::super::strict_text;
use super::*;

fn web(metrics: &ExchangeMetrics) -> AppMetrics {
    metrics.app(&"web".parse().unwrap())
}

/// The value of one series, as in its line of the text.
fn value(metrics: &ExchangeMetrics, series: &str) -> u64 {
    let text = render(metrics.gather());
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

#[test]
fn the_exposition_is_valid_and_complete_before_the_first_exchange() {
    let metrics = ExchangeMetrics::new();
    let _ = (web(&metrics), metrics.no_app(), metrics.client_connections("[::1]:80".parse().unwrap()));
    web(&metrics).upstream_fault("connect");
    let text = render(metrics.gather());
    strict_text::accept(&text);
    for name in [
        "portreeve_requests_total{app=\"-\",code_class=\"5xx\"} 0",
        "portreeve_requests_total{app=\"web\",code_class=\"2xx\"} 0",
        "portreeve_request_seconds_bucket{app=\"web\",le=\"0.0005\"} 0",
        "portreeve_inflight{app=\"web\"} 0",
        "portreeve_held_requests{app=\"web\"} 0",
        "portreeve_held_total{app=\"web\",outcome=\"overflow\"} 0",
        "portreeve_queue_seconds_count{app=\"web\"} 0",
        "portreeve_retries_total{app=\"web\",rule=\"R3\"} 0",
        "portreeve_upstream_faults_total{app=\"web\",kind=\"connect\"} 1",
        "portreeve_client_connections{listener=\"[::1]:80\"} 0",
        "portreeve_access_log_dropped_total 0",
        "portreeve_clients_cut_total{why=\"write-stall\"} 0",
        "portreeve_dispatch_after_quiesce_total 0",
        "portreeve_upstream_reset_stopping_total 0",
        "portreeve_close_unread_total 0",
    ] {
        assert!(text.lines().any(|line| line == name), "no {name} in\n{text}");
    }
}

#[test]
fn an_exchange_is_counted_by_status_class_and_time() {
    let metrics = ExchangeMetrics::new();
    let app = web(&metrics);
    for status in [101, 200, 204, 304, 404, 499, 502, 599, 999, 0] {
        app.finish(status, Duration::from_millis(3));
    }
    let count = |class| value(&metrics, &format!("portreeve_requests_total{{app=\"web\",code_class=\"{class}\"}}"));
    assert_eq!(["1xx", "2xx", "3xx", "4xx", "5xx"].map(count), [2, 2, 1, 2, 3]);
    assert_eq!(value(&metrics, "portreeve_request_seconds_bucket{app=\"web\",le=\"0.0025\"}"), 0);
    assert_eq!(value(&metrics, "portreeve_request_seconds_bucket{app=\"web\",le=\"0.005\"}"), 10);
}

#[test]
fn gauges_follow_what_is_alive() {
    let metrics = ExchangeMetrics::new();
    let (app, open) = (web(&metrics), metrics.client_connections("127.0.0.1:80".parse().unwrap()));
    let show = || {
        ["portreeve_inflight{app=\"web\"}", "portreeve_client_connections{listener=\"127.0.0.1:80\"}"]
            .map(|series| value(&metrics, series))
    };
    let (first, second, connection) = (app.begin(), app.begin(), open.raise());
    assert_eq!(show(), [2, 1]);
    drop((first, connection));
    assert_eq!(show(), [1, 0]);
    drop(second);
    assert_eq!(show(), [0, 0]);
}

#[test]
fn a_held_request_is_counted_once_by_how_it_ended() {
    let metrics = ExchangeMetrics::new();
    let app = web(&metrics);
    for end in [HoldEnd::Served, HoldEnd::Timeout, HoldEnd::Overflow, HoldEnd::Gone] {
        let held = app.hold();
        assert_eq!(value(&metrics, "portreeve_held_requests{app=\"web\"}"), 1);
        held.end(end);
        let series = format!("portreeve_held_total{{app=\"web\",outcome=\"{}\"}}", end.label());
        assert_eq!(value(&metrics, &series), 1, "{series}");
    }
    drop(app.hold());
    assert_eq!(value(&metrics, "portreeve_held_total{app=\"web\",outcome=\"gone\"}"), 2);
    assert_eq!(value(&metrics, "portreeve_held_requests{app=\"web\"}"), 0);
}

#[test]
fn retries_are_counted_by_rule() {
    let metrics = ExchangeMetrics::new();
    for rule in [RetryRule::NotConnected, RetryRule::NotSent, RetryRule::Repeatable] {
        web(&metrics).retry(rule);
        let series = format!("portreeve_retries_total{{app=\"web\",rule=\"{}\"}}", rule.label());
        assert_eq!(value(&metrics, &series), 1, "{series}");
    }
}

#[test]
fn handles_resolved_twice_count_into_the_same_series() {
    let metrics = ExchangeMetrics::new();
    web(&metrics).claimed(Duration::from_secs(1));
    web(&metrics.clone()).claimed(Duration::from_secs(2));
    let families = metrics.gather();
    let queue = families.iter().find(|family| family.name == "portreeve_queue_seconds").unwrap();
    assert!(matches!(queue.samples[0].value, Value::Histogram { count: 2, sum, .. } if (sum - 3.0).abs() < 1e-9));
}
