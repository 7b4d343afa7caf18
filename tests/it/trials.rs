//! A new generation on trial, and the way back from it.

use std::thread;

use crate::harness::process::{self, Process};
use crate::harness::{Load, Portreeve, Running, SOON, until, worker};

/// An app whose new generations are watched, and the ones before kept, for so long.
fn tried(workers: usize, bake: &str, retain: &str) -> Portreeve {
    let deploy = toml::Table::from_iter([("bake".to_owned(), bake.into()), ("retain".to_owned(), retain.into())]);
    Portreeve::new().app("web", worker().workers(workers).set("deploy", deploy))
}

/// Asks until this generation answers; gives the status of every answer before.
fn until_generation(running: &Running, generation: u64) -> Vec<u16> {
    let mut statuses = Vec::new();
    until(SOON, "the generation answers", || {
        let reply = running.get("/whoami");
        statuses.push(reply.status);
        (reply.generation() == Some(generation)).then_some(())
    });
    statuses
}

#[test]
fn a_generation_that_answers_errors_is_rolled_back_and_exit_code_2_says_so() {
    let running = tried(2, "1m", "1m").start();
    let old = running.pids("web", 2);
    (0..20).for_each(|_| assert_eq!(running.get("/whoami").status, 200));
    running.site("web").rewrite(&["answers=500"]);
    thread::scope(|scope| {
        let reload = scope.spawn(|| running.cli(&["reload"]));
        until_generation(&running, 2);
        let statuses = until_generation(&running, 1);
        assert!(statuses.len() > 40 && statuses[..40].iter().all(|status| *status == 500), "{statuses:?}");
        let said = reload.join().unwrap();
        assert_eq!(said.code, 2, "{}", said.text);
        assert!(said.stdout.starts_with("web: generation 2 was bad and is rolled back"), "{}", said.text);
        assert!(said.stdout.contains("answers were errors (5xx), of those before 0 of "), "{}", said.text);
        assert!(said.text.contains("web: generation 2 serves, on trial"), "{}", said.text);
    });
    assert_eq!(running.pids("web", 2), old, "the same workers serve again");
    assert!(running.metrics().sum("portreeve_rollbacks_total", &[("app", "web")]) >= 1.0);
    let outcome = [("app", "web"), ("outcome", "rolled_back")];
    assert!(running.metrics().sum("portreeve_reloads_total", &outcome) >= 1.0);
}

#[test]
fn a_generation_whose_workers_crash_is_rolled_back_and_no_client_notices() {
    let running = tried(1, "1m", "1m").start();
    let old = running.pids("web", 1);
    running.site("web").rewrite(&["crash-on=10"]);
    thread::scope(|scope| {
        let reload = scope.spawn(|| running.reload());
        until_generation(&running, 2);
        let statuses = until_generation(&running, 1);
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        let reloaded = reload.join().unwrap();
        assert_eq!(reloaded.apps[0].outcome, "rolled_back", "{reloaded:?}");
    });
    assert_eq!(running.pids("web", 1), old);
}

#[test]
fn a_good_generation_is_live_after_its_trial_and_the_one_before_it_goes() {
    let running = tried(1, "500ms", "500ms").start();
    let old = Process::find(running.pids("web", 1)[0]).unwrap();
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.stdout.starts_with("web: generation 2 serves ("), "{}", said.text);
    assert!(old.ends_within(SOON));
    let said = running.cli(&["rollback", "web"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("web: not rolled back, it serves on: there is no earlier generation"), "{}", said.text);
    assert_eq!(running.get("/whoami").generation(), Some(2));
}

#[test]
fn while_the_old_workers_are_kept_a_rollback_swaps_the_two_at_once() {
    let running = tried(2, "0s", "1h").start();
    let old = running.pids("web", 2);
    running.reload_live();
    let said = running.cli(&["rollback", "web"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.stdout.starts_with("web: rolled back, generation 1 serves ("), "{}", said.text);
    assert_eq!(running.pids("web", 2), old);
    assert_eq!(running.get("/whoami").generation(), Some(1));
    assert_eq!(running.reload_live(), 3, "from there it goes on as usual");
}

#[test]
fn the_old_workers_are_kept_over_an_upgrade_and_after_a_supervisor_was_killed() {
    let running = tried(2, "0s", "1h").kept().start();
    let old = running.pids("web", 2);
    running.reload_live();
    running.upgrade();
    let kept = until(SOON, "they are there", || {
        let status = running.try_status().ok()?;
        let kept = status.app("web").workers.iter().filter(|one| one.state == "retained").filter_map(|one| one.pid);
        Some(kept.collect::<Vec<_>>()).filter(|kept| kept.len() == 2)
    });
    assert_eq!(kept, old);
    let said = running.cli(&["rollback", "web"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(running.pids("web", 2), old, "nobody was started");
    assert_eq!(running.get("/whoami").generation(), Some(1));
    running.reload_live();
    let supervisor = running.status().pid;
    process::kill(supervisor);
    until(SOON, "another supervisor", || (running.try_status().ok()?.pid != supervisor).then_some(()));
    assert_eq!(running.cli(&["rollback", "web"]).code, 0);
    assert_eq!(running.pids("web", 2), old);
}

#[test]
fn without_them_a_rollback_starts_what_ran_before_with_its_settings() {
    let mut running = Portreeve::new().app("web", worker()).start();
    let colour = |running: &Running| running.get("/environment").json()["COLOUR"].clone();
    running.configure("app.web.env.COLOUR", "green");
    running.reload_live();
    running.configure("app.web.env.COLOUR", "blue");
    running.reload_live();
    assert_eq!(colour(&running), "blue");
    let said = running.cli(&["rollback", "web"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(colour(&running), "green");
    assert_eq!(running.get("/whoami").generation(), Some(4));
    running.reload_live();
    assert_eq!(colour(&running), "blue", "a reload does what the file says");
}

#[test]
fn there_and_back_again_under_load_no_request_fails() {
    let running = tried(2, "0s", "1h").start();
    let load = Load::new().clients(8, &running.http()).start();
    for _ in 0..10 {
        running.reload_live();
        let said = running.cli(&["rollback", "web"]);
        assert_eq!(said.code, 0, "{}", said.text);
        load.goes_on(16);
    }
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert!(tally.generations.len() > 10, "{:?}", tally.generations);
}

#[test]
fn a_shorter_time_to_keep_than_to_watch_is_refused() {
    let running = tried(1, "10s", "20s").start();
    let text = std::fs::read_to_string(running.config()).unwrap().replace("\"20s\"", "\"5s\"");
    running.write_config(&text);
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 4, "{}", said.text);
    assert!(said.text.contains("`retain` is shorter than `bake`"), "{}", said.text);
    assert_eq!(running.get("/whoami").generation(), Some(1));
}
