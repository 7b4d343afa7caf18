//! While a reload or a restart goes on it is shown how far it has come, and in the end what it has cost.

use std::process::Stdio;
use std::thread;

use crate::harness::{Load, Portreeve, SOON, Terminal, portreeve, until, worker};

/// The report that a verb with `--json` has printed, which is one object and nothing else.
#[track_caller]
fn report(printed: &str) -> serde_json::Value {
    let printed: serde_json::Value = serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    printed["report"]["apps"][0].clone()
}

#[test]
fn in_a_pipe_a_reload_says_a_line_for_each_step_and_waits_until_the_old_workers_are_gone() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    running.site("web").rewrite(&["late=300ms"]);
    let slow = running.http().get_meanwhile("/slow?ms=1500");
    running.in_flight("web", 1.0);
    let said = running.cli(&["reload"]);
    assert!(slow.is_finished(), "its worker is gone");
    assert_eq!(slow.join().unwrap().unwrap().generation(), Some(1));
    assert_eq!(said.code, 0, "{}", said.text);
    let progress = said.text.strip_prefix(&said.stdout).unwrap();
    for line in ["web: generation 2: 0 of 2 workers ready\n", "web: generation 2: 2 of 2 workers ready; draining: "] {
        assert!(progress.contains(line), "no {line:?} in {progress}");
    }
    assert!(said.stdout.starts_with("web: generation 2 serves ("), "{}", said.stdout);
    assert!(said.stdout.contains("  1 requests meanwhile: 0 held, 0 retried, 0 forced, 0 failed; all done after "));
}

#[test]
fn under_load_a_reload_counts_as_many_requests_as_the_proxies_do() {
    let running = Portreeve::new().app("web", worker().workers(2)).app("api", worker().set("path", "/api")).start();
    running.site("web").rewrite(&["late=200ms"]);
    let load = Load::new().clients(6, &running.http()).start();
    let count = || running.metrics().sum("portreeve_requests_total", &[("app", "web")]);
    let before = count();
    let said = running.cli(&["reload", "all", "--json"]);
    let most = count() - before;
    load.finish().assert_nothing_failed();
    assert_eq!((said.code, &said.text), (0, &said.stdout), "nothing but the object");
    let printed: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let of = |name: &str| {
        let apps = printed["report"]["apps"].as_array().unwrap();
        apps.iter().find(|app| app["app"] == name).unwrap_or_else(|| panic!("no {name} in {printed}")).clone()
    };
    let requests = of("web")["requests"].as_f64().unwrap();
    assert!(requests > 20.0 && requests <= most, "{requests} of {most}: {printed}");
    assert_eq!(of("web")["failed"], 0);
    assert_eq!(of("api")["requests"], 0);
}

#[test]
fn a_restart_counts_the_requests_that_were_held_and_the_longest_hold() {
    let running = Portreeve::new().app("web", worker()).start();
    let old = running.pids("web", 1);
    running.site("web").rewrite(&["late=4s"]);
    let said = thread::scope(|scope| {
        let restart = scope.spawn(|| running.cli(&["restart", "web", "--json"]));
        until(SOON, "the old one is gone", || {
            (running.status().app("web").workers.iter().all(|worker| worker.pid != Some(old[0]))).then_some(())
        });
        let held: Vec<_> = (0..3).map(|_| running.http().get_meanwhile("/whoami")).collect();
        running.held("web", 3.0);
        assert!(held.into_iter().all(|one| one.join().unwrap().unwrap().status == 200));
        restart.join().unwrap()
    });
    let report = report(&said.stdout);
    assert_eq!((said.code, &report["held"], &report["failed"]), (0, &3.into(), &0.into()), "{}", said.text);
    let longest = report["longest_hold_ms"].as_u64().unwrap();
    assert!((50..15_000).contains(&longest), "{report}");
}

#[test]
fn a_request_that_is_cut_off_is_counted_as_forced_and_as_failed() {
    let mut running = Portreeve::new().app("web", worker().set("drain_timeout", "300ms")).start();
    let target = running.http();
    let hanging = thread::spawn(move || target.try_post("/hang", ""));
    running.in_flight("web", 1.0);
    let said = running.cli(&["reload", "--json", "--no-progress"]);
    assert_eq!(hanging.join().unwrap().unwrap().status, 502);
    let report = report(&said.stdout);
    assert_eq!((said.code, &report["forced"], &report["failed"]), (0, &1.into(), &1.into()), "{}", said.text);
    running.excuse("portreeve_drain_forced_total");
    running.excuse("portreeve_upstream_reset_stopping_total");
}

#[test]
fn without_the_drain_a_reload_ends_when_the_new_workers_serve() {
    let running = Portreeve::new().app("web", worker()).start();
    let slow = running.http().get_meanwhile("/slow?ms=1500");
    running.in_flight("web", 1.0);
    let said = running.cli(&["reload", "--no-drain", "--no-progress"]);
    assert!(!slow.is_finished(), "it does not wait for the old generation");
    assert_eq!((said.code, said.text.lines().count()), (0, 1), "{}", said.text);
    assert_eq!(slow.join().unwrap().unwrap().status, 200);
}

#[test]
fn a_reload_that_is_aborted_says_so_on_its_way_and_ends_with_1() {
    let running = Portreeve::new().app("web", worker().says("late=100ms")).start();
    running.site("web").rewrite(&["say=boom", "exit=3"]);
    let said = running.cli(&["reload", "web"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.stdout.contains("generation 2 failed, the old one serves on"), "{}", said.text);
    assert!(said.stdout.contains("  | boom\n  0 requests meanwhile: "), "{}", said.text);
}

#[test]
fn a_configuration_that_cannot_be_read_is_78_and_one_that_is_wrong_is_4() {
    let running = Portreeve::new().app("web", worker()).start();
    let absent = running.config().with_file_name("absent.toml");
    let output = std::process::Command::new(portreeve())
        .args(["reload", "-c"])
        .arg(absent)
        .stdin(Stdio::null())
        .env_remove("PORTREEVE_SOCKET")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let socket = running.socket().display().to_string();
    running.write_config(&format!("admin.socket = {socket:?}\n[app.web]\ncomand = 'x'\n"));
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains("everything stays as it was"), "{}", said.text);
}

#[test]
fn on_a_terminal_a_bar_grows_and_is_gone_in_the_end() {
    let running = Portreeve::new().app("web", worker().workers(2)).app("api", worker().set("path", "/api")).start();
    running.site("web").rewrite(&["late=700ms"]);
    running.site("api").rewrite(&["late=1200ms"]);
    let config = running.config();
    let words = [portreeve().to_str().unwrap(), "reload", "-c", config.to_str().unwrap()];
    let Some(terminal) = Terminal::open((80, 24), &words) else { return };
    terminal.shows(&["web  generation 2  [--------------------] 0/2 ready", "api  generation 2  ["]);
    let clean = terminal.shows(&[
        "web: generation 2 serves",
        "api: generation 2 serves",
        "requests meanwhile: ",
        "ended with 0",
    ]);
    assert!(!clean.contains("ready"), "{clean}");
}
