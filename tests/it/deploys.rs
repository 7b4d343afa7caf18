//! While a reload or a restart goes on it is shown how far it has come, and in the end what it has cost.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use toml::{Table, Value};

use crate::harness::{App, Load, Portreeve, Running, SOON, Terminal, portreeve, until, worker};

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

/// An app whose generations follow each other so.
fn deployed(workers: usize, deploy: &[(&str, Value)]) -> App {
    let deploy: Table = deploy.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    worker().workers(workers).set("deploy", deploy)
}

/// More than any machine has: there is no room for another worker.
const ALL_OF_IT: &str = "500000GiB";

/// Does this, and says how many processes of the app there were at any one time meanwhile, as far as that is seen.
fn most_processes<T>(running: &Running, act: impl FnOnce() -> T) -> (T, usize) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::SeqCst) {
                let status = running.status();
                most = most.max(status.app("web").workers.iter().filter(|worker| worker.pid.is_some()).count());
            }
            most
        });
        let done = act();
        is_over.store(true, Ordering::SeqCst);
        (done, watching.join().unwrap())
    })
}

/// Reloads three times under load: nothing fails, and the strategy is called so. Gives the most processes that were seen.
fn reloads_by(running: &Running, strategy: &str) -> usize {
    let load = Load::new().clients(6, &running.http()).start();
    let mut most = 0;
    for _ in 0..3 {
        let (reloaded, seen) = most_processes(running, || running.reload());
        let [app] = &reloaded.apps[..] else { panic!("not one app: {reloaded:?}") };
        assert_eq!(app.outcome, "live", "{reloaded:?}");
        assert!(app.strategy.as_ref().is_some_and(|said| said.starts_with(strategy)), "{reloaded:?}");
        most = most.max(seen);
        load.goes_on(20);
    }
    let tally = load.finish();
    println!("{strategy}: {} requests over 3 reloads, 0 failed, {most} processes at most", tally.answered());
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    most
}

#[test]
fn with_room_for_all_of_them_all_new_workers_come_beside_all_old_ones() {
    let running = Portreeve::new().app("web", deployed(2, &[("reserve", "1MiB".into())])).start();
    assert!(reloads_by(&running, "blue-green: 2 workers of ") <= 4);
}

#[test]
fn with_a_surge_of_one_the_workers_are_replaced_one_by_one_without_a_failed_request() {
    let running = Portreeve::new().app("web", deployed(3, &[("max_surge", 1.into())])).start();
    assert!(reloads_by(&running, "rolling, 1 at a time: ") <= 4);
    assert_eq!(running.pids("web", 3).len(), 3);
}

#[test]
fn without_room_for_another_one_an_old_worker_goes_first_without_a_failed_request() {
    let running = Portreeve::new().app("web", deployed(3, &[("reserve", ALL_OF_IT.into())])).start();
    assert!(reloads_by(&running, "shrink-first: 3 workers of ") <= 3);
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.stdout.contains("\n  shrink-first: 3 workers of "), "{}", said.text);
    assert!(said.stdout.contains("are kept free: room for none more\n"), "{}", said.text);
}

#[test]
fn one_worker_without_room_is_replaced_while_requests_wait_where_that_is_wanted() {
    let deploy = [("reserve", ALL_OF_IT.into()), ("on_no_room", "hold".into())];
    let running = Portreeve::new().app("web", deployed(1, &deploy)).start();
    assert!(reloads_by(&running, "hold: 1 worker of ") <= 1);
    assert!(running.metrics().sum("portreeve_held_total", &[("app", "web")]) > 0.0);
}

#[test]
fn one_worker_without_room_is_not_replaced_where_requests_are_not_to_wait() {
    let running = Portreeve::new().app("web", deployed(1, &[("reserve", ALL_OF_IT.into())])).start();
    let before = running.pids("web", 1);
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("the old one serves on: there is no room for a second worker"), "{}", said.text);
    assert!(said.text.contains("room for none more") && said.text.contains("`on_no_room = \"hold\"`"), "{}", said.text);
    assert_eq!(running.pids("web", 1), before);
}

/// Says no to the second worker of an app in whose folder there is a file of that name.
const SECOND_MAY_FAIL: &str = "if [ \"$PORTREEVE_SLOT\" = 1 ] && [ -e ../broken ]; then echo no luck >&2; exit 3; fi";

