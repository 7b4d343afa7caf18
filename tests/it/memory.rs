//! Workers that need too much memory are replaced before they hurt anybody.

use toml::{Table, Value};

use crate::harness::process::Process;
use crate::harness::{App, Load, Portreeve, Running, SOON, until, worker};

/// More than the scripted worker needs by itself.
const SOFT: &str = "80MiB";

/// Enough to be beyond.
const LEAK: &str = "/leak?bytes=100000000";

fn memory(settings: &[(&str, &str)]) -> Table {
    settings.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

fn bounded(settings: &[(&str, &str)]) -> App {
    worker().set("memory", memory(settings))
}

/// What the status says of the app.
fn app(running: &Running) -> serde_json::Value {
    let reply = running.admin(http::Method::GET, "/v1/status").unwrap();
    let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    status["apps"][0].clone()
}

/// What it says of the worker in slot 0.
fn told(running: &Running) -> serde_json::Value {
    app(running)["workers"][0].clone()
}

/// Has this process a control group of its own to make others in, with the memory controller?
fn has_memory_groups() -> bool {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(own) = own.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
    let folder = std::path::Path::new("/sys/fs/cgroup").join(own);
    let controllers = std::fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    let is_writable = std::fs::OpenOptions::new().write(true).open(folder.join("cgroup.subtree_control")).is_ok();
    is_writable && controllers.split_whitespace().any(|name| name == "memory")
}

/// Replacements of a worker that leaks; each takes no longer than two looks and a start.
const ROUNDS: usize = 20;

#[test]
fn a_worker_that_leaks_is_replaced_twenty_times_under_load_without_a_failed_request() {
    let running = Portreeve::new().app("web", bounded(&[("soft", SOFT), ("interval", "100ms")])).start();
    let load = Load::new().clients(6, &running.http()).start();
    for _ in 0..ROUNDS {
        let before = running.pids("web", 1)[0];
        assert_eq!(running.get(LEAK).status, 200);
        until(SOON, "another worker has taken over", || (running.pids("web", 1)[0] != before).then_some(()));
        load.goes_on(10);
    }
    let tally = load.finish();
    println!("{ROUNDS} replacements for memory, {} requests, 0 failed", tally.answered());
    tally.assert_nothing_failed();
    tally.assert_each_order_once(running.ledger());
    let status = running.status();
    let app = status.app("web");
    assert_eq!(app.generation, Some(1), "no reload");
    let recycled = app.exits.iter().filter(|exit| exit.cause == "recycled").count();
    assert!(recycled >= ROUNDS - 1, "{:?}", app.exits);
}

#[test]
fn a_peak_that_is_within_the_limit_replaces_nobody_and_is_told_of() {
    let running = Portreeve::new().app("web", bounded(&[("soft", "300MiB"), ("interval", "100ms")])).start();
    let before = running.pids("web", 1);
    assert_eq!(running.get(LEAK).status, 200);
    let told = until(SOON, "it is measured", || {
        let told = told(&running);
        (told["memory_max"].as_u64()? > 100_000_000).then_some(told)
    });
    assert_eq!((told["memory_soft"].as_u64(), told["memory_hard"].as_u64()), (Some(300 << 20), None));
    assert!(["rss", "cgroup"].contains(&told["memory_metric"].as_str().unwrap()), "{told}");
    assert_eq!(running.pids("web", 1), before);
}

#[test]
fn beyond_the_hard_limit_nobody_waits_for_what_is_in_flight() {
    let app = bounded(&[("hard", SOFT), ("interval", "100ms")]).set("drain_timeout", "10m");
    let mut running = Portreeve::new().app("web", app).start();
    running.excuse("portreeve_drain_forced_total");
    running.excuse("portreeve_upstream_reset_stopping_total");
    let old = Process::find(running.pids("web", 1)[0]).unwrap();
    // What may not be sent twice is not tried on another worker.
    let target = running.http();
    let hanging = std::thread::spawn(move || target.try_post("/hang", ""));
    running.in_flight("web", 1.0);
    // Where the kernel enforces the limit there may be no answer to this.
    let _ = running.http().try_get(LEAK);
    assert!(old.ends_within(SOON), "{old:?}");
    assert_ne!(hanging.join().unwrap().ok().map(|reply| reply.status), Some(200));
    assert_ne!(running.pids("web", 1)[0], old.pid);
}

#[test]
fn what_a_workers_children_need_counts_as_its_own() {
    let running = Portreeve::new().app("web", bounded(&[("soft", SOFT), ("interval", "100ms")])).start();
    let before = running.pids("web", 1)[0];
    let child = running.get("/breed?bytes=100000000").json()["pid"].as_u64().unwrap();
    let child = Process::find(u32::try_from(child).unwrap()).unwrap();
    let exit = until(SOON, "it is replaced", || {
        running.status().app("web").exits.iter().find(|exit| exit.pid == before).cloned()
    });
    assert_eq!((exit.cause.as_str(), exit.reason.as_deref()), ("recycled", Some("memory")), "{exit:?}");
    assert!(child.ends_within(SOON), "{child:?}");
}

#[test]
fn where_the_kernel_kills_a_worker_for_its_memory_its_record_says_so() {
    let running = Portreeve::new().app("web", bounded(&[("hard", SOFT), ("interval", "100ms")])).start();
    if !is_measured_by_group(&running) {
        assert!(std::env::var_os("CI").is_none() || !has_memory_groups(), "they can, and portreeve makes none");
        eprintln!("skipped: no control groups with a memory limit can be made here");
        return;
    }
    let pid = running.pids("web", 1)[0];
    let _ = running.http().try_get(LEAK);
    let exit = until(SOON, "its end is on record", || {
        app(&running)["exits"].as_array()?.iter().find(|exit| exit["pid"] == pid).cloned()
    });
    assert_eq!((&exit["oom"], &exit["signal"], &exit["cause"]), (&true.into(), &9.into(), &"crashed".into()), "{exit}");
    assert_eq!(running.metrics().value("portreeve_worker_oom_total", &[("app", "web")]), Some(1.0));
    assert_ne!(running.pids("web", 1)[0], pid, "another one is started");
}

/// The metric is known once the worker was looked at; without groups it is another one.
fn is_measured_by_group(running: &Running) -> bool {
    until(SOON, "it is measured", || told(running)["memory_metric"].as_str().map(|metric| metric == "cgroup"))
}
