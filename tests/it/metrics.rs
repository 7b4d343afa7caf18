//! What can be measured, and what tells a load balancer or a person whether all is well.

use crate::harness::{Exposition, Portreeve, SOON, until, worker};

#[track_caller]
fn assert_value(exposition: &Exposition, name: &str, labels: &[(&str, &str)], expected: f64) {
    let value = exposition.value(name, labels);
    assert_eq!(value.map(f64::to_bits), Some(expected.to_bits()), "{name}{labels:?} is {value:?}, not {expected}");
}

#[test]
fn a_page_that_has_made_its_own_name_lead_to_loopback_reads_no_metrics() {
    use std::io::{Read, Write};
    let running = Portreeve::new().app("web", worker()).start();
    let address = running.status().metrics.expect("there is a listener for metrics");
    for (host, status) in [("evil.example", 421), ("localhost", 200)] {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        write!(socket, "GET /metrics HTTP/1.1\r\nHost: {host}:{}\r\n\r\n", address.port()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[test]
fn requests_are_counted_and_timed_by_app_and_status() {
    let running = Portreeve::new().app("web", worker()).start();
    for _ in 0..7 {
        running.get("/whoami");
    }
    running.get("/status?code=302");
    running.get("/status?code=404");
    running.get("/status?code=500");
    // A response counts once its last byte is sent, which its client may see first.
    let metrics = until(SOON, "all are counted", || {
        let metrics = running.metrics();
        (metrics.sum("portreeve_requests_total", &[("app", "web")]) >= 10.0).then_some(metrics)
    });
    for (class, count) in [("2xx", 7.0), ("3xx", 1.0), ("4xx", 1.0), ("5xx", 1.0)] {
        assert_value(&metrics, "portreeve_requests_total", &[("app", "web"), ("code_class", class)], count);
    }
    assert_value(&metrics, "portreeve_request_seconds_count", &[("app", "web")], 10.0);
    assert_value(&metrics, "portreeve_inflight", &[("app", "web")], 0.0);
    assert!(metrics.is_announced("portreeve_requests_total", "counter"));
    assert!(metrics.is_announced("portreeve_request_seconds", "histogram"));
    assert!(metrics.is_announced("portreeve_inflight", "gauge"));
}

#[test]
fn workers_generations_and_reloads_are_shown() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    running.reload_live();
    running.site("web").rewrite(&["exit=1"]);
    assert_eq!(running.reload().apps[0].outcome, "aborted");
    let metrics = running.metrics();
    let live = [("app", "web"), ("outcome", "live")];
    assert_value(&metrics, "portreeve_reloads_total", &live, 1.0);
    assert_value(&metrics, "portreeve_reloads_total", &[("app", "web"), ("outcome", "aborted")], 1.0);
    assert_value(&metrics, "portreeve_generation", &[("app", "web")], 2.0);
    assert!(metrics.sum("portreeve_worker_state", &[("app", "web"), ("state", "serving")]) >= 2.0);
    assert!(metrics.sum("portreeve_proxies", &[]) >= 1.0);
    assert_value(&metrics, "portreeve_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

#[test]
fn counters_survive_the_proxy_that_counted() {
    let running = Portreeve::new().app("web", worker()).start();
    let answered = |at_least: f64| {
        let labels = [("app", "web"), ("code_class", "2xx")];
        until(SOON, "the requests are counted", || {
            let value = running.metrics().value("portreeve_requests_total", &labels)?;
            (value >= at_least).then_some(())
        });
    };
    for _ in 0..5 {
        running.get("/whoami");
    }
    answered(5.0);
    running.proxy_after(running.kill_proxy());
    running.get("/whoami");
    answered(6.0);
}

#[test]
fn health_and_readiness_are_told_apart() {
    let running = Portreeve::new().app("web", worker().says("health=503")).launch();
    assert_eq!(running.get_metrics("/healthz").status, 200, "the supervisor lives");
    assert_eq!(running.get_metrics("/readyz").status, 503, "but the app cannot serve");
    running.site("web").rewrite(&[]);
    running.cli(&["reload"]);
    running.serving("web", 1);
    until(SOON, "it is ready", || (running.get_metrics("/readyz").status == 200).then_some(()));
    assert_eq!(running.get_metrics("/nowhere").status, 404);
}