fn break_second(running: &Running) {
    std::fs::write(running.site("web").release().with_file_name("broken"), "").unwrap();
}

#[test]
fn when_a_later_worker_fails_the_old_ones_come_back_and_no_client_notices() {
    let app = deployed(3, &[("max_surge", 1.into())]).after(SECOND_MAY_FAIL).set("restart", "on-failure");
    let running = Portreeve::new().app("web", app).start();
    break_second(&running);
    let load = Load::new().clients(6, &running.http()).start();
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 2, "{}", said.text);
    assert!(said.text.contains("worker web 2.1 exited with exit code 3 before it was ready"), "{}", said.text);
    assert!(said.text.contains("  | no luck\n"), "{}", said.text);
    load.goes_on(20);
    until(SOON, "three of the old generation serve", || {
        let workers = running.serving("web", 3);
        workers.iter().all(|worker| worker.generation == 1).then_some(())
    });
    load.finish().assert_nothing_failed();
}

#[test]
fn a_broken_build_costs_one_old_worker_its_place_for_a_moment_and_it_comes_back_as_it_was() {
    let running = Portreeve::new().app("web", deployed(2, &[("strategy", "shrink-first".into())])).start();
    let before = running.pids("web", 2);
    running.site("web").rewrite(&["say=boom", "exit=3"]);
    let load = Load::new().clients(4, &running.http()).start();
    let (said, most) = most_processes(&running, || running.cli(&["reload"]));
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.stdout.contains("  | boom\n"), "{}", said.text);
    assert!(most <= 2, "{most}");
    load.goes_on(20);
    // The script of the scripted worker is not part of its release.
    running.site("web").rewrite(&[]);
    until(SOON, "both places of the old generation are taken", || {
        let workers = running.serving("web", 2);
        workers.iter().all(|worker| worker.generation == 1).then_some(())
    });
    load.finish().assert_nothing_failed();
    assert!(running.pids("web", 2).contains(&before[0]), "the other one never noticed");
}

#[test]
fn a_reload_in_steps_can_be_scaled_and_a_newer_one_wins() {
    let app = deployed(2, &[("strategy", "rolling".into())]).says("late=200ms");
    let running = Portreeve::new().app("web", app).start();
    let load = Load::new().clients(4, &running.http()).start();
    thread::scope(|scope| {
        let first = scope.spawn(|| running.reload());
        until(SOON, "the first of the new ones serves", || {
            (running.get("/whoami").generation() == Some(2)).then_some(())
        });
        let scaled = scope.spawn(|| running.cli(&["scale", "web", "3"]));
        let second = running.reload();
        assert_eq!(second.apps[0].outcome, "live", "{second:?}");
        assert_eq!(first.join().unwrap().apps[0].outcome, "superseded");
        let scaled = scaled.join().unwrap();
        assert!([0, 3].contains(&scaled.code), "{}", scaled.text);
    });
    let newest = running.reload_live();
    assert!(running.serving("web", 3).iter().all(|worker| worker.generation == newest));
    load.goes_on(20);
    load.finish().assert_nothing_failed();
}

#[test]
fn a_fourth_generation_that_drains_ends_the_patience_with_the_first() {
    let mut running = Portreeve::new().app("web", worker().set("drain_timeout", "10m")).start();
    let target = running.http();
    let hanging = thread::spawn(move || target.try_post("/hang", ""));
    running.in_flight("web", 1.0);
    let mut slow = Vec::new();
    for _ in 0..3 {
        running.reload_live();
        slow.push(running.http().get_meanwhile("/slow?ms=5000"));
        running.in_flight("web", 1.0 + slow.len() as f64);
        assert!(!hanging.is_finished(), "three may drain");
    }
    running.reload_live();
    assert_eq!(hanging.join().unwrap().unwrap().status, 502);
    assert!(slow.into_iter().all(|one| one.join().unwrap().unwrap().status == 200), "the others are waited for");
    running.excuse("portreeve_drain_forced_total");
    running.excuse("portreeve_upstream_reset_stopping_total");
}

/// An app with these commands around its reloads.
fn hooked(hooks: &[(&str, &str)]) -> App {
    let hooks: Vec<_> = hooks.iter().map(|(key, command)| (*key, Value::from(*command))).collect();
    deployed(2, &hooks)
}

