//! A worker that hangs or is killed loses only what it had read: the rest is handled by others, whatever it is.

use std::time::Duration;

use rustix::process::Signal;
use toml::{Table, Value};

use crate::harness::{App, Load, Portreeve, Running, SOON, process, until, worker};

/// Workers that are asked often, and believed to hang soon.
fn watched(count: usize) -> App {
    let live = [("interval", "20ms"), ("timeout", "200ms"), ("hung_after", "500ms"), ("replace_after", "never")];
    let mut live = Table::from_iter(live.map(|(key, value)| (key.to_owned(), Value::from(value))));
    live.insert("failures".into(), Value::from(2));
    worker().workers(count).set("live", live)
}

fn retried(running: &Running) -> f64 {
    running.metrics().sum("portreeve_retries_total", &[("app", "web"), ("rule", "R5")])
}

/// Waits until the worker has gone, and another one serves in its place.
fn replaced(running: &Running, slot: usize, before: u32) {
    until(SOON, "another worker is in its place", || {
        let status = running.status();
        let app = status.app("web");
        let sitter = app.workers.iter().find(|one| one.slot as usize == slot && one.state == "serving")?;
        let is_gone = app.exits.iter().any(|exit| exit.pid == before);
        (sitter.pid != Some(before) && is_gone).then_some(())
    });
}

#[test]
fn what_a_worker_that_hangs_has_not_read_is_handled_once_by_others() {
    let mut running = Portreeve::new().app("web", watched(2)).start();
    let pids = running.pids("web", 2);
    // Connections to both of them, all at rest.
    let warm: Vec<_> = (0..12).map(|_| running.http().get_meanwhile("/slow?ms=100")).collect();
    for warm in warm {
        assert_eq!(warm.join().unwrap().unwrap().status, 200);
    }
    process::send(pids[1], Signal::STOP);
    let load = Load::new().clients(12, &running.http()).clients(4, &running.http()).start();
    replaced(&running, 1, pids[1]);
    load.goes_on(100);
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert!(retried(&running) >= 1.0, "some were sent to the one that hung");
    running.excuse("portreeve_drain_forced_total");
}

#[test]
fn nobody_waits_for_a_worker_that_hangs_for_as_long_as_a_drain_may_take() {
    let mut running =
        Portreeve::new().app("web", watched(1).set("drain_timeout", "1h").set("kill_timeout", "1h")).start();
    let pid = running.pids("web", 1)[0];
    process::send(pid, Signal::STOP);
    let target = running.http();
    let asked = std::thread::spawn(move || target.try_post("/once?id=only", "an order"));
    replaced(&running, 0, pid);
    assert_eq!(asked.join().unwrap().unwrap().status, 200, "its successor has answered");
    assert_eq!(running.ledger().count("only"), 1);
    running.excuse("portreeve_drain_forced_total");
}

#[test]
fn what_a_worker_has_begun_is_not_handled_twice_when_it_is_killed() {
    let mut running = Portreeve::new().app("web", watched(2).set("drain_timeout", "50ms")).start();
    let target = running.http();
    let begun = std::thread::spawn(move || target.try_post("/hang", "read"));
    until(SOON, "it is in flight", || {
        running.status().app("web").workers.iter().any(|worker| worker.inflight == 1).then_some(())
    });
    running.reload_live();
    assert_eq!(begun.join().unwrap().unwrap().status, 502);
    assert!(retried(&running) < 1.0);
    running.excuse("portreeve_drain_forced_total");
    running.excuse("portreeve_upstream_reset_stopping_total");
}

#[test]
fn on_a_unix_socket_a_crash_loses_no_request_without_a_body_that_was_not_read() {
    let running = Portreeve::new().app("web", worker().workers(1).set("listen", "unix")).start();
    let pid = running.pids("web", 1)[0];
    process::send(pid, Signal::STOP);
    let asked: Vec<_> = (0..8)
        .map(|number| {
            let target = running.http();
            std::thread::spawn(move || target.try_post(&format!("/once?id=bare-{number}"), ""))
        })
        .collect();
    until(Duration::from_secs(20), "all are in flight", || {
        (running.status().app("web").workers[0].inflight == 8).then_some(())
    });
    process::kill(pid);
    for (number, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked.join().unwrap().unwrap().status, 200);
        assert_eq!(running.ledger().count(&format!("bare-{number}")), 1);
    }
    assert!(retried(&running) >= 8.0);
}
