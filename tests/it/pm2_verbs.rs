//! Scenarios of PM2's own end-to-end tests, said again for portreeve: starting, stopping, and who is meant.
//!
//! The numbers are those of the scenarios; where portreeve does something else on purpose, the test says so.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::harness::{Home, SOON, Target, process, until};
use crate::tools;

fn restarts(home: &Home, app: &str) -> Vec<u64> {
    home.status().app(app).workers.iter().map(|worker| worker.restarts).collect()
}

#[test]
fn pm2_02_stop_start_and_restart_are_no_crashes_and_count_nothing() {
    let home = Home::new();
    home.start("web", &[]);
    for words in [["stop", "web"], ["start", "web"], ["restart", "web"], ["restart", "all"]] {
        home.ok(&words);
    }
    // PM2 counts the restarts that it was asked for; here the number tells of trouble.
    assert_eq!(restarts(&home, "web"), [0]);
    assert_eq!(home.get("web", "/whoami").generation(), Some(4));
}

#[test]
fn pm2_04_a_reload_of_one_app_leaves_the_others_alone() {
    let home = Home::new();
    home.start("a", &["-i", "2"]);
    home.start("b", &["-i", "2"]);
    let before = (home.pids("a"), home.pids("b"));
    home.ok(&["reload", "a"]);
    let after = (home.pids("a"), home.pids("b"));
    assert!(before.0.iter().all(|pid| !after.0.contains(pid)), "{before:?} {after:?}");
    assert_eq!(before.1, after.1);
}

#[test]
fn pm2_06_without_autorestart_a_crash_is_the_end() {
    let home = Home::new();
    home.start("web", &["--no-autorestart"]);
    let _ = Target::Plain(home.address("web")).try_post("/crash?code=1", "");
    until(SOON, "it has ended", || (home.state("web") == "exited").then_some(()));
    assert_eq!(restarts(&home, "web"), [0]);
}

#[test]
fn pm2_07_after_a_stop_exit_code_nothing_is_started_and_after_another_one_it_is() {
    let home = Home::new();
    home.start("stays", &["--stop-exit-codes", "42"]);
    home.start("again", &["--stop-exit-codes", "34"]);
    for app in ["stays", "again"] {
        let _ = Target::Plain(home.address(app)).try_post("/crash?code=42", "");
    }
    until(SOON, "one has ended", || (home.state("stays") == "exited").then_some(()));
    until(SOON, "one is back", || (restarts(&home, "again") == [1] && home.state("again") == "running").then_some(()));
}

#[test]
fn pm2_16_an_app_that_does_not_end_is_killed_after_its_kill_timeout() {
    let home = Home::new();
    home.start("web", &["--kill-timeout", "200", "--", "ignore-term"]);
    let pid = home.pids("web")[0];
    home.ok(&["stop", "web"]);
    assert!(process::Process::find(pid).is_none());
    assert!(home.status().app("web").exits.last().is_some_and(|exit| exit.killed && exit.cause == "stopped"));
}

#[test]
fn pm2_17_a_stop_takes_the_children_along() {
    let home = Home::new();
    home.start("web", &[]);
    let child = home.get("web", "/fork").json()["pid"].as_u64().unwrap() as u32;
    assert!(process::Process::find(child).is_some());
    home.ok(&["stop", "web"]);
    assert!(process::Process::find(child).is_none());
}

#[test]
fn pm2_19_a_signal_reaches_each_worker_once_by_name_and_by_id() {
    let home = Home::new();
    let app = home.write("app.sh", "trap 'echo got USR2' USR2\ntrap exit TERM\npython3 -m http.server --bind 127.0.0.1 $PORT & while :; do wait; done\n");
    if !tools::need("python3") {
        return;
    }
    home.ok(&["start", app.to_str().unwrap(), "--port", "127.0.0.1:0", "-i", "2"]);
    assert!(home.ok(&["signal", "SIGUSR2", "app"]).contains("2 workers"));
    home.ok(&["signal", "usr2", "0"]);
    let log = home.path().join("home/logs/app-out.log");
    until(SOON, "each signal is logged once", || {
        (std::fs::read_to_string(&log).ok()?.matches("got USR2").count() == 4).then_some(())
    });
    let said = home.cli(&["signal", "SIGKILL", "app"]);
    assert!(said.code == 64 && said.text.contains("there is SIGTERM"), "{}", said.text);
}

