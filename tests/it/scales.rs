//! Another number of workers at run time: nobody who asks notices, and what is said of it is true.

use toml::{Table, Value};

use crate::harness::{App, Home, Load, Portreeve, Running, SOON, Said, until, upstream, worker};

/// What `portreeve scale` says when it ends with this code.
#[track_caller]
fn scaled(running: &Running, words: &[&str], code: i32) -> String {
    let Said { code: ended, text, .. } = running.cli(&[&["scale"], words].concat());
    assert_eq!(ended, code, "scale {words:?}: {text}");
    text
}

/// The scripted worker with these keys in its `restart` table.
fn restarted<const N: usize>(settings: [(&str, Value); N]) -> App {
    let all = settings.into_iter().map(|(key, value)| (key.to_owned(), value));
    worker().set("restart", all.collect::<Table>())
}

/// How many workers are wanted, and how many configured.
fn numbers(running: &Running) -> (u32, u32) {
    let scale = running.status().app("web").scale.expect("it has workers");
    (scale.wanted, scale.configured)
}

#[test]
fn two_workers_become_six_one_and_three_under_load_and_no_request_fails() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    let first = running.pids("web", 2);
    let load = Load::new().clients(8, &running.http()).start();
    for (size, count) in [("6", 6), ("1", 1), ("+2", 3)] {
        let said = scaled(&running, &["web", size], 0);
        assert!(said.starts_with("web serves with "), "{said}");
        assert_eq!(running.status().app("web").serving().len(), count, "it waits until it is so");
        load.goes_on(50);
    }
    let tally = load.finish();
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    assert_eq!(running.pids("web", 3)[0], first[0], "the lowest slot was not touched");
    let status = running.status();
    let web = status.app("web");
    assert_eq!((web.generation, web.state.as_str()), (Some(1), "running"));
    let slots: Vec<_> = web.exits.iter().map(|exit| (exit.cause.as_str(), exit.slot, exit.code)).collect();
    assert_eq!(slots, [5, 4, 3, 2, 1].map(|slot| ("scaled", slot, Some(0))), "the highest first, one by one");
    assert_eq!(numbers(&running), (3, 2));
    assert!(running.cli(&["status"]).text.contains("web: running\n  scaled to 3; configured: 2\n"));
    assert!(running.metrics().sum("portreeve_worker_exits_total", &[("app", "web"), ("cause", "scaled")]) > 4.5);
    assert!(running.metrics().sum("portreeve_worker_restarts_total", &[("app", "web")]) < 0.5);
}

#[test]
fn a_surplus_worker_finishes_what_it_has() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    let slow = [(); 2].map(|()| running.http().get_meanwhile("/slow?ms=1500"));
    running.in_flight("web", 2.0);
    scaled(&running, &["web", "1"], 0);
    for answer in slow {
        assert_eq!(answer.join().unwrap().unwrap().status, 200);
    }
    assert_eq!(running.pids("web", 1).len(), 1);
}

#[test]
fn a_reload_under_way_comes_to_the_new_number() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    running.site("web").rewrite(&["late=500ms"]);
    let mut reload = running.command(&["reload"]);
    let reload = std::thread::spawn(move || crate::harness::said(&mut reload));
    let is_staging =
        |running: &Running| running.status().app("web").workers.iter().any(|worker| worker.generation == 2);
    until(SOON, "a second generation starts", || is_staging(&running).then_some(()));
    scaled(&running, &["web", "3"], 0);
    assert_eq!(reload.join().unwrap().code, 0);
    let generations: Vec<_> = running.serving("web", 3).iter().map(|worker| worker.generation).collect();
    assert_eq!(generations, [2; 3]);
}

#[test]
fn workers_that_do_not_start_are_told_of_and_the_number_holds() {
    let running = Portreeve::new()
        .app("web", restarted([("backoff_min", "50ms".into()), ("backoff_max", "100ms".into())]))
        .start();
    let [pid] = running.pids("web", 1)[..] else { panic!("one worker") };
    running.site("web").rewrite(&["say=no disk", "exit=3"]);
    let said = scaled(&running, &["web", "+1"], 1);
    let why = "web has not come to 2 workers yet: worker web 1.1 exited with exit code 3 before it was ready";
    assert!(said.starts_with(why) && said.contains("| no disk\n"), "{said}");
    assert_eq!((running.get("/whoami").status, running.pids("web", 1)), (200, vec![pid]));
    running.site("web").rewrite(&[]);
    assert_eq!(running.pids("web", 2)[0], pid, "another one is tried");
}

