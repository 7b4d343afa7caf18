//! New workers are warmed up before they serve, and their share of the requests grows.

use std::time::{Duration, Instant};

use toml::Value;

use crate::harness::{App, Load, Portreeve, Running, SOON, process, until, worker};

fn warmed(workers: usize, requests: &[&str]) -> App {
    worker().workers(workers).set("warmup", requests.iter().map(|path| Value::from(*path)).collect::<Vec<_>>())
}

#[test]
fn each_new_worker_is_asked_what_warms_it_and_serves_nobody_before_that() {
    let running = Portreeve::new().app("web", warmed(2, &["/once?id=warm", "/slow?ms=700"])).start();
    assert_eq!(running.ledger().count("warm"), 2);
    let load = Load::new().clients(4, &running.http()).start();
    let (reloaded, took) = std::thread::scope(|scope| {
        let begun = Instant::now();
        let reload = scope.spawn(|| running.reload());
        until(SOON, "a worker is warmed up", || {
            let status = running.status();
            status.app("web").workers.iter().any(|worker| worker.state == "warming").then_some(())
        });
        assert_eq!(running.get("/whoami").generation(), Some(1), "the old ones serve meanwhile");
        (reload.join().unwrap(), begun.elapsed())
    });
    assert_eq!(reloaded.apps[0].outcome, "live", "{reloaded:?}");
    assert!(took >= Duration::from_millis(1_400), "the first alone, then the second: {took:?}");
    assert_eq!(running.ledger().count("warm"), 4);
    load.goes_on(20);
    load.finish().assert_nothing_failed();
}

#[test]
fn a_worker_that_crashes_is_followed_by_one_that_is_warm() {
    let running = Portreeve::new().app("web", warmed(1, &["/once?id=warm"])).start();
    let load = Load::new().clients(4, &running.http()).start();
    let old = running.pids("web", 1);
    process::kill(old[0]);
    until(SOON, "another one serves", || (running.pids("web", 1) != old).then_some(()));
    assert_eq!(running.ledger().count("warm"), 2);
    load.goes_on(20);
    drop(load.finish());
}

#[test]
fn what_has_no_good_answer_or_none_in_time_is_a_warning_and_no_more() {
    let app = warmed(1, &["/status?code=500", "/hang"]).set("warmup_timeout", "400ms");
    let running = Portreeve::new().app("web", app).start();
    warns(&running, "warm-up: not done within 400ms: the worker serves as it is worker=web 1.0");
    assert_eq!(running.get("/whoami").status, 200);
    let app = warmed(1, &["/status?code=500", "/whoami"]);
    let running = Portreeve::new().app("web", app).start();
    warns(&running, "warm-up: GET /status?code=500 answered 500 worker=web 1.0");
    assert_eq!(running.get("/whoami").status, 200);
}

#[track_caller]
fn warns(running: &Running, of: &str) {
    until(SOON, of, || running.output().stderr().lines().any(|line| line.contains(of)).then_some(()));
}

/// Of so many requests, those that a worker which is not one of these has answered, in hundredths.
fn share_of_others(running: &Running, known: &[u32], requests: usize) -> usize {
    let answered = (0..requests).filter_map(|_| running.get("/whoami").pid());
    answered.filter(|pid| !known.contains(pid)).count() * 100 / requests
}

#[test]
fn a_new_worker_gets_few_requests_at_first_and_as_many_as_the_others_later() {
    let running = Portreeve::new().app("web", worker().workers(1).set("slow_start", "6s")).start();
    let (old, begun) = (running.pids("web", 1), Instant::now());
    until(SOON, "the old one is not young any more", || (begun.elapsed() > Duration::from_secs(6)).then_some(()));
    let said = running.cli(&["scale", "web", "2"]);
    assert_eq!(said.code, 0, "{}", said.text);
    let share = share_of_others(&running, &old, 300);
    println!("{share} % at first");
    assert!((1..=25).contains(&share), "{share} %");
    until(SOON, "it gets its share", || (share_of_others(&running, &old, 100) >= 40).then_some(()));
}
