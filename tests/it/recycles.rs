//! Planned replacements: nobody who asks notices them.

use toml::{Table, Value};

use crate::harness::{App, Load, Portreeve, Running, SOON, until, worker};

fn recycled<const N: usize>(workers: usize, settings: [(&str, Value); N]) -> App {
    let all = settings.into_iter().map(|(key, value)| (key.to_owned(), value));
    worker().workers(workers).set("recycle", all.collect::<Table>())
}

fn count(running: &Running, reason: &str) -> f64 {
    running.metrics().sum("portreeve_recycles_total", &[("app", "web"), ("reason", reason)])
}

/// Under load so many workers are replaced for this reason; nobody fails, nobody is restarted, nobody is forgotten.
#[track_caller]
fn goes_unnoticed(app: App, workers: usize, reason: &str, recycles: f64) {
    let running = Portreeve::new().app("web", app).start();
    let load = Load::new().clients(4, &running.http()).start();
    until(SOON, &format!("{recycles} workers are recycled"), || {
        load.goes_on(1);
        (count(&running, reason) >= recycles).then_some(())
    });
    load.goes_on(50);
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert!(running.metrics().sum("portreeve_worker_restarts_total", &[("app", "web")]) < 0.5);
    let status = running.status();
    let web = status.app("web");
    let exit = web.exits.iter().find(|exit| exit.cause == "recycled").expect("a worker was recycled");
    assert_eq!((exit.reason.as_deref(), exit.code, exit.killed), (Some(reason), Some(0), false));
    assert_eq!(web.generation, Some(1));
    running.serving("web", workers);
}

#[test]
fn twenty_recycles_by_a_schedule_that_comes_each_second_fail_no_request() {
    goes_unnoticed(recycled(4, [("schedule", "* * * * * *".into())]), 4, "schedule", 20.0);
}

#[test]
fn workers_that_are_old_enough_are_replaced_unnoticed() {
    goes_unnoticed(recycled(2, [("max_age", "1s".into()), ("jitter", "50%".into())]), 2, "max-age", 3.0);
}

#[test]
fn workers_that_have_answered_enough_are_replaced_unnoticed() {
    goes_unnoticed(recycled(2, [("max_requests", 20.into())]), 2, "max-requests", 2.0);
}

#[test]
fn a_successor_that_does_not_start_leaves_the_old_worker_serving() {
    let app = recycled(1, [("max_age", "2s".into()), ("jitter", "0%".into())]);
    let running = Portreeve::new().app("web", app).start();
    running.site("web").rewrite(&["exit=3"]);
    let [pid] = running.pids("web", 1)[..] else { panic!("one worker") };
    let failure = until(SOON, "a successor fails", || running.status().app("web").last_failure.clone());
    assert!(failure.contains("exit code 3 before it was ready"), "{failure}");
    assert_eq!((running.get("/whoami").status, running.pids("web", 1)), (200, vec![pid]));
    let status = running.status();
    assert_eq!(status.app("web").state, "running");
    assert_eq!(status.app("web").recycling[0].reason, "max-age");
    running.site("web").rewrite(&[]);
    until(SOON, "another one is tried", || (running.pids("web", 1) != [pid]).then_some(()));
    assert!(count(&running, "max-age") > 0.5);
}
