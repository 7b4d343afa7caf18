//! A new version that does not work costs nothing but the attempt: the old one serves on, and the operator is told why.

use std::fs;

use crate::harness::{App, Load, Portreeve, Running, SOON, until, worker};

/// Breaks the app, reloads, and checks that nothing happened but an explanation; then repairs it and reloads again.
#[track_caller]
fn stays_on_the_old_generation(app: App, damage: impl FnOnce(&Running), repair: impl FnOnce(&Running), says: &[&str]) {
    let running = Portreeve::new().app("web", app.workers(2)).start();
    let pids = running.pids("web", 2);
    let load = Load::new().clients(4, &running.http()).start();

    damage(&running);
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 1, "{}", said.text);
    for text in says {
        assert!(said.text.contains(text), "no {text:?} in\n{}", said.text);
    }
    assert_eq!(running.pids("web", 2), pids, "the old workers are untouched");
    load.goes_on(20);
    assert_eq!(running.get("/whoami").generation(), Some(1));

    repair(&running);
    load.expect_generation(running.reload_live());
    load.goes_on(20);
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
}

/// As above, for a version that differs in its behaviour only.
#[track_caller]
fn refuses_the_version(app: App, words: &[&str], says: &[&str]) {
    stays_on_the_old_generation(
        app,
        |running| running.site("web").rewrite(words),
        |running| running.site("web").rewrite(&[]),
        says,
    );
}

#[test]
fn a_version_that_throws_at_boot_is_refused_with_its_last_lines() {
    let words = ["say=Error: Cannot find module './gone'", "say=    at Module._resolveFilename", "exit=1"];
    refuses_the_version(
        worker(),
        &words,
        &["exit code 1", "Cannot find module './gone'", "at Module._resolveFilename"],
    );
}

#[test]
fn a_version_that_just_exits_is_refused() {
    refuses_the_version(worker(), &["exit=0"], &["exit code 0"]);
}

#[test]
fn a_version_that_never_listens_is_refused_when_its_time_is_up() {
    let app = worker().set("start_timeout", "2s");
    refuses_the_version(app, &["say=waiting for the database", "late=60s"], &["waiting for the database"]);
}

#[test]
fn a_version_that_fails_its_probe_is_refused_with_the_status() {
    let app = worker().set("start_timeout", "2s");
    refuses_the_version(app, &["say=migrations pending", "health=500"], &["500", "migrations pending"]);
}

#[test]
fn a_version_that_passes_two_probes_and_then_crashes_is_refused() {
    refuses_the_version(worker(), &["say=one last word", "crash-on-probe=3"], &["exit code 1", "one last word"]);
}

#[test]
fn a_version_without_its_program_is_refused_with_the_step_that_failed() {
    let aside = |running: &Running| running.site("web").program().with_extension("aside");
    stays_on_the_old_generation(
        worker(),
        |running| fs::rename(running.site("web").program(), aside(running)).unwrap(),
        |running| fs::rename(aside(running), running.site("web").program()).unwrap(),
        &["web/worker", "No such file or directory"],
    );
}

#[test]
fn a_version_without_its_folder_is_refused_with_the_step_that_failed() {
    let aside = |running: &Running| running.site("web").release().with_extension("aside");
    stays_on_the_old_generation(
        worker(),
        |running| fs::rename(running.site("web").release(), aside(running)).unwrap(),
        |running| fs::rename(aside(running), running.site("web").release()).unwrap(),
        &["web/release", "No such file or directory"],
    );
}

#[test]
fn a_first_version_that_is_broken_is_tried_until_it_works() {
    let running = Portreeve::new().app("web", worker().says("say=not yet").says("exit=1")).launch();
    running.output().line(&["web", "not yet"]);
    let failure = until(SOON, "the failure is reported", || running.status().app("web").last_failure.clone());
    assert!(failure.contains("exit code 1"), "{failure}");
    running.site("web").rewrite(&[]);
    running.serving("web", 1);
    assert_eq!(running.get("/whoami").status, 200);
}
