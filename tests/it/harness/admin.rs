//! The admin API as an outsider sees it: its JSON, read with types of our own, so that a renamed field fails a test.

use std::net::SocketAddr;

use serde::Deserialize;

/// `GET /v1/status`.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) apps: Vec<App>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) inherited: bool,
    pub(crate) app: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Proxy {
    pub(crate) pid: u32,
    pub(crate) state: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct App {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) panic_routing: bool,
    pub(crate) generation: Option<u64>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) scale: Option<Scale>,
    pub(crate) last_failure: Option<String>,
    pub(crate) exits: Vec<Exit>,
    pub(crate) recycling: Vec<Recycling>,
    pub(crate) job: Option<Job>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) schedule: String,
    pub(crate) next: Option<String>,
    pub(crate) running_since: Option<String>,
    pub(crate) last: Option<Run>,
    pub(crate) last_success: Option<String>,
    pub(crate) runs: u64,
    pub(crate) failures: u64,
    pub(crate) missed: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) result: String,
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Scale {
    pub(crate) wanted: u32,
    pub(crate) configured: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Exit {
    pub(crate) worker: String,
    pub(crate) generation: u64,
    pub(crate) slot: u32,
    pub(crate) pid: u32,
    pub(crate) started: String,
    pub(crate) ended: String,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) core: bool,
    pub(crate) cause: String,
    pub(crate) reason: Option<String>,
    pub(crate) killed: bool,
    pub(crate) lines: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Recycling {
    pub(crate) reason: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Worker {
    pub(crate) id: String,
    pub(crate) serial: Option<u64>,
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    pub(crate) state: String,
    pub(crate) pid: Option<u32>,
    pub(crate) port: Option<u16>,
    pub(crate) address: Option<serde_json::Value>,
    pub(crate) says: Option<String>,
    pub(crate) restarts: u64,
    pub(crate) inflight: u32,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) req_per_second: f64,
    pub(crate) oldest_ms: Option<u64>,
}

/// `POST /v1/reload`.
#[derive(Debug, Deserialize)]
pub(crate) struct Reloaded {
    pub(crate) apps: Vec<AppReloaded>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AppReloaded {
    pub(crate) app: String,
    pub(crate) outcome: String,
    pub(crate) generation: Option<u64>,
    pub(crate) reason: Option<String>,
    pub(crate) lines: Vec<String>,
    pub(crate) millis: u64,
    #[serde(default)]
    pub(crate) strategy: Option<String>,
}

impl Status {
    /// The address of the (first) listener with or without TLS.
    #[track_caller]
    pub(crate) fn listener(&self, tls: bool) -> SocketAddr {
        let found = self.listeners.iter().find(|listener| listener.tls == tls && listener.app.is_none());
        found.unwrap_or_else(|| panic!("no listener with tls = {tls} in {self:?}")).address
    }

    /// The address of an app's own listener.
    #[track_caller]
    pub(crate) fn own(&self, app: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|listener| listener.app.as_deref() == Some(app));
        found.unwrap_or_else(|| panic!("{app} has no listener of its own in {self:?}")).address
    }

    #[track_caller]
    pub(crate) fn app(&self, name: &str) -> &App {
        self.apps.iter().find(|app| app.name == name).unwrap_or_else(|| panic!("no app {name} in {self:?}"))
    }

    /// The proxy that takes new connections, when there is exactly one.
    pub(crate) fn serving_proxy(&self) -> Option<u32> {
        let mut serving = self.proxies.iter().filter(|proxy| proxy.state == "serving");
        serving.next().filter(|_| serving.next().is_none()).map(|proxy| proxy.pid)
    }
}

impl App {
    /// Workers that take requests, by slot.
    pub(crate) fn serving(&self) -> Vec<&Worker> {
        let mut serving: Vec<_> = self.workers.iter().filter(|worker| worker.is_serving()).collect();
        serving.sort_by_key(|worker| worker.slot);
        serving
    }
}

impl Worker {
    pub(crate) fn is_serving(&self) -> bool {
        self.state == "serving"
    }
}