#[test]
fn in_a_crash_loop_it_says_so_and_comes_to_the_number_when_that_is_over() {
    let app = restarted([
        ("backoff_min", "10ms".into()),
        ("backoff_max", "20ms".into()),
        ("intensity", 2.into()),
        ("retry", "200ms".into()),
        ("reset", "200ms".into()),
    ]);
    let running = Portreeve::new().app("web", app.says("exit=1")).launch();
    until(SOON, "it loops", || (running.status().app("web").state == "crash-looping").then_some(()));
    let said = scaled(&running, &["web", "2"], 1);
    assert!(said.contains("web has not come to 2 workers yet: it is in a crash loop"), "{said}");
    running.site("web").rewrite(&[]);
    running.serving("web", 2);
}

#[test]
fn the_number_holds_over_reloads_and_restarts_until_the_file_says_another_one() {
    let mut running = Portreeve::new().app("web", worker().workers(2)).start();
    scaled(&running, &["web", "3"], 0);
    running.configure("app.web.drain_timeout", "20s");
    running.reload_live();
    running.serving("web", 3);
    assert_eq!(running.cli(&["restart", "web"]).code, 0);
    running.serving("web", 3);
    assert_eq!(numbers(&running), (3, 2));
    running.configure("app.web.workers", 4);
    running.reload_live();
    running.serving("web", 4);
    running.configure("app.web.workers", 2);
    running.reload_live();
    running.serving("web", 2);
    assert_eq!(numbers(&running), (2, 2), "what was forgotten does not come back");
}

#[test]
fn a_stopped_app_starts_with_the_number_that_it_was_told() {
    let running = Portreeve::new().app("web", worker().workers(2)).start();
    assert_eq!(running.cli(&["stop", "web"]).code, 0);
    let said = scaled(&running, &["web", "-1"], 0);
    assert_eq!(said, "web does not run; it starts with 1 worker\n");
    assert_eq!(running.cli(&["start", "web"]).code, 0);
    running.serving("web", 1);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let running = Portreeve::new()
        .app("web", worker().workers(2))
        .app("old", upstream(&["127.0.0.1:9".to_owned()]).set("path", "/old"))
        .launch();
    let pids = running.pids("web", 2);
    for (words, why) in [
        (["web", "0"], "to stop it and keep it known: portreeve stop web"),
        (["web", "-2"], "web has 2 workers, -2 would leave none; to stop it and keep it known: portreeve stop web"),
        (["web", "1025"], "1024 are the most"),
        (["web", "+1023"], "web cannot have 1025 workers: 1024 are the most"),
        (["old", "2"], "old has no workers of ours"),
        (["all", "3"], "old has no workers of ours"),
        (["wbe", "3"], "did you mean `web`?"),
        (["web", "many"], "`many` is no number of workers: write 4 for so many, +2 for more"),
    ] {
        let said = scaled(&running, &words, 64);
        assert!(said.contains(why), "{words:?}: {said}");
    }
    assert_eq!((running.pids("web", 2), numbers(&running)), (pids, (2, 2)));
}

#[test]
fn in_the_list_of_apps_the_number_is_written_down() {
    let home = Home::new();
    home.start("web", &["-i", "2"]);
    home.ok(&["scale", "web", "+1"]);
    assert!(home.list_text().contains("workers = 3"), "{}", home.list_text());
    assert_eq!(home.pids("web").len(), 3);
    let pids = home.pids("web");
    home.ok(&["start", "web"]);
    assert_eq!(home.pids("web"), pids, "it runs as the list says: there is nothing to replace");
    home.ok(&["kill"]);
    home.ok(&["resurrect"]);
    assert_eq!(home.pids("web").len(), 3);
}
