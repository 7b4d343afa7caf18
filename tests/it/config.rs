//! The configuration file: what is wrong with it is said exactly, and a wrong one changes nothing.

use rustix::process::Signal;

use crate::harness::{Portreeve, SOON, Said, isolated, portreeve, said, until, worker};

/// Checks a file with this text.
fn check(text: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("portreeve.toml"), text).unwrap();
    said(isolated(portreeve()).arg("check").current_dir(folder.path()))
}

#[track_caller]
fn assert_faults(text: &str, faults: &[&str]) {
    let said = check(text);
    assert_eq!(said.code, 78, "{}", said.text);
    for fault in faults {
        assert!(said.text.contains(fault), "no {fault:?} in\n{}", said.text);
    }
}

#[test]
fn a_right_file_passes_the_check() {
    let said = check("[app.web]\ncommand = \"node server.js\"\nready = { http = \"/health\" }\n");
    assert_eq!(said.code, 0, "{}", said.text);
}

#[test]
fn a_misspelt_key_is_shown_with_its_place_and_what_may_be_meant() {
    let text = "[listen]\nhttp = \"127.0.0.1:0\"\n[app.web]\ncommand = \"node server.js\"\n  workres = 2\n";
    assert_faults(text, &["portreeve.toml:5:3", "workres = 2", "workers"]);
}

#[test]
fn all_faults_are_told_at_once() {
    let text = "[listen]\nhtpp = \"127.0.0.1:0\"\n[app.web]\ncommand = \"node server.js\"\nworkers = \"many\"\n\
                drain_timeout = \"30 fortnights\"\n[app.\"not a name\"]\ncommand = \"true\"\n";
    assert_faults(text, &["portreeve.toml:2:", "portreeve.toml:5:", "portreeve.toml:6:", "portreeve.toml:7:"]);
}

#[test]
fn what_is_no_toml_is_shown_with_its_place() {
    assert_faults("[listen]\nhttp = \"127.0.0.1:0\n", &["portreeve.toml:2:"]);
}

#[test]
fn a_run_with_a_wrong_file_ends_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("portreeve.toml"), "[app.web]\nworkers = 2\n").unwrap();
    let said = said(isolated(portreeve()).arg("run").current_dir(folder.path()));
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains("command") && said.text.contains("portreeve.toml"), "{}", said.text);
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    assert_eq!(said(isolated(portreeve()).arg("--no-such-option")).code, 64);
    assert_eq!(said(isolated(portreeve()).arg("no-such-verb")).code, 64);
}

#[test]
fn a_reload_with_a_wrong_file_changes_nothing() {
    let mut running = Portreeve::new().app("web", worker().workers(2)).start();
    let before = running.pids("web", 2);
    running.write_config("[app.web]\ncommand = \"node server.js\"\nworkres = 2\n");
    let said = running.cli_by_socket(&["reload"]);
    assert_eq!(said.code, 4, "{}", said.text);
    for text in ["portreeve.toml:3:1", "workers"] {
        assert!(said.text.contains(text), "no {text:?} in\n{}", said.text);
    }
    running.signal(Signal::HUP);
    until(SOON, "the fault is in the log", || running.output().stderr().contains("workres").then_some(()));
    assert_eq!(running.pids("web", 2), before);
    assert_eq!(running.get("/whoami").generation(), Some(1));
}

#[test]
fn apps_come_and_go_with_a_reload() {
    let api = worker().set("path", "/headers");
    let mut running = Portreeve::new().app("web", worker()).app("api", api).start();
    let asked = || running.get("/headers").header("worker-app").map(str::to_owned);
    assert_eq!(asked().as_deref(), Some("api"));

    let table = running.unconfigure("api");
    let reloaded = running.reload();
    let outcome = |name: &str| reloaded.apps.iter().find(|app| app.app == name).map(|app| app.outcome.clone());
    assert_eq!((outcome("api").as_deref(), outcome("web").as_deref()), (Some("removed"), Some("live")));
    let asked = || running.get("/headers").header("worker-app").map(str::to_owned);
    assert_eq!(asked().as_deref(), Some("web"));
    until(SOON, "its worker is gone", || running.status().apps.iter().all(|app| app.name != "api").then_some(()));

    running.configure("app.api", table);
    let reloaded = running.reload();
    assert!(reloaded.apps.iter().any(|app| app.app == "api" && app.outcome != "aborted"), "{reloaded:?}");
    running.serving("api", 1);
    assert_eq!(running.get("/headers").header("worker-app"), Some("api"));
}
