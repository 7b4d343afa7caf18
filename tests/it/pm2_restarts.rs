//! Scenarios of PM2's own end-to-end tests, said again for portreeve: restarts, reloads and the ends of workers.
//!
//! The numbers are those of `docs/pm2-scenarios.md`; where portreeve does something else on purpose, the test says so.

use std::process::Stdio;

use crate::harness::{Home, SOON, Target, until};
use crate::tools;

/// Says which signals it gets, and passes on what ends it.
const SIGNALS: &str = "./worker & child=$!\n\
    trap 'echo got TERM; kill $child; wait $child; exit 0' TERM\n\
    while kill -0 $child 2> /dev/null; do wait $child; done\n";

fn log(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.path().join("home/logs").join(name)).unwrap_or_default()
}

fn generations(home: &Home, app: &str) -> Vec<u64> {
    home.status().app(app).serving().iter().map(|worker| worker.generation).collect()
}

#[test]
fn pm2_01_a_reload_stops_each_old_worker_with_exactly_one_signal() {
    let home = Home::new();
    home.write("app.sh", SIGNALS);
    home.ok(&["start", "app.sh", "-i", "2", "--port", "127.0.0.1:0"]);
    home.ok(&["reload", "app"]);
    until(SOON, "both old workers have ended", || (home.status().app("app").exits.len() == 2).then_some(()));
    until(SOON, "both have said so", || (log(&home, "app-out.log").matches("got TERM").count() >= 2).then_some(()));
    home.ok(&["stop", "app"]);
    until(SOON, "all four have", || (log(&home, "app-out.log").matches("got TERM").count() >= 4).then_some(()));
    assert_eq!(log(&home, "app-out.log").matches("got TERM").count(), 4);
}

#[test]
fn pm2_03_restart_and_reload_of_all_reach_every_worker_of_every_app() {
    let home = Home::new();
    home.start("a", &["-i", "4"]);
    home.start("b", &[]);
    let mut before = [home.pids("a"), home.pids("b")].concat();
    for (round, verb) in [(2, "restart"), (3, "restart"), (4, "reload")] {
        home.ok(&[verb, "all"]);
        let after = [home.pids("a"), home.pids("b")].concat();
        assert_eq!(after.len(), 5);
        assert!(before.iter().all(|pid| !after.contains(pid)), "{verb}: {before:?} {after:?}");
        // PM2 counts each of these in its restarts; here a generation does.
        assert_eq!((generations(&home, "a"), generations(&home, "b")), (vec![round; 4], vec![round]));
        before = after;
    }
    assert!(home.status().apps.iter().flat_map(|app| &app.workers).all(|worker| worker.restarts == 0));
}