#[test]
fn pm2_20_the_number_of_instances_may_be_relative_to_the_cpus() {
    let home = Home::new();
    let cpus = std::thread::available_parallelism().unwrap().get();
    for (name, count, workers) in [("max", "max", cpus), ("zero", "0", cpus), ("three", "3", 3), ("less", "-100", 1)] {
        home.start(name, &["-i", count]);
        assert_eq!(home.pids(name).len(), workers, "{count}");
    }
}

#[test]
fn pm2_27_to_start_a_known_app_is_to_start_it_if_it_is_stopped() {
    let home = Home::new();
    home.start("web", &[]);
    let pids = home.pids("web");
    // PM2 restarts one that runs; here `start` never takes anything away.
    assert!(home.ok(&["start", "web"]).starts_with("web serves on "));
    assert!(home.ok(&["start", "0"]).starts_with("web serves on "));
    assert_eq!(home.pids("web"), pids);
    home.ok(&["stop", "0"]);
    home.ok(&["start", "0"]);
    assert_ne!(home.pids("web"), pids);
}

#[test]
fn pm2_28_a_script_that_is_there_already_is_started_again_only_by_force() {
    let home = Home::new();
    let start = |more: &[&str]| home.cli(&[&["start", "./worker", "--port", "127.0.0.1:0"], more].concat());
    assert_eq!(start(&[]).code, 0);
    let said = start(&[]);
    assert!(said.code == 64 && said.text.contains("--force makes it a second copy"), "{}", said.text);
    assert_eq!(start(&["-f"]).code, 0);
    assert_eq!(home.pids("worker-2").len(), 1);
}

#[test]
fn pm2_29_30_several_targets_and_patterns() {
    let home = Home::new();
    for name in ["echo-1", "echo-2", "echo-3"] {
        home.start(name, &[]);
    }
    home.ok(&["restart", "echo-1", "echo-3"]);
    let generations = ["echo-1", "echo-2", "echo-3"].map(|name| home.get(name, "/whoami").generation().unwrap());
    assert_eq!(generations, [2, 1, 2]);
    home.ok(&["stop", "echo-[1,2]"]);
    assert_eq!(["echo-1", "echo-2", "echo-3"].map(|name| home.state(name)), ["stopped", "stopped", "running"]);
}

#[test]
fn pm2_31_a_name_that_is_a_number_goes_before_an_id() {
    let home = Home::new();
    home.start("web", &[]);
    home.start("0", &[]);
    home.ok(&["stop", "0"]);
    assert_eq!((home.state("web"), home.state("0")), ("running".to_owned(), "stopped".to_owned()));
}

#[test]
fn pm2_32_unknown_targets_and_missing_scripts_give_a_code() {
    let home = Home::new();
    for verb in ["restart", "stop", "delete", "reload", "reset", "env"] {
        assert_eq!(home.cli(&[verb, "ghost"]).code, 69, "{verb}: nothing runs");
    }
    home.start("web", &[]);
    for verb in ["restart", "stop", "delete", "reset", "env"] {
        assert_eq!(home.cli(&[verb, "ghost"]).code, 64, "{verb}");
    }
    assert_ne!(home.cli(&["reload", "ghost"]).code, 0);
    assert_eq!(home.cli(&["start", "missing.js"]).code, 64);
}

