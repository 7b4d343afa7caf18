//! Several apps in one portreeve: what is wrong with one is its own affair, and those that depend on others wait for them.

use rustix::process::Signal;
use toml::{Table, Value};

use crate::harness::{App, Portreeve, Running, SOON, program, until, worker};

/// An app below its own path.
fn at(path: &str, app: App) -> App {
    app.set("path", path)
}

fn state(running: &Running, app: &str) -> String {
    running.status().app(app).state.clone()
}

#[track_caller]
fn becomes(running: &Running, app: &str, wanted: &str) {
    until(SOON, &format!("{app} is {wanted}"), || (state(running, app) == wanted).then_some(()));
}

/// Where each of these stands in what portreeve logs, which has to be one behind the other.
#[track_caller]
fn assert_order(running: &Running, words: &[&str]) {
    let log = until(SOON, &format!("{words:?} are logged"), || {
        let log = running.output().stderr();
        words.iter().all(|word| log.contains(word)).then_some(log)
    });
    let places: Vec<_> = words.iter().map(|word| log.find(word)).collect();
    assert!(places.is_sorted(), "{words:?} are at {places:?} in\n{log}");
}

#[test]
fn apps_that_cannot_run_do_not_touch_the_others() {
    let restart = [("intensity", Value::from(2)), ("backoff_min", "10ms".into()), ("backoff_max", "20ms".into())];
    let restart: Table = restart.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let running = Portreeve::new()
        .app("web", worker().workers(2))
        .app("loops", at("/loops", worker().says("exit=1").set("restart", restart.clone())))
        .app("missing", at("/missing", program(&["no-such-program"]).set("restart", restart)))
        .launch();
    let pids = running.pids("web", 2);
    becomes(&running, "loops", "crash-looping");
    becomes(&running, "missing", "crash-looping");
    let failure = running.status().app("missing").last_failure.clone().unwrap_or_default();
    assert!(failure.contains("no-such-program"), "{failure}");
    assert_eq!(running.get("/whoami").status, 200);
    assert_eq!((running.get("/loops").status, running.get("/missing").status), (503, 503));

    let reloaded = running.reload();
    let outcomes: Vec<_> = reloaded.apps.iter().map(|app| (app.app.as_str(), app.outcome.as_str())).collect();
    assert_eq!(outcomes.iter().filter(|(_, outcome)| *outcome == "aborted").count(), 2, "{outcomes:?}");
    assert!(outcomes.contains(&("web", "live")), "{outcomes:?}");
    assert_ne!(running.pids("web", 2), pids, "the healthy one was reloaded");
    assert!(running.metrics().sum("portreeve_worker_restarts_total", &[("app", "web")]) < 1.0);
}

#[test]
fn each_app_takes_bodies_up_to_a_length_of_its_own() {
    let running = Portreeve::new()
        .app("web", worker())
        .app("echo", at("/echo", worker().set("body_bytes", "1KiB")))
        .set("limits.body_bytes", "16B")
        .start();
    let status = |path: &str, bytes: usize| running.http().post(path, vec![b'x'; bytes]).status;
    assert_eq!((status("/sink", 16), status("/sink", 17)), (200, 413));
    assert_eq!((status("/echo", 1024), status("/echo", 1025)), (200, 413));
}

#[test]
fn an_app_starts_after_those_that_it_depends_on_and_stops_before_them() {
    let mut running = Portreeve::new()
        .app("web", worker().set("depends_on", vec!["api"]))
        .app("api", at("/api", worker().set("depends_on", vec!["db"])))
        .app("db", at("/db", worker().says("late=700ms")))
        .launch();
    assert_eq!(state(&running, "web"), "waiting");
    let held = running.http().get_meanwhile("/whoami");
    running.serving("web", 1);
    assert_eq!(held.join().unwrap().unwrap().status, 200, "a request waits for an app that waits");
    assert_order(&running, &["worker=db 1.0", "worker=api 1.0", "worker=web 1.0"]);
    let reloaded = running.reload();
    assert!(reloaded.apps.iter().all(|app| app.outcome == "live"), "{reloaded:?}");
    assert_order(&running, &["worker=db 2.0", "worker=api 2.0", "worker=web 2.0"]);
    running.serving("web", 1);
    running.signal(Signal::TERM);
    assert!(running.ended(SOON).success());
    let log = running.output().stderr();
    let end =
        |app: &str| log.rfind(&format!("worker ended worker={app} 2.0")).unwrap_or_else(|| panic!("{app}: {log}"));
    assert!(end("web") < end("api") && end("api") < end("db"), "{log}");
}

#[test]
fn one_that_does_not_come_up_delays_the_others_and_no_more() {
    let stuck = at("/db", worker().says("late=1000s")).set("start_timeout", "400ms");
    let running = Portreeve::new().app("web", worker().set("depends_on", "db")).app("db", stuck).launch();
    running.serving("web", 1);
    assert_order(&running, &["worker=db 1.0", "does not serve yet; starting it anyway", "worker=web 1.0"]);
    assert_eq!(running.get("/whoami").status, 200);
}

#[test]
fn a_second_signal_stops_all_apps_at_once() {
    let slow = |app: App| app.says("ignore-term").set("kill_timeout", "100s");
    let mut running = Portreeve::new()
        .app("web", slow(worker()).set("depends_on", "db"))
        .app("db", slow(at("/db", worker())))
        .launch();
    running.serving("web", 1);
    running.signal(Signal::TERM);
    until(SOON, "it is stopping", || (state(&running, "web") == "stopping").then_some(()));
    running.signal(Signal::TERM);
    assert!(running.ended(SOON).success());
    assert_eq!(running.output().stderr().matches("worker started worker=db").count(), 1, "nobody was restarted");
}