/// What hooks have left in the folder of the app.
fn left(running: &Running, name: &str) -> String {
    std::fs::read_to_string(running.site("web").release().join(name)).unwrap_or_default()
}

#[test]
fn a_hook_runs_once_before_the_new_workers_get_requests_and_one_after_as_the_workers_do() {
    let before = "echo before $PORTREEVE_APP $PORTREEVE_GENERATION $COLOUR >> hooks; echo migrated";
    let app = hooked(&[("pre_promote", before), ("post_promote", "echo after $PORTREEVE_GENERATION >> hooks")]);
    let colour = Table::from_iter([("COLOUR".to_owned(), "green".into())]);
    let running = Portreeve::new().app("web", app.set("env", colour)).start();
    assert_eq!(left(&running, "hooks"), "", "a start is no reload");
    let load = Load::new().clients(4, &running.http()).start();
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(left(&running, "hooks"), "before web 2 green\nafter 2\n");
    running.reload_live();
    assert_eq!(left(&running, "hooks"), "before web 2 green\nafter 2\nbefore web 3 green\nafter 3\n");
    load.goes_on(10);
    load.finish().assert_nothing_failed();
    let logged = running.cli(&["logs", "web", "--nostream", "--lines", "50"]);
    assert!(logged.text.contains("migrated"), "{}", logged.text);
}

#[test]
fn while_the_first_hook_runs_the_old_workers_serve_and_if_it_fails_they_go_on() {
    let running = Portreeve::new().app("web", hooked(&[("pre_promote", "echo no table >&2; exit 7")])).start();
    let old = running.pids("web", 2);
    let load = Load::new().clients(4, &running.http()).start();
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("the old one serves on: `pre_promote` failed: exit code 7"), "{}", said.text);
    assert!(said.text.contains("  | no table\n"), "{}", said.text);
    load.goes_on(10);
    let tally = load.finish();
    tally.assert_nothing_failed();
    assert_eq!(tally.generations.keys().copied().collect::<Vec<_>>(), [1], "no request went to the new ones");
    assert_eq!(running.pids("web", 2), old);
}

#[test]
fn a_hook_that_takes_too_long_is_killed_with_all_that_it_has_started() {
    let sleepers = "sleep 3600 & echo $! > pid; sleep 3600";
    let app = hooked(&[("pre_promote", sleepers), ("hook_timeout", "500ms")]);
    let running = Portreeve::new().app("web", app).start();
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("`pre_promote` was not done within 500ms"), "{}", said.text);
    let pid: i32 = left(&running, "pid").trim().parse().unwrap();
    until(SOON, "its child is gone", || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
}

#[test]
fn a_newer_reload_ends_the_hook_of_the_one_before() {
    let hook = "[ $PORTREEVE_GENERATION != 2 ] && exit 0; echo $$ > pid; exec sleep 3600";
    let running = Portreeve::new().app("web", hooked(&[("pre_promote", hook)])).start();
    thread::scope(|scope| {
        let first = scope.spawn(|| running.reload());
        let pid = until(SOON, "the hook runs", || left(&running, "pid").trim().parse::<i32>().ok());
        assert_eq!(running.reload_live(), 3);
        assert_eq!(first.join().unwrap().apps[0].outcome, "superseded");
        until(SOON, "the hook is gone", || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    });
}

#[test]
fn a_hook_that_fails_afterwards_is_told_of_and_nothing_is_undone() {
    let running = Portreeve::new().app("web", hooked(&[("post_promote", "sleep 0.3; echo cold >&2; exit 3")])).start();
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.stdout.contains("web: generation 2 serves ("), "{}", said.text);
    assert!(said.stdout.contains("\n  but `post_promote` failed: exit code 3\n"), "{}", said.text);
    assert!(said.stdout.contains("  | cold\n"), "{}", said.text);
    assert_eq!(running.get("/whoami").generation(), Some(2));
}

#[test]
fn with_workers_one_by_one_the_hook_runs_once_when_the_first_is_ready() {
    let app = deployed(3, &[("max_surge", 1.into()), ("pre_promote", "echo $PORTREEVE_GENERATION >> hooks".into())]);
    let running = Portreeve::new().app("web", app).start();
    assert!(reloads_by(&running, "rolling, 1 at a time: ") <= 4);
    assert_eq!(left(&running, "hooks"), "2\n3\n4\n");
}
