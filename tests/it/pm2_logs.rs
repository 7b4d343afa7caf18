//! Scenarios of PM2's own end-to-end tests, said again for portreeve: log files, and what is shown of an app.
//!
//! The numbers are those of `docs/pm2-scenarios.md`; where portreeve does something else on purpose, the test says so.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::Signal;

use crate::harness::{Home, SOON, Target, process, until};

fn log(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.path().join("home/logs").join(name)).unwrap_or_default()
}

/// Has an app print two lines, one to each stream, and waits for them.
#[track_caller]
fn says(home: &Home, app: &str) {
    let pid = home.pids(app)[0];
    let _ = Target::Plain(home.address(app)).get("/burst?lines=1");
    home.line(&format!("{app}-out.log"), &format!("out {pid} 0"));
    home.line(&format!("{app}-error.log"), &format!("err {pid} 0"));
}

#[test]
fn pm2_43_each_stream_has_its_file_also_after_restart_and_reload() {
    let home = Home::new();
    home.start("web", &[]);
    says(&home, "web");
    for verb in ["restart", "reload"] {
        home.ok(&[verb, "web"]);
        says(&home, "web");
    }
    assert!(!log(&home, "web-out.log").contains("err ") && !log(&home, "web-error.log").contains("out "));
    // PM2 writes a file for each worker unless it is told to merge them; here it is the other way round.
    home.start("two", &["-i", "2"]);
    until(SOON, "both workers write to one file", || {
        (log(&home, "two-out.log").matches("listening on").count() == 2).then_some(())
    });
}

#[test]
fn pm2_46_each_line_may_begin_with_its_time() {
    let home = Home::new();
    home.start("web", &["--time"]);
    until(SOON, "a line", || log(&home, "web-out.log").contains("listening on").then_some(()));
    let text = log(&home, "web-out.log");
    let is_timed =
        |line: &str| line.get(..5).is_some_and(|year| year[..4].parse::<u16>().is_ok() && year.ends_with('-'));
    assert!(text.lines().all(is_timed), "{text}");
}

#[test]
fn pm2_48_a_file_that_was_moved_away_comes_back_upon_a_signal() {
    let home = Home::new();
    home.start("web", &[]);
    says(&home, "web");
    let path = home.path().join("home/logs/web-out.log");
    std::fs::remove_file(&path).unwrap();
    process::send(home.status().pid, Signal::USR1);
    until(SOON, "it is back", || path.exists().then_some(()));
    says(&home, "web");
}

#[test]
fn pm2_49_without_lines_of_the_past_those_to_come_are_followed_all_the_same() {
    let home = Home::new();
    home.start("web", &[]);
    home.start("api", &[]);
    says(&home, "web");
    let mut logs = home.command(&["logs", "we*", "--lines", "0", "--out"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    // It may take a moment until somebody listens.
    let (ends, asks) = (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::Ordering::Relaxed);
    let addresses = [home.address("api"), home.address("web")];
    let first = std::thread::scope(|scope| {
        scope.spawn(|| {
            until(SOON, "a line is followed", || {
                let _ = addresses.map(|address| Target::Plain(address).get("/burst?lines=1"));
                ends.load(asks).then_some(())
            });
        });
        let first = lines.next().unwrap().unwrap();
        ends.store(true, asks);
        first
    });
    logs.kill().unwrap();
    logs.wait().unwrap();
    assert!(first.starts_with("web 1.0 | out "), "{first}");
}

#[test]
fn pm2_56_an_app_is_described_and_one_that_is_not_there_gives_a_code() {
    let home = Home::new();
    home.start("web", &["--kill-timeout", "3000"]);
    for words in [["describe", "web"], ["desc", "0"], ["info", "web"]] {
        let said = home.ok(&words);
        for text in ["0 web: running", "kill_timeout", "3s", "web-out.log", "web-error.log", "serves"] {
            assert!(said.contains(text), "{words:?}: no {text:?} in\n{said}");
        }
    }
    for word in ["ghost", "7", "x*"] {
        assert_eq!(home.cli(&["describe", word]).code, 64, "{word}");
    }
    home.ok(&["stop", "web"]);
    assert!(home.ok(&["info", "web"]).contains("0 web: stopped"));
}

#[test]
fn pm2_57_64_the_list_for_programs_has_every_pid_and_keeps_its_shape() {
    let home = Home::new();
    home.start("web", &["-i", "2"]);
    for verb in ["status", "ls", "list", "l", "ps"] {
        let status: serde_json::Value = serde_json::from_str(&home.ok(&[verb, "--json"])).unwrap();
        let app = &status["apps"][0];
        assert_eq!((&app["id"], &app["name"], &app["state"]), (&0.into(), &"web".into(), &"running".into()));
        let workers = app["workers"].as_array().unwrap();
        assert_eq!(workers.len(), 2);
        for worker in workers {
            for key in ["pid", "slot", "generation", "uptime_seconds", "restarts", "memory", "inflight", "requests"] {
                assert!(worker[key].is_u64(), "{key}: {worker}");
            }
            assert!(worker["state"].is_string() && worker["req_per_second"].is_f64(), "{worker}");
            assert!(worker.as_object().unwrap().contains_key("cpu"), "{worker}");
        }
    }
    // PM2 has a file with the pid, which may name a stranger after a crash; here a pid is gone with its worker.
    home.ok(&["stop", "web"]);
    let status = home.status();
    assert!(status.app("web").workers.iter().all(|worker| worker.pid.is_none()), "{status:?}");
}
