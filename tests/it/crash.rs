//! A worker that dies is replaced, and as little as possible is lost with it.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Failure, Load, Portreeve, Running, SOON, process, until, worker};

#[test]
fn how_workers_ended_is_known_after_a_restart_of_portreeve_too() {
    let mut running = Portreeve::new().app("web", worker()).start();
    let pid = running.pids("web", 1)[0];
    process::kill(pid);
    let crashed = |running: &Running| {
        let exits = running.status().app("web").exits.clone();
        exits.iter().position(|exit| exit.pid == pid && exit.cause == "crashed" && exit.signal == Some(9))
    };
    until(SOON, "the end is recorded", || crashed(&running));
    let exits = running.metrics().sum("portreeve_worker_exits_total", &[("app", "web"), ("cause", "crashed")]);
    assert!((exits - 1.0).abs() < f64::EPSILON, "{exits}");
    running.start_anew();
    assert_eq!(crashed(&running), Some(0), "the oldest first");
    running.serving("web", 1);
}

#[test]
fn a_killed_worker_costs_no_get_and_no_order_but_those_it_had_in_hand() {
    const CLIENTS: usize = 16;
    const KILLS: usize = 3;
    let running = Portreeve::new().https().app("web", worker().workers(2)).start();
    let load = Load::new().clients(CLIENTS / 2, &running.http()).clients(CLIENTS / 2, &running.h2()).start();
    for _ in 0..KILLS {
        let pids = running.pids("web", 2);
        process::kill(pids[0]);
        load.goes_on(50);
        until(SOON, "another worker takes the place", || (running.pids("web", 2)[0] != pids[0]).then_some(()));
    }
    load.goes_on(50);
    let tally = load.finish();
    assert_eq!(tally.failed(false).count(), 0, "every GET was repeated elsewhere: {tally}");
    assert!(tally.failed(true).all(|failure| *failure == Failure::Status(502)), "orders fail cleanly: {tally}");
    assert!(tally.failed(true).count() <= KILLS * CLIENTS / 2, "only orders in flight fail: {tally}");
    tally.assert_each_order_once(running.ledger());
    assert!(running.metrics().sum("portreeve_worker_restarts_total", &[("app", "web")]) >= 3.0);
}

#[test]
fn an_order_whose_worker_crashes_gets_a_clean_502_and_the_next_one_is_served() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    let before = running.pids("web", 2);
    assert_eq!(running.http().post("/crash?code=3", "").status, 502);
    assert_eq!(running.get("/whoami").status, 200, "the other worker serves");
    until(SOON, "a new worker is in the slot", || (running.pids("web", 2) != before).then_some(()));
    let status = running.status();
    let app = status.app("web");
    assert_eq!(app.generation, Some(1), "a restart is no reload");
    assert!(app.last_failure.as_ref().is_some_and(|failure| failure.contains("exit code 3")), "{app:?}");
    assert_eq!(app.serving().iter().map(|worker| worker.restarts).sum::<u64>(), 1, "{app:?}");
}

#[test]
fn a_worker_that_keeps_crashing_is_restarted_at_a_growing_distance_while_the_others_serve() {
    // What becomes of it when it is called a crash loop is told in `restarts`.
    let backoff = [("backoff_min", "100ms".into()), ("backoff_max", "2s".into()), ("intensity", 1000.into())];
    let backoff = backoff.map(|(key, value): (_, toml::Value)| (key.to_owned(), value));
    let running =
        Portreeve::new().app("web", worker().workers(2).set("restart", toml::Table::from_iter(backoff))).start();
    let pids = running.pids("web", 2);
    running.site("web").rewrite(&["say=down again", "exit=1"]);
    process::kill(pids[1]);

    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(running.get("/whoami").pid(), Some(pids[0]));
    }
    let starts = running.output().stdout().lines().filter(|line| line.contains("down again")).count();
    // 100 ms, doubled each time and drawn from zero on: five or six on average, hundreds without a backoff.
    assert!((2..40).contains(&starts), "{starts} starts in three seconds");

    running.site("web").rewrite(&[]);
    assert_eq!(running.pids("web", 2)[0], pids[0]);
}

#[test]
fn a_worker_that_crashes_on_a_certain_request_is_back_for_the_next() {
    let running = Portreeve::new().app("web", worker().says("crash-on=2")).start();
    let first = running.pids("web", 1);
    assert_eq!(running.http().post("/echo", "one").status, 200);
    assert_eq!(running.http().post("/echo", "two").status, 502);
    until(SOON, "the worker is back", || (running.pids("web", 1) != first).then_some(()));
    assert_eq!(running.http().post("/echo", "three").text(), "three");
}

#[test]
fn reloads_while_workers_of_any_generation_are_killed_fail_no_get_and_repeat_no_order() {
    let mut running = Portreeve::new().app("web", worker().workers(2)).start();
    // A worker that is killed while it is being stopped has its connections reset, and that is what this test does.
    running.excuse("portreeve_upstream_reset_stopping_total");
    let load = Load::new().clients(12, &running.http()).start();
    for _ in 0..10 {
        std::thread::scope(|scope| {
            let reload = scope.spawn(|| running.reload());
            let pids: Vec<u32> = running.status().app("web").workers.iter().filter_map(|worker| worker.pid).collect();
            process::send(pids[fastrand::usize(..pids.len())], Signal::KILL);
            load.goes_on(30);
            let reloaded = reload.join().unwrap();
            assert!(["live", "aborted"].contains(&reloaded.apps[0].outcome.as_str()), "{reloaded:?}");
        });
        running.serving("web", 2);
    }
    let tally = load.finish();
    assert_eq!(tally.failed(false).count(), 0, "{tally}");
    assert!(tally.failed(true).all(|failure| *failure == Failure::Status(502)), "{tally}");
    assert!(tally.failed(true).count() <= 10 * 6, "{tally}");
    tally.assert_each_order_once(running.ledger());
}
