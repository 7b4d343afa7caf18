//! Workers that serve are asked on: who fails is out of routing, comes back, or is replaced, and no request notices.

use std::net::SocketAddr;

use toml::{Table, Value};

use crate::harness::{App, Load, Portreeve, Running, SOON, Target, until, worker};

/// Workers that are asked every 20 ms, with something else about how.
fn watched(count: usize, live: &[(&str, &str)]) -> App {
    let mut table = Table::from_iter([("interval", "20ms"), ("timeout", "500ms")].map(|(k, v)| (k.into(), v.into())));
    table.insert("failures".into(), Value::from(2));
    table.insert("replace_after".into(), "never".into());
    table.extend(live.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))));
    worker().workers(count).set("live", table)
}

/// A worker, as the supervisor would reach it.
fn direct(running: &Running, slot: u32) -> Target {
    let status = running.status();
    let worker = status.app("web").workers.iter().find(|worker| worker.slot == slot).expect("there is such a slot");
    Target::Plain(SocketAddr::from(([127, 0, 0, 1], worker.port.expect("it listens on a port"))))
}

fn becomes(running: &Running, slot: u32, state: &str) {
    until(SOON, &format!("slot {slot} is {state}"), || {
        let status = running.try_status().ok()?;
        status.app("web").workers.iter().any(|one| one.slot == slot && one.state == state).then_some(())
    });
}

/// Waits for this in the log.
fn said(running: &Running, text: &str) {
    until(SOON, text, || running.output().stderr().contains(text).then_some(()));
}

#[test]
fn a_worker_that_fails_its_probes_gets_no_requests_until_it_answers_again() {
    let running = Portreeve::new().app("web", watched(3, &[])).start();
    let pids = running.pids("web", 3);
    let load = Load::new().clients(6, &running.http()).start();
    let sick = direct(&running, 1);
    sick.get("/fall?ill=503");
    becomes(&running, 1, "unready");
    // What was published is in force once a request that comes later is answered.
    let asked = until(SOON, "the sick one is left alone", || {
        let pids_seen: Vec<_> = (0..30).filter_map(|_| running.get("/whoami").pid()).collect();
        (!pids_seen.contains(&pids[1])).then_some(pids_seen.len())
    });
    assert_eq!(asked, 30);
    load.goes_on(200);
    assert_eq!(running.status().app("web").state, "degraded");
    said(&running, "worker is unready worker=web 1.1 reason=GET /health answered 503");

    sick.get("/fall?ill=no");
    assert_eq!(running.pids("web", 3), pids, "nobody was restarted");
    until(SOON, "it gets requests again", || (running.get("/whoami").pid() == Some(pids[1])).then_some(()));
    // Once more: it has been closed before, and what was said of it then is void.
    sick.get("/fall?ill=500");
    becomes(&running, 1, "unready");
    sick.get("/fall?ill=no");
    running.pids("web", 3);
    running.reload_live();
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
}

#[test]
fn when_most_workers_fail_their_probes_all_of_them_keep_their_requests() {
    let running = Portreeve::new().app("web", watched(3, &[])).start();
    let load = Load::new().clients(4, &running.http()).start();
    let panic = |wanted: bool| {
        until(SOON, &format!("panic: {wanted}"), || {
            (running.status().app("web").panic_routing == wanted).then_some(())
        });
        let value = running.metrics().value("portreeve_panic_routing", &[("app", "web")]);
        assert_eq!(value, Some(f64::from(u8::from(wanted))));
    };
    panic(false);
    for slot in 0..3 {
        direct(&running, slot).get("/fall?ill=503");
    }
    panic(true);
    load.goes_on(100);
    let status = running.status();
    let app = status.app("web");
    assert_eq!(app.state, "degraded");
    said(&running, "most workers fail their probes");
    assert_eq!(running.get_metrics("/readyz").status, 200);
    for slot in 0..3 {
        direct(&running, slot).get("/fall?ill=no");
    }
    panic(false);
    running.serving("web", 3);
    load.finish().assert_nothing_failed();
    assert_eq!(running.output().stderr().matches("most workers fail their probes").count(), 1, "said once");
}

#[test]
fn a_worker_that_is_unready_for_long_is_replaced_and_no_request_fails() {
    let running = Portreeve::new().app("web", watched(3, &[("replace_after", "200ms")])).start();
    let pids = running.pids("web", 3);
    let load = Load::new().clients(6, &running.http()).start();
    direct(&running, 1).get("/fall?ill=503");
    let pid = replaced(&running, 1, pids[1], "unhealthy");
    load.goes_on(100);
    let now = running.pids("web", 3);
    assert_eq!(now, [pids[0], pid, pids[2]]);
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
}

#[test]
fn a_worker_that_hangs_is_asked_for_a_dump_and_replaced() {
    let live = [("timeout", "100ms"), ("hung_after", "1s"), ("dump_signal", "SIGUSR2")];
    let app = watched(3, &live).says("dumps").set("drain_timeout", "100ms");
    let mut running = Portreeve::new().app("web", app).start();
    let pids = running.pids("web", 3);
    let target = running.http();
    // What may not be sent twice is not tried on another worker.
    let hanging = std::thread::spawn(move || target.try_post("/hang", ""));
    let slot = until(SOON, "the request is in flight", || {
        let status = running.status();
        status.app("web").workers.iter().find(|worker| worker.inflight == 1).map(|worker| worker.slot)
    });
    let sick = pids[slot as usize];
    let load = Load::new().clients(4, &running.http()).start();
    direct(&running, slot).get("/fall?ill=silent");
    replaced(&running, slot, sick, "hung");
    running.output().line(&[&format!("dump of {sick}")]);
    load.goes_on(100);
    let tally = load.finish();
    tally.assert_nothing_failed();
    assert_eq!(hanging.join().unwrap().unwrap().status, 502, "its worker was killed");
    running.excuse("portreeve_drain_forced_total");
}

/// Waits for another worker in the slot, and for the record of the one before; returns the new one's pid.
fn replaced(running: &Running, slot: u32, before: u32, reason: &str) -> u32 {
    let pid = until(SOON, "the slot has another worker", || {
        let status = running.status();
        let mut workers = status.app("web").workers.iter();
        let sitter = workers.find(|one| one.slot == slot && one.state == "serving");
        sitter.and_then(|one| one.pid).filter(|pid| *pid != before)
    });
    let exit = until(SOON, "the end is on record", || {
        running.status().app("web").exits.iter().find(|exit| exit.pid == before).cloned()
    });
    assert_eq!((exit.cause.as_str(), exit.reason.as_deref()), ("recycled", Some(reason)), "{exit:?}");
    pid
}
