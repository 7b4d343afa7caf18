//! `portreeve status`: what runs, as a table or as JSON.
//!
//! Shows what the supervisor says and knows nothing itself.

use super::age::{age, size};
use super::target::Target;
use super::{Code, block_on, table};
use crate::control::words::{App, Exit, Listener, Scale, Status, Worker};

pub(super) fn status(target: &Target, json: bool) -> anyhow::Result<Code> {
    let client = target.client()?;
    let status = block_on(client.status())??;
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", told(&status));
    }
    Ok(Code::Done)
}

fn told(status: &Status) -> String {
    let mut lines =
        vec![format!("portreeve {}  pid {}  up {}", status.version, status.pid, age(status.uptime_seconds))];
    lines.extend(status.listeners.iter().map(listener));
    lines.extend(status.metrics.map(|metrics| format!("http://{metrics}/metrics")));
    let proxies = status.proxies.iter();
    lines.extend(proxies.map(|proxy| format!("proxy {}  {}  pid {}", proxy.number, proxy.state, proxy.pid)));
    lines.push(String::new());
    lines.extend(status.apps.iter().map(headline));
    lines.push(String::new());
    let rows: Vec<_> = status.apps.iter().flat_map(|app| &app.workers).map(row).collect();
    lines.push(table::render(
        ["WORKER", "STATE", "PID", "UP", "RESTARTS", "MEMORY", "INFLIGHT", "REQ/S", "ADDRESS"],
        &rows,
    ));
    lines.join("\n")
}

fn listener(listener: &Listener) -> String {
    let scheme = if listener.tls { "https" } else { "http" };
    let origin = if listener.inherited { "  (from the service manager)" } else { "" };
    let owner = listener.app.as_ref().map_or_else(String::new, |app| format!("  {app}"));
    format!("{scheme}://{}{owner}{origin}", listener.address)
}

fn headline(app: &App) -> String {
    let generation = app.generation.map_or_else(String::new, |generation| format!(", generation {generation}"));
    let failure = app.last_failure.as_ref().map_or_else(String::new, |failure| format!("\n  last failure: {failure}"));
    let exit = app.exits.last().map_or_else(String::new, |exit| format!("\n  last exit: {}", exit_line(exit)));
    let panic = if app.panic_routing { ", most workers fail their probes and get requests all the same" } else { "" };
    let said = app.workers.iter().filter_map(|worker| Some((&worker.id, worker.says.as_ref()?)));
    let said = said.fold(String::new(), |said, (worker, text)| said + &format!("\n  {worker} says: {text}"));
    let scale = app.scale.map_or_else(String::new, scale_line);
    format!("{} {}: {}{generation}{scale}{panic}{failure}{exit}{said}", app.id, app.name, app.state)
}

/// Where it was scaled, to how many workers.
fn scale_line(scale: Scale) -> String {
    let Scale { wanted, configured } = scale;
    if wanted == configured { String::new() } else { format!(", scaled to {wanted} (configured: {configured})") }
}

/// `web 1.0 (pid 7) crashed with exit code 1 at 2026-01-31T12:00:00Z`.
fn exit_line(exit: &Exit) -> String {
    let end = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    };
    let verb = match exit.due.cause.as_str() {
        "late" => "was not ready in time and ended",
        "replaced" => "was replaced and ended",
        "recycled" => "was recycled and ended",
        "aborted" => "was called off and ended",
        "scaled" => "was one too many and ended",
        "stopped" => "was stopped and ended",
        other => other,
    };
    let core = if exit.core { ", core dumped," } else { "" };
    let reason = exit.due.reason.as_ref().map(|reason| format!(" for {reason}")).unwrap_or_default();
    let oom = if exit.footprint.oom == Some(true) { " (the kernel killed it: memory ran out)" } else { "" };
    let killed = if exit.due.killed { " (killed: it did not end in time)" } else { "" };
    let second = exit.ended.split_once('.').map_or(exit.ended.clone(), |(second, _)| format!("{second}Z"));
    format!("{} (pid {}) {verb} with {end}{core}{reason} at {second}{oom}{killed}", exit.worker, exit.pid)
}

fn row(worker: &Worker) -> [String; 9] {
    [
        worker.id.clone(),
        worker.state.clone(),
        worker.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        age(worker.uptime_seconds),
        worker.restarts.to_string(),
        worker.memory.bytes.map_or_else(|| "-".to_owned(), size),
        worker.load.inflight.to_string(),
        format!("{:.1}", worker.load.req_per_second),
        worker.place.address.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::words::{Due, Footprint};

    #[test]
    fn an_exit_is_one_line() {
        let exit = Exit {
            worker: "web 1.0".into(),
            generation: crate::id::Generation(1),
            slot: crate::id::Slot(0),
            pid: 7,
            started: "2026-01-31T11:00:00.5Z".into(),
            ended: "2026-01-31T12:00:00.5Z".into(),
            code: Some(1),
            signal: None,
            core: false,
            due: Due { cause: "crashed".into(), reason: None, killed: false },
            footprint: Footprint::default(),
            lines: Vec::new(),
        };
        assert_eq!(exit_line(&exit), "web 1.0 (pid 7) crashed with exit code 1 at 2026-01-31T12:00:00Z");
        let killed = Exit {
            code: None,
            signal: Some(9),
            due: Due { cause: "replaced".into(), reason: None, killed: true },
            ..exit
        };
        let line = exit_line(&killed);
        assert!(line.contains("was replaced and ended with signal 9 at") && line.ends_with("in time)"), "{line}");
    }
}
