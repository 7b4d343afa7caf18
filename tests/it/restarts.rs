//! What becomes of workers that end by themselves: the policy, stop codes, crash loops and how they end.

use std::time::{Duration, Instant};

use toml::Value;

use crate::harness::{App, Portreeve, Running, SOON, until, worker};

/// The scripted worker with these keys in its `restart` table; crash loops end and begin within moments.
fn restarted<const N: usize>(settings: [(&str, Value); N]) -> App {
    let all = settings.into_iter().map(|(key, value)| (key.to_owned(), value));
    worker().set("restart", all.collect::<toml::Table>())
}

/// Three ends are one too many; whoever has served for 300 ms has proved himself.
fn frail() -> App {
    restarted([
        ("backoff_min", "10ms".into()),
        ("backoff_max", "50ms".into()),
        ("reset", "300ms".into()),
        ("intensity", 2.into()),
        ("retry", "300ms".into()),
    ])
}

#[track_caller]
fn becomes(running: &Running, state: &str) {
    until(SOON, &format!("the app is {state}"), || (running.status().app("web").state == state).then_some(()));
    assert!(running.metrics().sum("portreeve_app_state", &[("app", "web"), ("state", state)]) > 0.5);
}

fn starts(running: &Running) -> usize {
    running.output().stdout().lines().filter(|line| line.contains("here I am")).count()
}

/// The answer is a 503 that nobody waited for.
#[track_caller]
fn is_turned_away_at_once(running: &Running) {
    let began = Instant::now();
    let reply = running.get("/whoami");
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "it was held for {:?}", began.elapsed());
}

#[test]
fn in_a_crash_loop_requests_are_turned_away_at_once_and_it_recovers_by_itself() {
    let running = Portreeve::new().app("web", frail().says("exit=1")).launch();
    becomes(&running, "crash-looping");
    is_turned_away_at_once(&running);
    let failure = running.status().app("web").last_failure.clone();
    assert!(failure.is_some_and(|failure| failure.contains("exit code 1")));

    running.site("web").rewrite(&[]);
    running.serving("web", 1);
    assert_eq!(running.get("/whoami").status, 200, "whoever is tried serves");
    becomes(&running, "running");
    assert!(running.output().stderr().contains("workers end again and again"), "the operator is told");
}

#[test]
fn in_a_crash_loop_one_of_several_workers_is_tried_at_a_time() {
    let running = Portreeve::new().app("web", frail().workers(4)).start();
    running.site("web").rewrite(&["say=here I am", "exit=1"]);
    for _ in 0..4 {
        running.http().post("/crash?code=3", "");
    }
    becomes(&running, "crash-looping");
    let (before, began) = (starts(&running), Instant::now());
    until(SOON, "three more are tried", || (starts(&running) >= before + 3).then_some(()));
    assert!(began.elapsed() >= Duration::from_millis(600), "one every 300 ms, not {:?}", began.elapsed());
    is_turned_away_at_once(&running);
    running.site("web").rewrite(&[]);
    running.serving("web", 4);
    becomes(&running, "running");
}

#[test]
fn a_reload_with_a_version_that_works_ends_a_crash_loop() {
    let app = restarted([("intensity", 1.into()), ("backoff_min", "10ms".into()), ("retry", "1h".into())]);
    let running = Portreeve::new().app("web", app.says("exit=1")).launch();
    becomes(&running, "crash-looping");
    assert_eq!(running.reload().apps[0].outcome, "aborted", "it is still broken");
    becomes(&running, "crash-looping");
    running.site("web").rewrite(&[]);
    running.reload_live();
    becomes(&running, "running");
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn what_is_given_up_stays_down_until_a_reload() {
    let app = restarted([("intensity", 2.into()), ("backoff_min", "10ms".into()), ("give_up", true.into())]);
    let running = Portreeve::new().app("web", app.says("say=here I am").says("exit=1")).launch();
    becomes(&running, "given-up");
    is_turned_away_at_once(&running);
    assert_eq!(starts(&running), 3);
    let slot = running.status().app("web").workers[0].clone();
    assert_eq!((slot.state.as_str(), slot.pid, slot.restarts), ("exited", None, 2));

    running.site("web").rewrite(&["say=here I am"]);
    running.reload_live();
    becomes(&running, "running");
    assert_eq!(starts(&running), 4, "the reload's was the next one");
}

#[test]
fn a_worker_that_is_never_restarted_leaves_its_slot() {
    let running = Portreeve::new().app("web", worker().workers(2).set("restart", "never")).start();
    assert_eq!(running.http().post("/crash?code=3", "").status, 502);
    becomes(&running, "degraded");
    assert_eq!(running.get("/whoami").status, 200, "the other one serves");
    assert_eq!(running.http().post("/crash?code=0", "").status, 502);
    becomes(&running, "exited");
    is_turned_away_at_once(&running);
    let states: Vec<_> = running.status().app("web").workers.iter().map(|worker| worker.state.clone()).collect();
    assert_eq!(states, ["exited", "exited"]);
    assert!(running.metrics().sum("portreeve_worker_restarts_total", &[("app", "web")]) < 1.0);
    let shown = running.cli(&["status"]).stdout;
    assert!(shown.contains("web: exited"), "{shown}");
    let slots = shown.lines().filter(|line| line.trim_start().starts_with("0  web ") && line.contains("exited"));
    assert_eq!(slots.count(), 2, "{shown}");
    running.reload_live();
    running.serving("web", 2);
}

#[test]
fn on_failure_an_exit_code_of_zero_is_the_end_and_any_other_is_not() {
    let running = Portreeve::new().app("web", worker().set("restart", "on-failure")).start();
    let first = running.pids("web", 1);
    assert_eq!(running.http().post("/crash?code=3", "").status, 502);
    until(SOON, "it is back", || (running.pids("web", 1) != first).then_some(()));
    assert_eq!(running.http().post("/crash?code=0", "").status, 502);
    becomes(&running, "exited");
}

#[test]
fn an_app_whose_first_worker_ends_with_a_stop_code_is_no_reason_to_wait() {
    let app = restarted([("stop_exit_codes", vec![0, 78].into())]).says("exit=78");
    let running = Portreeve::new().managed().app("web", app).launch();
    becomes(&running, "exited");
    assert_eq!(running.status().app("web").last_failure, None, "that is no crash");
    running.notices().hear("READY", "1", SOON);
    is_turned_away_at_once(&running);
}
