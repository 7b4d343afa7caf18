//! A reload replaces every worker and costs nobody anything.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::process::Process;
use crate::harness::{Load, Portreeve, SOON, until, worker};

#[test]
fn fifty_reloads_under_thirty_two_clients_lose_no_request_and_repeat_none() {
    let running = Portreeve::new().https().app("web", worker().workers(2)).start();
    let load =
        Load::new().clients(12, &running.http()).clients(10, &running.https()).clients(10, &running.h2()).start();
    let mut last = 1;
    for _ in 0..50 {
        let generation = running.reload_live();
        assert!(generation > last, "generation {generation} came after {last}");
        load.expect_generation(generation);
        load.goes_on(32);
        last = generation;
    }
    let tally = load.finish();
    println!("{tally}");
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert_eq!(tally.connections, 32, "no client's connection ended: {tally}");
    assert!(tally.generations.len() >= 50, "every generation served: {:?}", tally.generations);
}

#[test]
fn a_hangup_signal_replaces_the_generation() {
    let mut running = Portreeve::new().app("web", worker().workers(2)).start();
    let old: Vec<_> = running.pids("web", 2).into_iter().filter_map(Process::find).collect();
    running.signal(Signal::HUP);
    until(SOON, "another generation answers", || (running.get("/whoami").generation()? > 1).then_some(()));
    for process in old {
        assert!(process.ends_within(SOON), "{process:?} is of the old generation");
    }
    assert_eq!(running.pids("web", 2).len(), 2);
}

#[test]
fn a_request_in_flight_ends_on_the_generation_where_it_began() {
    let running = Portreeve::new().app("web", worker()).start();
    let slow = running.http().get_meanwhile("/slow?ms=1500");
    running.in_flight("web", 1.0);
    let old = Process::find(running.pids("web", 1)[0]).unwrap();
    let generation = running.reload_live();
    assert!(!slow.is_finished(), "the reload does not wait for the old generation");
    assert_eq!(running.get("/whoami").generation(), Some(generation));
    assert!(old.is_alive(), "a worker is not stopped while it has a request");
    assert_eq!(slow.join().unwrap().unwrap().generation(), Some(1));
    assert!(old.ends_within(SOON));
}

#[test]
fn a_drain_that_takes_too_long_is_forced_and_counted() {
    let mut running = Portreeve::new().app("web", worker().set("drain_timeout", "300ms")).start();
    let target = running.http();
    // A GET would be repeated on the new worker, and hang there.
    let hanging = std::thread::spawn(move || target.try_post("/hang", ""));
    running.in_flight("web", 1.0);
    let old = Process::find(running.pids("web", 1)[0]).unwrap();
    running.reload_live();
    assert!(old.ends_within(SOON));
    assert_eq!(hanging.join().unwrap().unwrap().status, 502);
    assert!(running.metrics().sum("portreeve_drain_forced_total", &[]) >= 1.0);
    running.excuse("portreeve_drain_forced_total");
    running.excuse("portreeve_upstream_reset_stopping_total");
}

#[test]
fn a_worker_that_ignores_the_stop_signal_is_killed_with_its_children() {
    let settings = worker().says("ignore-term").set("kill_timeout", "300ms");
    let running = Portreeve::new().app("web", settings).start();
    let old = Process::find(running.pids("web", 1)[0]).unwrap();
    let child = running.get("/fork").json()["pid"].as_u64().unwrap();
    let child = Process::find(u32::try_from(child).unwrap()).unwrap();
    running.reload_live();
    assert!(old.ends_within(SOON), "the worker is killed");
    assert!(child.ends_within(SOON), "what it started is killed as well");
}

#[test]
fn a_newer_reload_supersedes_one_that_is_still_starting() {
    let running = Portreeve::new().app("web", worker()).start();
    running.site("web").rewrite(&["late=60s"]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| running.cli(&["reload"]));
        until(SOON, "the first reload has begun", || {
            let status = running.status();
            status.app("web").workers.iter().any(|worker| worker.generation > 1).then_some(())
        });
        running.site("web").rewrite(&[]);
        let generation = running.reload_live();
        let said = first.join().unwrap();
        assert_eq!(said.code, 3, "{}", said.text);
        assert_eq!(running.get("/whoami").generation(), Some(generation));
    });
}

#[test]
fn a_reload_of_one_app_leaves_the_others_alone() {
    let api = worker().set("path", "/whoami");
    let running = Portreeve::new().app("web", worker()).app("api", api).start();
    let (web, api) = (running.pids("web", 1), running.pids("api", 1));
    let said = running.cli(&["reload", "api"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(running.pids("web", 1), web);
    assert_ne!(running.pids("api", 1), api);
    assert_eq!(running.get("/whoami").header("worker-app"), Some("api"));
}

#[test]
fn a_reload_takes_the_changed_configuration() {
    let mut running = Portreeve::new().app("web", worker()).start();
    assert_eq!(running.get("/whoami").json()["colour"], serde_json::Value::Null);
    running.configure("app.web.workers", 3);
    running.configure("app.web.env.COLOUR", "green");
    running.reload_live();
    assert_eq!(running.serving("web", 3).iter().map(|worker| worker.slot).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(running.get("/whoami").json()["colour"], "green");
}

#[test]
fn each_generation_runs_in_the_release_that_its_symlink_named_when_it_began() {
    let running = Portreeve::new().app("web", worker()).start();
    let release = running.site("web").release();
    let (first, second) = (release.with_file_name("release-1"), release.with_file_name("release-2"));
    std::fs::rename(&release, &first).unwrap();
    std::fs::create_dir(&second).unwrap();
    std::os::unix::fs::symlink(&first, &release).unwrap();
    running.reload_live();
    assert_eq!(running.get("/whoami").json()["directory"], first.to_str().unwrap());
    std::fs::remove_file(&release).unwrap();
    std::os::unix::fs::symlink(&second, &release).unwrap();
    running.reload_live();
    assert_eq!(running.get("/whoami").json()["directory"], second.to_str().unwrap());
}

#[test]
fn a_worker_that_closes_its_idle_connections_fails_no_order() {
    let settings = worker().workers(2).says("keep-alive=2").says("close-idle=2s");
    let running = Portreeve::new().app("web", settings).start();
    let load = Load::new().clients(8, &running.http()).think(Duration::from_millis(3500)).orders_only().start();
    load.goes_on(24);
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
}
