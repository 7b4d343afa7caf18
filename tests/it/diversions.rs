//! What is taken out of the traffic by hand costs nobody a request, and comes back.

use http::Method;

use crate::harness::{Load, Portreeve, Running, SOON, until, worker};

/// Types a verb, which has to end with 0.
#[track_caller]
fn ok(running: &Running, words: &[&str]) -> String {
    let said = running.cli(words);
    assert_eq!(said.code, 0, "{words:?}: {}", said.text);
    said.text
}

#[track_caller]
fn state(running: &Running, slot: u32) -> String {
    running.status().app("web").workers.iter().find(|worker| worker.slot == slot).unwrap().state.clone()
}

#[test]
fn a_drained_worker_gets_no_requests_stays_up_and_loses_none_until_it_is_back() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    let pids = running.pids("web", 2);
    let load = Load::new().clients(6, &running.http()).start();
    let slow = running.http().get_meanwhile("/slow?ms=400");
    assert!(ok(&running, &["drain", "web:0"]).contains("1 worker"));
    assert_eq!((state(&running, 0).as_str(), state(&running, 1).as_str()), ("drained", "serving"));
    until(SOON, "it has finished", || (running.status().app("web").workers[0].inflight == 0).then_some(()));
    for _ in 0..20 {
        assert_eq!(running.get("/whoami").pid(), Some(pids[1]));
    }
    assert_eq!(slow.join().unwrap().unwrap().status, 200);
    let drained = running.metrics().value("portreeve_diverted", &[("app", "web"), ("by", "drain")]);
    assert_eq!(drained.map(f64::to_bits), Some(1f64.to_bits()));
    ok(&running, &["undrain", "web"]);
    assert_eq!(running.pids("web", 2), pids);
    until(SOON, "it serves again", || (running.get("/whoami").pid() == Some(pids[0])).then_some(()));
    // A drain ends with its worker; the reload waits for nothing that has been drained already.
    ok(&running, &["drain", "web:1"]);
    load.goes_on(10);
    let generation = running.reload_live();
    load.goes_on(10);
    assert!(running.serving("web", 2).iter().all(|worker| worker.generation == generation));
    until(SOON, "the old ones are gone", || (running.status().app("web").workers.len() == 2).then_some(()));
    load.finish().assert_nothing_failed();
    let said = running.cli(&["drain", "web:7"]);
    assert!(said.code == 64 && said.text.contains("no worker of web serves in slot 7"), "{}", said.text);
}

#[test]
fn of_an_app_that_is_drained_as_a_whole_requests_are_turned_away_at_once() {
    let running = Portreeve::new().app("web", worker()).start();
    let pids = running.pids("web", 1);
    ok(&running, &["drain", "web"]);
    let reply = running.get("/whoami");
    assert!(reply.status == 503 && reply.header("retry-after").is_some(), "{reply:?}");
    ok(&running, &["undrain", "web"]);
    assert_eq!(running.get("/whoami").pid(), Some(pids[0]));
}

#[test]
fn a_pause_holds_requests_over_a_reload_and_the_death_of_the_proxy_and_lets_them_go_on() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    let load = Load::new().clients(6, &running.http()).start();
    ok(&running, &["pause", "web"]);
    until(SOON, "all wait", || {
        (running.metrics().value("portreeve_held_requests", &[("app", "web")])? >= 6.0).then_some(())
    });
    assert!(ok(&running, &["status"]).contains("paused: requests wait"));
    let generation = running.reload_live();
    ok(&running, &["resume", "web"]);
    load.goes_on(20);
    load.finish().assert_nothing_failed();
    ok(&running, &["pause", "web"]);
    let dead = running.kill_proxy();
    running.proxy_after(dead);
    let held = running.http().get_meanwhile("/whoami");
    running.held("web", 1.0);
    ok(&running, &["resume", "web"]);
    assert_eq!(held.join().unwrap().unwrap().generation(), Some(generation));
}

#[test]
fn a_maintenance_answers_with_a_page_and_leaves_health_and_orders_alone() {
    let running = Portreeve::new().app("web", worker()).app("api", worker().set("path", "/status")).start();
    let page = running.config().with_file_name("sorry.html");
    std::fs::write(&page, "<h1>sorry</h1>").unwrap();
    ok(&running, &["maintenance", "on", "web", "--page", page.to_str().unwrap()]);
    let reply = running.get("/whoami");
    assert_eq!((reply.status, reply.text(), reply.header("retry-after")), (503, "<h1>sorry</h1>", Some("60")));
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(running.http().post("/once?id=m", "x").status, 503);
    assert_eq!((running.get("/status?code=200").status, running.get_metrics("/readyz").status), (200, 200));
    running.reload();
    assert_eq!(running.get("/whoami").status, 503, "it lasts over a reload");
    ok(&running, &["maintenance", "off"]);
    assert_eq!(running.get("/whoami").status, 200);
    ok(&running, &["maintenance", "on"]);
    assert!(running.get("/status?code=200").text().contains("back in a moment"));
    assert_eq!(running.admin(Method::GET, "/v1/status").unwrap().status, 200);
    let failed = running.metrics().sum("portreeve_requests_failed_total", &[]);
    assert_eq!(failed.to_bits(), 0f64.to_bits(), "it was asked for");
}