#[test]
fn pm2_39_arguments_reach_the_app_in_order() {
    let home = Home::new();
    let script = home.write("args.sh", "#!/bin/sh\nprintf '<%s>' \"$@\"\nexec ./worker\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    home.ok(&["start", "args.sh", "--port", "127.0.0.1:0", "--interpreter", "none", "--", "--a=b", "x y", "-z"]);
    home.line("args-out.log", "<--a=b><x y><-z>");
}

#[test]
fn pm2_40_a_script_is_run_by_what_its_extension_says() {
    let home = Home::new();
    home.write("plain.sh", "echo shell; exec ./worker\n");
    home.ok(&["start", "plain.sh", "--port", "127.0.0.1:0"]);
    home.line("plain-out.log", "shell");
    home.ok(&["start", "COLOUR=green exec ./worker", "--name", "line", "--port", "127.0.0.1:0"]);
    assert_eq!(home.get("line", "/whoami").json()["colour"], "green");
    if tools::need("python3") {
        home.write(
            "serve.py",
            "import os, http.server as h\nprint('unbuffered')\n\
                    h.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), h.SimpleHTTPRequestHandler).serve_forever()\n",
        );
        home.ok(&["start", "serve.py", "--port", "127.0.0.1:0"]);
        home.line("serve-out.log", "unbuffered");
    }
    if tools::need("node") {
        let text =
            "require('http').createServer((q, r) => r.end('hello')).listen(process.env.PORT, process.env.HOST)\n";
        for name in ["app.js", "extensionless"] {
            home.write(name, text);
            home.ok(&["start", name, "--port", "127.0.0.1:0"]);
        }
        assert_eq!(home.get("app", "/").text(), "hello");
        assert_eq!(home.get("extensionless", "/").text(), "hello");
    }
    let said = home.cli(&["start", home.write("other.xyz", "").to_str().unwrap()]);
    assert!(said.code == 64 && said.text.contains("--interpreter"), "{}", said.text);
}

#[test]
fn pm2_42_a_reload_of_many_workers_never_meets_a_port_in_use() {
    let home = Home::new();
    home.start("web", &["-i", "4"]);
    for _ in 0..3 {
        home.ok(&["reload", "web"]);
    }
    assert_eq!((home.pids("web").len(), restarts(&home, "web")), (4, vec![0; 4]));
}

#[test]
fn pm2_44_45_output_goes_nowhere_or_into_folders_that_are_made() {
    let home = Home::new();
    home.start("web", &["-e", "NULL", "-o", "deep/er/out.log"]);
    until(SOON, "a line", || {
        let text = std::fs::read_to_string(home.path().join("deep/er/out.log")).ok()?;
        text.contains("listening on").then_some(())
    });
    assert!(!home.path().join("home/logs/web-error.log").exists());
}

#[test]
fn pm2_52_what_ran_before_a_kill_runs_after_it() {
    let home = Home::new();
    for name in ["a", "b", "c"] {
        home.start(name, &[]);
    }
    home.ok(&["stop", "b"]);
    assert!(home.ok(&["save"]).contains("3 apps"));
    let pid = home.status().pid;
    let gone: serde_json::Value = serde_json::from_str(&home.ok(&["kill", "--json"])).unwrap();
    assert_eq!(gone, serde_json::json!({ "pid": pid, "apps": ["a", "b", "c"] }));
    home.ok(&["resurrect"]);
    assert_eq!(["a", "b", "c"].map(|name| home.state(name)), ["running", "stopped", "running"]);
    let pids: BTreeSet<_> = ["a", "c"].iter().flat_map(|name| home.pids(name)).collect();
    home.ok(&["resurrect"]);
    assert_eq!(pids, ["a", "c"].iter().flat_map(|name| home.pids(name)).collect(), "nothing is started twice");

    // Without the list its backup is used: the list as it was before the last change.
    home.ok(&["kill"]);
    std::fs::remove_file(home.list()).unwrap();
    home.ok(&["resurrect"]);
    assert_eq!(home.status().apps.len(), 3);
}

#[test]
fn pm2_55_counts_can_be_reset_by_id_name_and_for_all() {
    let home = Home::new();
    home.start("web", &[]);
    for target in ["0", "web", "all"] {
        let _ = Target::Plain(home.address("web")).try_post("/crash", "");
        until(SOON, "it is back", || (restarts(&home, "web") == [1] && home.state("web") == "running").then_some(()));
        home.ok(&["reset", target]);
        assert_eq!(restarts(&home, "web"), [0], "{target}");
    }
}

#[test]
fn pm2_59_a_supervisor_that_is_terminated_takes_everything_along() {
    let home = Home::new();
    home.start("web", &["-i", "2"]);
    let (pid, workers) = (home.status().pid, home.pids("web"));
    process::send(pid, Signal::TERM);
    for pid in workers.into_iter().chain([pid]) {
        until(SOON, "it is gone", || process::Process::find(pid).is_none().then_some(()));
    }
}
