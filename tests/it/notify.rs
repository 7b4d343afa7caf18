//! What workers say of themselves, as services tell systemd: that they stop, hang, reload, or need more time.

use std::net::SocketAddr;
use std::time::Duration;

use toml::{Table, Value};

use crate::harness::{App, Load, Portreeve, Running, SOON, Target, program, until, worker};

/// A worker, as the supervisor would reach it.
fn direct(running: &Running, slot: u32) -> Target {
    let status = running.status();
    let worker = status.app("web").workers.iter().find(|worker| worker.slot == slot).expect("there is such a slot");
    Target::Plain(SocketAddr::from(([127, 0, 0, 1], worker.port.expect("it listens on a port"))))
}

/// Waits for another worker in the slot, and for the record of the one before, which says why it went.
#[track_caller]
fn replaced(running: &Running, slot: u32, before: u32, why: (&str, Option<&str>)) {
    until(SOON, "the slot has another worker", || {
        let status = running.try_status().ok()?;
        let mut workers = status.app("web").workers.iter();
        workers.find(|one| one.slot == slot && one.is_serving()).and_then(|one| one.pid).filter(|pid| *pid != before)
    });
    let exit = until(SOON, "the end is on record", || {
        running.status().app("web").exits.iter().find(|exit| exit.pid == before).cloned()
    });
    assert_eq!((exit.cause.as_str(), exit.reason.as_deref()), why, "{exit:?}");
}

fn says(running: &Running) -> Option<String> {
    running.serving("web", 1)[0].says.clone()
}

/// A worker that has to say every 2 s that it is well, and does so.
fn guarded() -> App {
    let live = Table::from_iter([("dump_signal".to_owned(), Value::from("SIGUSR2"))]);
    worker().says("feeds=50ms").says("dumps").set("watchdog", "2s").set("live", live)
}

#[test]
fn a_worker_that_says_that_it_stops_gets_no_more_requests_and_is_replaced_without_a_loss() {
    let app = worker().workers(2).set("notify", true).set("kill_timeout", "1s");
    let running = Portreeve::new().app("web", app).start();
    let pids = running.pids("web", 2);
    let load = Load::new().clients(4, &running.http()).start();
    let slow = direct(&running, 1).get_meanwhile("/slow?ms=300");
    direct(&running, 1).get("/tell?say=STOPPING=1;STATUS=bye");
    until(SOON, "it is out of routing", || {
        let status = running.try_status().ok()?;
        let mut serving = status.app("web").workers.iter().filter(|one| one.is_serving());
        (!serving.any(|one| one.pid == Some(pids[1]))).then_some(())
    });
    replaced(&running, 1, pids[1], ("left", None));
    assert_eq!(slow.join().unwrap().unwrap().status, 200, "what it had in hand it has finished");
    load.goes_on(50);
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert_eq!(running.pids("web", 2)[0], pids[0]);
    let counted = running.metrics().value("portreeve_worker_exits_total", &[("app", "web"), ("cause", "left")]);
    assert_eq!(counted, Some(1.0));
}

#[test]
fn a_worker_that_falls_silent_is_asked_for_a_dump_and_replaced_and_the_record_says_why() {
    let running = Portreeve::new().app("web", guarded()).start();
    let pid = running.pids("web", 1)[0];
    let environment = running.get("/environment").json();
    assert_eq!(environment["WATCHDOG_USEC"], "2000000");
    assert_eq!(environment["WATCHDOG_PID"], pid.to_string());
    let load = Load::new().clients(2, &running.http()).start();
    running.get("/mute");
    replaced(&running, 0, pid, ("recycled", Some("watchdog")));
    running.output().line(&[&format!("dump of {pid}")]);
    let said = running.output().stderr();
    assert!(said.contains("worker is unready worker=web 1.0 reason=it has not said WATCHDOG=1 for 2s"), "{said}");
    load.goes_on(20);
    load.finish().assert_nothing_failed();
}

#[test]
fn a_worker_that_says_that_it_hangs_is_replaced_at_once() {
    let running = Portreeve::new().app("web", worker().set("notify", true)).start();
    let pid = running.pids("web", 1)[0];
    running.get("/tell?say=WATCHDOG=trigger");
    replaced(&running, 0, pid, ("recycled", Some("watchdog")));
}

#[test]
fn a_worker_that_asks_for_a_watchdog_has_one() {
    let running = Portreeve::new().app("web", worker().set("notify", true)).start();
    let pid = running.pids("web", 1)[0];
    running.get("/tell?say=WATCHDOG_USEC=300000");
    replaced(&running, 0, pid, ("recycled", Some("watchdog")));
}

#[test]
fn a_worker_that_asks_for_more_time_gets_it() {
    let app = worker().set("notify", true).set("start_timeout", "400ms");
    let app = app.says("tells-first=EXTEND_TIMEOUT_USEC=20000000").says("late=1500ms");
    let running = Portreeve::new().app("web", app).start();
    assert_eq!(running.serving("web", 1)[0].restarts, 0);
    assert!(running.status().app("web").exits.is_empty());
}

#[test]
fn that_a_worker_reloads_is_shown_and_changes_nothing() {
    let running = Portreeve::new().app("web", worker().set("notify", true)).start();
    let pids = running.pids("web", 1);
    let shows = |wanted: &str| until(SOON, wanted, || (says(&running).as_deref() == Some(wanted)).then_some(()));
    running.get("/tell?say=RELOADING=1;STATUS=new-list");
    shows("reloading: new-list");
    running.get("/tell?say=READY=1");
    shows("new-list");
    assert_eq!(running.pids("web", 1), pids);
}

#[test]
fn a_worker_that_closes_the_descriptor_of_its_word_has_failed_at_once() {
    let ready = Table::from_iter([("fd".to_owned(), Value::from(4))]);
    let app = program(&["sh", "-c", "exec 4>&-; exec sleep 1000"]).set("ready", ready).set("start_timeout", "10m");
    let running = Portreeve::new().app("web", app).launch();
    let failure = until(Duration::from_secs(20), "it is given up", || running.status().app("web").last_failure.clone());
    assert!(
        failure.contains("will not be ready: it closed the descriptor of `ready` without a line on it"),
        "{failure}"
    );
}

#[test]
fn a_worker_that_ends_before_its_word_is_told_of_by_its_end() {
    let ready = Table::from_iter([("fd".to_owned(), Value::from(4))]);
    let app = program(&["sh", "-c", "exit 7"]).set("ready", ready).set("start_timeout", "10m");
    let running = Portreeve::new().app("web", app).launch();
    let failure = until(SOON, "it has failed", || running.status().app("web").last_failure.clone());
    assert!(failure.contains("exited with exit code 7 before it was ready"), "{failure}");
}
