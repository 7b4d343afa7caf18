//! Workers that need too much memory are replaced before they hurt anybody.

use toml::{Table, Value};

use crate::harness::process::Process;
use crate::harness::{App, Load, Portreeve, Running, SOON, until, worker};

/// More than the scripted worker needs by itself.
const SOFT: &str = "80MiB";

/// Enough to be beyond.
const LEAK: &str = "/leak?bytes=100000000";

fn memory(settings: &[(&str, &str)]) -> Table {
    settings.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

fn bounded(settings: &[(&str, &str)]) -> App {
    worker().set("memory", memory(settings))
}

/// What the status says of the worker in slot 0.
fn told(running: &Running) -> serde_json::Value {
    let reply = running.admin(http::Method::GET, "/v1/status").unwrap();
    let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    status["apps"][0]["workers"][0].clone()
}

#[test]
fn a_worker_that_leaks_is_replaced_under_load_without_a_failed_request() {
    let running = Portreeve::new().app("web", bounded(&[("soft", SOFT), ("interval", "100ms")])).start();
    let load = Load::new().clients(6, &running.http()).start();
    for _ in 0..4 {
        let before = running.pids("web", 1)[0];
        assert_eq!(running.get(LEAK).status, 200);
        until(SOON, "another worker has taken over", || (running.pids("web", 1)[0] != before).then_some(()));
        load.goes_on(20);
    }
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    let status = running.status();
    let app = status.app("web");
    assert_eq!(app.generation, Some(1), "no reload");
    let recycled = app.exits.iter().filter(|exit| exit.cause == "recycled").count();
    assert!(recycled >= 3, "{:?}", app.exits);
}

#[test]
fn a_peak_that_is_within_the_limit_replaces_nobody_and_is_told_of() {
    let running = Portreeve::new().app("web", bounded(&[("soft", "300MiB"), ("interval", "100ms")])).start();
    let before = running.pids("web", 1);
    assert_eq!(running.get(LEAK).status, 200);
    let told = until(SOON, "it is measured", || {
        let told = told(&running);
        (told["memory_max"].as_u64()? > 100_000_000).then_some(told)
    });
    assert_eq!((told["memory_soft"].as_u64(), told["memory_hard"].as_u64()), (Some(300 << 20), None));
    assert!(["rss", "cgroup"].contains(&told["memory_metric"].as_str().unwrap()), "{told}");
    assert_eq!(running.pids("web", 1), before);
}

#[test]
fn beyond_the_hard_limit_nobody_waits_for_what_is_in_flight() {
    let app = bounded(&[("hard", SOFT), ("interval", "100ms")]).set("drain_timeout", "10m");
    let mut running = Portreeve::new().app("web", app).start();
    running.excuse("portreeve_drain_forced_total");
    running.excuse("portreeve_upstream_reset_stopping_total");
    let old = Process::find(running.pids("web", 1)[0]).unwrap();
    let hanging = running.http().get_meanwhile("/hang");
    running.in_flight("web", 1.0);
    // Where the kernel enforces the limit there may be no answer to this.
    let _ = running.http().try_get(LEAK);
    assert!(old.ends_within(SOON), "{old:?}");
    assert_ne!(hanging.join().unwrap().ok().map(|reply| reply.status), Some(200));
    assert_ne!(running.pids("web", 1)[0], old.pid);
}
