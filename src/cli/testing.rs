//! A status with a bit of everything, for tests of how things look.

use serde_json::{Value, json};

use crate::control::words::Status;

fn worker(name: &str, generation: u64, slot: u64, more: &Value) -> Value {
    let mut worker = json!({
        "id": format!("{name} {generation}.{slot}"), "serial": slot, "slot": slot, "generation": generation,
        "state": "serving", "pid": 40_711 + slot, "address": { "tcp": format!("127.0.0.1:4100{slot}") }, "port": 41_000 + slot,
        "uptime_seconds": 7_500, "restarts": 0, "memory": 52_428_800, "memory_metric": "cgroup", "memory_max": 62_914_560,
        "memory_soft": 524_288_000, "cpu": 12.3, "cpu_seconds": 311.25, "inflight": 3, "requests": 1000, "failed": 1,
        "req_per_second": 812.5, "oldest_ms": null,
    });
    let fields = worker.as_object_mut().expect("it is one");
    fields.extend(more.as_object().expect("fields").clone());
    worker
}

fn exit(cause: &str, code: i32) -> Value {
    json!({
        "worker": "web 12.1", "generation": 12, "slot": 1, "pid": 7, "started": "2026-01-31T11:00:00.5Z",
        "ended": "2026-01-31T12:00:00.5Z", "code": code, "signal": null, "core": false, "cause": cause, "killed": false,
        "max_memory": 62_914_560, "oom": false, "lines": ["Error: no more", "    at main (server.js:7)"],
    })
}

/// Three apps: one with a worker that crashes, one with a fixed server, one that is stopped.
pub(super) fn status() -> Status {
    let crashing = json!({ "state": "backoff", "pid": null, "address": null, "port": null, "restarts": 14, "memory": null,
        "cpu": null, "cpu_seconds": null, "inflight": 0, "req_per_second": 0.0, "uptime_seconds": 0 });
    let fixed = json!({ "state": "up", "pid": null, "address": { "tcp": "10.0.0.7:9000" }, "memory": null, "cpu": null,
        "cpu_seconds": null, "uptime_seconds": 30 });
    let app = |id: u32, name: &str, state: &str, generation: Option<u64>, workers: Vec<Value>| {
        json!({ "id": id, "name": name, "state": state, "generation": generation, "workers": workers,
            "last_failure": null, "exits": [] })
    };
    let mut web = app(
        0,
        "web",
        "crash-looping",
        Some(12),
        vec![
            worker("web", 12, 0, &json!({ "says": "warm" })),
            worker("web", 12, 1, &crashing),
            worker("web", 12, 2, &json!({ "state": "crash-looping" })),
        ],
    );
    web["last_failure"] = "exited with exit code 1 while it served".into();
    web["exits"] = json!([exit("replaced", 0), exit("crashed", 1)]);
    let apps = [
        app(2, "static", "running", None, vec![worker("static", 0, 0, &fixed)]),
        web,
        app(1, "old", "stopped", None, vec![]),
    ];
    let status = json!({
        "version": "0.1.0", "pid": 4711, "config": "/srv/portreeve.toml", "uptime_seconds": 7_600, "apps": apps,
        "listeners": [{ "address": "0.0.0.0:3000", "tls": false, "inherited": false, "app": "web" }],
        "metrics": "127.0.0.1:9900", "proxies": [{ "number": 1, "pid": 4712, "state": "serving" }],
    });
    serde_json::from_value(status).expect("these are the words")
}
