//! Node's IPC channel: apps that say when they are ready and are told when to stop, and apps that do what they like with it.

use std::path::Path;
use std::time::Instant;

use crate::harness::process::Process;
use crate::harness::{App, Load, Portreeve, Running, SOON, program, until, worker};
use crate::tools;

/// A kill that no test waits for, nor for half of the time before it.
const NEVER: &str = "10m";

/// An app of `tests/apps` with Node, ready when it says so.
fn node(app: &str, file: &str) -> App {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps").join(app);
    program(&["node", file])
        .set("directory", folder.display().to_string())
        .set("ready", "ipc")
        .set("start_timeout", "20s")
}

fn with_habit(habit: &str) -> App {
    let env = toml::Table::from_iter([("HABIT".to_owned(), habit.into())]);
    node("esm", "server.mjs").set("env", env)
}

fn faults(running: &Running, kind: &str) -> f64 {
    running.metrics().sum("portreeve_channel_faults_total", &[("app", "web"), ("kind", kind)])
}

fn first_worker(running: &Running) -> Process {
    Process::find(running.pids("web", 1)[0]).unwrap()
}

#[test]
fn a_pm2_app_that_says_when_it_is_ready_is_reloaded_without_losing_a_request() {
    if !tools::need("node") {
        return;
    }
    let portreeve = Portreeve::new();
    let ledger = portreeve.path().join("ledger").display().to_string();
    let env = toml::Table::from_iter([("LEDGER".to_owned(), ledger.into())]);
    let app = node("http", "server.js").workers(2).set("env", env).set("kill_timeout", NEVER);
    let running = portreeve.app("web", app).start();
    running.reloads_without_a_loss(5, || ());
}

#[test]
fn an_app_of_modules_is_stopped_by_the_message_and_by_nothing_else() {
    if !tools::need("node") {
        return;
    }
    let running = Portreeve::new().app("web", with_habit("metrics").set("kill_timeout", NEVER)).start();
    assert_eq!(running.get("/whoami").json()["connected"], true);
    let old = first_worker(&running);
    running.reload_live();
    assert!(old.ends_within(SOON));
    running.output().line(&["web 1.0 ", "closed because of a message"]);
    until(SOON, "its end is told", || running.output().stderr().contains("exit code 0").then_some(()));
    assert!(!running.output().stdout().contains("the channel is closed"), "our end stays open to the last");
}

#[test]
fn an_app_that_knows_only_the_signal_gets_it_when_half_of_its_time_is_over() {
    if !tools::need("node") {
        return;
    }
    let running = Portreeve::new().app("web", with_habit("deaf").set("kill_timeout", "400ms")).start();
    let old = first_worker(&running);
    running.reload_live();
    assert!(old.ends_within(SOON));
    until(SOON, "its end is told", || running.output().stderr().contains("SIGTERM").then_some(()));
}

#[test]
fn an_app_that_leaves_the_channel_is_stopped_by_the_signal_at_once() {
    if !tools::need("node") {
        return;
    }
    let running = Portreeve::new().app("web", with_habit("disconnect").set("kill_timeout", NEVER)).start();
    running.output().line(&["web 1.0 ", "the channel is closed"]);
    assert_eq!(running.get("/whoami").json()["connected"], false);
    let old = first_worker(&running);
    running.reload_live();
    assert!(old.ends_within(SOON));
}

#[test]
fn an_app_that_sends_a_handle_is_answered_and_heard_after_it() {
    if !tools::need("node") {
        return;
    }
    // Without an answer Node would keep back everything that follows the handle, the word that it is ready too.
    let running = Portreeve::new().app("web", with_habit("handle")).start();
    assert_eq!(running.get("/whoami").json()["app"], "esm");
    assert_eq!(running.reload_live(), 2);
}

#[test]
fn a_worker_that_never_says_that_it_is_ready_aborts_the_reload_whatever_it_serves() {
    let mut running = Portreeve::new().app("web", worker()).start();
    running.configure("app.web.ready", "ipc");
    running.configure("app.web.start_timeout", "500ms");
    let said = running.cli(&["reload"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("was not ready within 500ms: it never said that it is"), "{}", said.text);
    assert_eq!(running.get("/whoami").generation(), Some(1));
}

#[test]
fn a_worker_is_ready_as_soon_as_it_says_so_though_no_probe_would_succeed() {
    let says_so = "printf '\"ready\"\\n' >&3";
    let app = worker().says("health=500").after(says_so).set("ready", "ipc");
    // Its first word comes before it listens: what it declares is not looked into.
    let running = Portreeve::new().app("web", app).start();
    until(SOON, "it listens too", || (running.http().try_get("/whoami").ok()?.status == 200).then_some(()));
    running.reload_live();
}

#[test]
fn what_is_no_message_is_counted_and_hurts_nobody() {
    let hostile =
        "printf 'no json\\n\\000\\377\\n{{{\\n' >&3; head -c 10485760 /dev/zero >&3; printf '\\n\"half a li' >&3";
    let app = worker().set("ipc", true).set("kill_timeout", "1s").after(hostile);
    let running = Portreeve::new().app("web", app).start();
    until(SOON, "all of it is counted", || {
        let counted = (faults(&running, "garbage"), faults(&running, "too_long"));
        (counted.0 >= 3.0 && counted.1 >= 1.0).then_some(())
    });
    let warned = |line: &&str| line.contains("channel") && line.contains("web 1.0");
    assert_eq!(running.output().stderr().lines().filter(warned).count(), 1, "it is said once");
    let old = first_worker(&running);
    running.reload_live();
    assert!(old.ends_within(SOON));
    assert_eq!(running.get("/whoami").generation(), Some(2));
}

#[test]
fn a_flood_on_the_channel_slows_nothing_down() {
    let flood = "yes '\"ready\"' >&3 & yes garbage >&3 &";
    let app = worker().workers(2).set("ipc", true).set("kill_timeout", "1s").after(flood);
    let running = Portreeve::new().app("web", app).start();
    until(SOON, "the flood is on", || (faults(&running, "garbage") > 10_000.0).then_some(()));
    let load = Load::new().clients(4, &running.http()).start();
    running.reload_live();
    load.goes_on(50);
    load.finish().assert_nothing_failed();
    let (before, counted, began) = (cpu_ticks(running.pid()), faults(&running, "garbage"), Instant::now());
    until(SOON, "the flood goes on", || (faults(&running, "garbage") > counted + 20_000.0).then_some(()));
    let (ticks, took) = (cpu_ticks(running.pid()) - before, began.elapsed());
    // A hundred ticks are a second of one CPU.
    let share = f64::from(u32::try_from(ticks).unwrap()) / 100.0 / took.as_secs_f64();
    assert!(share < 0.5, "two floods take {share} of a CPU");
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_channel_closed_early_changes_nothing_but_how_the_worker_is_stopped() {
    let app = worker().set("ipc", true).set("kill_timeout", NEVER).after("exec 3>&-");
    let running = Portreeve::new().app("web", app).start();
    let old = first_worker(&running);
    running.reload_live();
    assert!(old.ends_within(SOON), "the signal comes at once");
    assert!(faults(&running, "garbage") < 1.0);
}
