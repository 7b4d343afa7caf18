//! What PM2 is known to get wrong, one test each: here it is right. What has a room of its own is tested there: broken
//! releases in `broken`, secrets in `environment`, full disks in `logs`, the message of shutdown in `ipc`.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::harness::{App, Portreeve, Running, SOON, program, until, worker};

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn shell(script: &str) -> App {
    program(&["sh", "-c", script])
}

#[track_caller]
fn becomes(running: &Running, state: &str) {
    until(SOON, &format!("the app is {state}"), || (running.status().app("web").state == state).then_some(()));
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// PM2: with a limit and a backoff the app is dead for ever, and is shown as "waiting restart".
#[test]
fn a_limit_of_restarts_with_a_backoff_is_no_end_for_ever() {
    let restart = table([("intensity", 2.into()), ("backoff_min", "10ms".into()), ("retry", "200ms".into())]);
    let running = Portreeve::new().app("web", worker().says("exit=1").set("restart", restart)).launch();
    becomes(&running, "crash-looping");
    running.site("web").rewrite(&[]);
    running.serving("web", 1);
    // The proxies hear of it a moment after the status does.
    until(SOON, "requests are answered", || (running.http().get("/whoami").status == 200).then_some(()));
}

/// PM2: ends count only if the worker lived for less than `min_uptime`, and any pause makes the limit unreachable.
#[test]
fn a_worker_that_lives_a_while_before_each_crash_is_in_a_crash_loop_too() {
    let restart =
        table([("intensity", 2.into()), ("delay", "300ms".into()), ("reset", "1h".into()), ("retry", "1h".into())]);
    let running = Portreeve::new().app("web", shell("sleep 0.3; exit 1").set("restart", restart)).launch();
    becomes(&running, "crash-looping");
}

/// PM2: with `restart_delay` an app that has ended for good is shown as "waiting restart".
#[test]
fn an_app_that_has_ended_for_good_is_not_shown_as_one_that_waits() {
    let restart = table([("stop_exit_codes", vec![0].into()), ("delay", "1h".into())]);
    let running = Portreeve::new().app("web", shell("exit 0").set("restart", restart)).launch();
    becomes(&running, "exited");
    assert_eq!(running.status().app("web").workers[0].state, "exited");
    assert_eq!(running.http().get("/").status, 503, "and no request waits for it");
}

/// PM2: a line that comes in two writes is torn, and the second line of a message has no time in front.
#[test]
fn every_line_is_whole_and_has_its_time_however_it_was_written() {
    let portreeve = Portreeve::new();
    let path = portreeve.path().join("web.log");
    let script = "printf 'one half '; sleep 0.2; printf 'and the other\\nsecond\\nthird\\n'; sh -c 'echo of a child'; exec sleep 100";
    let log = table([("file", "web.log".into()), ("time", "%Y> ".into())]);
    let _running = portreeve.app("web", shell(script).set("log", log)).launch();
    let text = until(SOON, "all lines are there", || Some(read(&path)).filter(|text| text.contains("of a child")));
    let lines: Vec<_> = text.lines().map(|line| line.split_once("> ").map(|(_, line)| line.trim_start())).collect();
    let wanted = ["one half and the other", "second", "third", "of a child"].map(Some);
    assert_eq!(lines, wanted, "{text}");
}

/// PM2: an object of the JSON log may hold several lines, or half of one.
#[test]
fn each_object_of_the_json_log_holds_one_line() {
    let portreeve = Portreeve::new();
    let path = portreeve.path().join("web.log");
    let log = table([("file", "web.log".into()), ("format", "json".into())]);
    let app = shell("printf 'a\\nb '; sleep 0.1; printf 'c\\n'; exec sleep 100").set("log", log);
    let _running = portreeve.app("web", app).launch();
    let text = until(SOON, "both are there", || Some(read(&path)).filter(|text| text.lines().count() == 2));
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON"));
    assert_eq!(lines.map(|line| line["line"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), ["a", "b c"]);
}

/// PM2: exit code 0, green ticks, and the site is down.
#[test]
fn a_reload_to_a_release_that_never_gets_ready_fails_and_says_so() {
    let running = Portreeve::new().app("web", worker().set("start_timeout", "500ms")).start();
    let pids = running.pids("web", 1);
    running.site("web").rewrite(&["health=503"]);
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("was not ready within"), "{}", said.text);
    assert_eq!((running.get("/whoami").status, running.pids("web", 1)), (200, pids));
}

/// PM2: a reload does not take over script, directory, number of instances or log paths.
#[test]
fn a_reload_takes_over_every_setting() {
    let portreeve = Portreeve::new();
    let folder = portreeve.path().to_owned();
    let mut running = portreeve.app("web", worker()).start();
    running.configure("app.web.workers", 2);
    running.configure("app.web.directory", "/");
    running.configure("app.web.log", table([("file", "new.log".into())]));
    running.site("web").rewrite(&["say=of the new one"]);
    running.reload_live();
    running.serving("web", 2);
    let answer: serde_json::Value = serde_json::from_slice(&running.get("/whoami").body).unwrap();
    assert_eq!(answer["directory"], "/");
    until(SOON, "both write to the new file", || {
        (read(&folder.join("new.log")).matches("of the new one").count() == 2).then_some(())
    });
}

/// PM2: keys that it does not know are dropped in silence, so a slip of the pen is never noticed.
#[test]
fn a_key_that_nobody_knows_is_an_error() {
    let mut running = Portreeve::new().app("web", worker()).start();
    running.configure("app.web.wait_redy", true);
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains("wait_redy"), "{}", said.text);
    assert_eq!(running.get("/whoami").status, 200);
}

/// PM2: programs in other languages than Node, and a single instance, are stopped before they are started.
#[test]
fn a_single_worker_that_boots_slowly_is_replaced_without_a_gap() {
    let running = Portreeve::new().app("web", worker().says("late=500ms")).start();
    std::thread::scope(|scope| {
        let reload = scope.spawn(|| running.reload_live());
        while !reload.is_finished() {
            assert_eq!(running.get("/whoami").status, 200);
        }
        assert_eq!(reload.join().unwrap(), 2);
    });
}