#[test]
fn pm2_11_while_a_reload_waits_for_a_slow_worker_the_old_one_serves_and_both_are_shown() {
    let home = Home::new();
    home.write("words", "");
    home.start("web", &["--", "script=words"]);
    home.write("words", "late=3s\n");
    let mut reload = home.command(&["reload", "web"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(SOON, "both generations are there", || {
        let workers = home.status().apps.remove(0).workers;
        let states: Vec<_> = workers.iter().map(|worker| (worker.generation, worker.is_serving())).collect();
        (states == [(1, true), (2, false)]).then_some(())
    });
    assert_eq!(home.get("web", "/whoami").generation(), Some(1));
    assert!(reload.wait().unwrap().success());
    assert_eq!(home.get("web", "/whoami").generation(), Some(2));
}

#[test]
fn pm2_13_14_an_app_that_crashes_at_once_is_in_a_crash_loop_with_growing_pauses_and_can_be_mended() {
    let home = Home::new();
    home.write("words", "");
    home.start("web", &["--", "script=words"]);
    home.write("words", "say=no more\nexit=1\n");
    let said = home.cli(&["restart", "web"]);
    assert!(said.code == 1 && said.text.contains("no more"), "{}", said.text);
    // PM2 calls it errored and lets it be; here one worker is tried now and then.
    until(SOON, "it is a crash loop", || (home.state("web") == "crash-looping").then_some(()));
    assert!(home.cli(&["status"]).text.contains("web: crash-looping"));
    home.write("words", "");
    home.ok(&["restart", "web"]);
    assert_eq!(home.state("web"), "running");
}

#[test]
fn pm2_15_after_a_crash_there_is_the_pause_that_was_asked_for() {
    let home = Home::new();
    home.start("web", &["--restart-delay", "30s"]);
    let _ = Target::Plain(home.address("web")).try_post("/crash", "");
    let shown = until(SOON, "it waits", || {
        let worker = home.status().apps.remove(0).workers.remove(0);
        (worker.state == "backoff").then_some(worker)
    });
    assert_eq!((shown.pid, shown.restarts), (None, 0));
    // Nobody has to wait: an order ends the pause.
    home.ok(&["restart", "web"]);
    assert_eq!(home.state("web"), "running");
}

#[test]
fn pm2_21_slots_that_became_free_are_given_again_and_none_is_left_out() {
    let home = Home::new();
    home.start("web", &["-i", "2"]);
    let slots = || home.status().app("web").serving().iter().map(|worker| worker.slot).collect::<Vec<_>>();
    assert_eq!(slots(), [0, 1]);
    for workers in [4, 2, 4] {
        let text = home.list_text();
        let line = text.lines().find(|line| line.trim_start().starts_with("workers = ")).unwrap();
        std::fs::write(home.list(), text.replace(line, &format!("workers = {workers}"))).unwrap();
        home.ok(&["reload", "web"]);
        assert_eq!(slots(), (0..workers).collect::<Vec<u32>>());
        let found = home.status().app("web").serving().len();
        assert_eq!(found, workers as usize);
    }
}

#[test]
fn pm2_58_a_second_reload_takes_the_place_of_the_first_and_none_is_locked_out() {
    let home = Home::new();
    home.write("words", "");
    home.start("web", &["--", "script=words"]);
    home.write("words", "late=5s\n");
    let first = home.command(&["reload", "web"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(SOON, "the first is on its way", || (home.status().app("web").workers.len() == 2).then_some(()));
    home.write("words", "");
    // PM2 refuses it, for as long as the first one lasts or its lock is left behind.
    home.ok(&["reload", "web"]);
    let first = first.wait_with_output().unwrap();
    assert_eq!(first.status.code(), Some(3), "{}", String::from_utf8_lossy(&first.stdout));
    assert_eq!(home.pids("web").len(), 1);
}

#[test]
fn pm2_62_63_what_an_app_of_node_dies_of_is_in_its_log_and_it_finds_itself_as_under_plain_node() {
    if !tools::need("node") {
        return;
    }
    let home = Home::new();
    home.write(
        "app.js",
        "console.log(JSON.stringify([process.argv.slice(1), require.main === module, process.cwd()]));\n\
         process.stdout.write('written\\n', () => console.log('called back'));\n\
         const server = require('http').createServer((q, r) => {\n\
           r.end('x'); if (q.url === '/throw') setImmediate(() => { throw new Error('thrown on purpose') });\n\
           if (q.url === '/reject') Promise.reject(new Error('rejected on purpose'));\n\
         });\nserver.listen(process.env.PORT, process.env.HOST);\n",
    );
    home.ok(&["start", "app.js", "--port", "127.0.0.1:0", "--", "one", "two words"]);
    let mut plain = std::process::Command::new("node");
    plain.args(["-e", "console.log(process.cwd())"]).current_dir(home.path());
    let cwd = String::from_utf8(plain.output().unwrap().stdout).unwrap();
    let script = home.path().join("app.js");
    let expected = serde_json::json!([[script, "one", "two words"], true, cwd.trim()]).to_string();
    home.line("app-out.log", &expected);
    home.line("app-out.log", "called back");
    for (path, text) in [("/throw", "Error: thrown on purpose"), ("/reject", "Error: rejected on purpose")] {
        let _ = Target::Plain(home.address("app")).try_get(path);
        home.line("app-error.log", text);
        until(SOON, "it is back", || (home.state("app") == "running").then_some(()));
    }
    let exits = home.status().app("app").exits.clone();
    assert!(exits.iter().all(|exit| (exit.cause.as_str(), exit.code) == ("crashed", Some(1))), "{exits:?}");
}
