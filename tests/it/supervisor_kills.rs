//! The supervisor may be killed: proxy and workers serve on, and the next one takes all of it over.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::process::{self, Process};
use crate::harness::{App, Failure, Load, Portreeve, Running, SOON, program, until, worker};
use crate::tools;
use crate::upgrades::a_drain_keeps_its_deadline;

impl Running {
    /// Kills the supervisor, and waits until another one answers.
    #[track_caller]
    pub(crate) fn kill_supervisor(&self) {
        let before = self.status().pid;
        process::kill(before);
        until(SOON, "another supervisor answers", || (self.try_status().ok()?.pid != before).then_some(()));
    }
}

#[track_caller]
fn kills_without_a_loss(times: usize) {
    let running = Portreeve::new().kept().https().app("web", worker().workers(2)).start();
    let (pids, proxy) = (running.pids("web", 2), running.proxy());
    let load = Load::new().clients(4, &running.http()).clients(2, &running.https()).clients(2, &running.h2()).start();
    let began = Instant::now();
    for _ in 0..times {
        running.kill_supervisor();
        load.goes_on(20);
        running.proxy();
    }
    let took = began.elapsed();
    let tally = load.finish();
    println!("{times} kills of the supervisor in {took:?}: {tally}");
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert_eq!(running.pids("web", 2), pids, "no worker was touched");
    assert_eq!(running.proxy(), proxy, "nor the proxy");
    assert_eq!(tally.connections, 8, "no client's connection ended: {tally}");
}

#[test]
fn a_supervisor_that_is_killed_costs_nobody_anything() {
    kills_without_a_loss(10);
}

#[test]
#[ignore = "takes a minute; for the figures"]
fn fifty_supervisors_that_are_killed_cost_nobody_anything() {
    kills_without_a_loss(50);
}

#[test]
fn after_a_kill_everything_can_be_done_that_could_be_before() {
    let mut running = Portreeve::new().kept().app("web", worker().workers(2)).start();
    assert_eq!(running.cli(&["drain", "web:0"]).code, 0);
    running.kill_supervisor();
    let states: Vec<_> = running.status().app("web").workers.iter().map(|worker| worker.state.clone()).collect();
    assert_eq!(states, ["drained", "serving"]);
    assert_eq!(running.cli(&["undrain", "web"]).code, 0);
    let before = running.pids("web", 2);
    process::kill(before[1]);
    until(SOON, "a worker that dies is replaced", || (running.pids("web", 2)[1] != before[1]).then_some(()));
    assert_eq!(running.reload_live(), 2);
    running.configure("app.web.workers", 3);
    running.reload_live();
    running.serving("web", 3);
    let said = running.cli(&["upgrade"]);
    assert_eq!(said.code, 0, "{}", said.text);
    running.kill_supervisor();
    running.serving("web", 3);
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn a_supervisor_and_a_proxy_that_are_killed_together_are_replaced_on_the_same_sockets() {
    let running = Portreeve::new().kept().app("web", worker().workers(2)).start();
    let (pids, proxy, supervisor) = (running.pids("web", 2), running.proxy(), running.status().pid);
    let load = Load::new().clients(6, &running.http()).start();
    process::kill(supervisor);
    process::kill(proxy);
    running.proxy_after(proxy);
    load.goes_on(50);
    let tally = load.finish();
    let plain = |failure: &Failure| matches!(failure, Failure::Connect(text) if text.contains("refused"));
    assert!(!tally.failures.iter().any(|one| plain(&one.failure)), "{tally}");
    assert!(tally.failures.len() <= 6 * 2, "only what was in the proxy fails: {tally}");
    tally.assert_each_order_once(running.ledger());
    assert_eq!(running.pids("web", 2), pids, "no worker was touched");
}

#[test]
fn a_worker_that_dies_while_nobody_looks_is_replaced() {
    let running = Portreeve::new().kept().app("web", worker().workers(2)).start();
    let (before, supervisor) = (running.pids("web", 2), running.status().pid);
    process::kill(supervisor);
    process::kill(before[0]);
    until(SOON, "another worker serves", || {
        let serving =
            running.try_status().ok()?.app("web").serving().into_iter().filter_map(|one| one.pid).collect::<Vec<_>>();
        (serving.len() == 2 && serving[0] != before[0]).then_some(())
    });
    assert_eq!(running.pids("web", 2)[1], before[1]);
}

#[test]
fn a_drain_goes_on_over_a_kill_until_the_deadline_that_it_had() {
    let mut running = Portreeve::new().kept().app("web", worker().set("drain_timeout", "3s")).start();
    a_drain_keeps_its_deadline(&mut running, [1, 6].map(Duration::from_secs), Running::kill_supervisor);
}

#[test]
fn workers_that_are_to_stop_with_their_supervisor_do_and_the_next_one_starts_others() {
    let keep = worker().set("path", "/keep");
    let running =
        Portreeve::new().kept().app("web", worker().set("on_supervisor_death", "stop")).app("keep", keep).start();
    let [stops, keeps] = ["web", "keep"].map(|app| Process::find(running.pids(app, 1)[0]).unwrap());
    running.upgrade();
    assert!(stops.is_alive(), "an upgrade is no death");
    running.kill_supervisor();
    assert!(stops.ends_within(SOON));
    until(SOON, "another worker serves", || (running.pids("web", 1)[0] != stops.pid).then_some(()));
    assert!(keeps.is_alive());
    assert_eq!((running.get("/whoami").status, running.get("/keep/whoami").status), (200, 404));
}

#[test]
fn where_all_is_to_stop_with_a_supervisor_that_nobody_starts_again_nothing_is_left() {
    let mut running = Portreeve::new().app("web", worker().workers(2).set("on_supervisor_death", "stop")).start();
    let workers: Vec<_> = running.pids("web", 2).into_iter().map(|pid| Process::find(pid).unwrap()).collect();
    let proxy = Process::find(running.proxy()).unwrap();
    process::kill(running.pid());
    assert_eq!(running.ended(SOON).code(), None);
    assert!(workers.iter().all(|worker| worker.ends_within(SOON)));
    assert!(proxy.ends_within(SOON));
}

/// An app of `tests/apps` with Node, ready when it says so.
fn node() -> App {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/esm");
    let env = toml::Table::from_iter([("HABIT".to_owned(), "metrics".into())]);
    program(&["node", "server.mjs"])
        .set("directory", folder.display().to_string())
        .set("ready", "ipc")
        .set("start_timeout", "20s")
        .set("env", env)
}

#[test]
fn a_node_worker_lives_through_an_upgrade_and_a_kill_with_its_channel() {
    if !tools::need("node") {
        return;
    }
    let running = Portreeve::new().kept().app("web", node()).start();
    let old = Process::find(running.pids("web", 1)[0]).unwrap();
    assert_eq!(running.cli(&["upgrade"]).code, 0);
    running.kill_supervisor();
    assert_eq!(running.get("/whoami").json()["connected"], true);
    assert!(old.is_alive());
    running.reload_live();
    assert!(old.ends_within(SOON));
    running.output().line(&["web 1.0 ", "closed because of a message"]);
    assert!(!running.output().stdout().contains("the channel is closed"), "it was open to the last");
}
