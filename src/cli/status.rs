//! `portreeve status`: what runs, as a table or as JSON.
//!
//! Shows what the supervisor says and knows nothing itself.

use super::{Code, Target, block_on, table};
use crate::control::words::{App, Exit, Listener, Status, Worker};

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
    format!("{scheme}://{}{origin}", listener.address)
}

fn headline(app: &App) -> String {
    let generation = app.generation.map_or_else(String::new, |generation| format!(", generation {generation}"));
    let failure = app.last_failure.as_ref().map_or_else(String::new, |failure| format!("\n  last failure: {failure}"));
    let exit = app.exits.last().map_or_else(String::new, |exit| format!("\n  last exit: {}", exit_line(exit)));
    format!("{}: {}{generation}{failure}{exit}", app.name, app.state)
}

/// `web 1.0 (pid 7) crashed with exit code 1 at 2026-01-31T12:00:00Z`.
fn exit_line(exit: &Exit) -> String {
    let end = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    };
    let verb = match exit.cause.as_str() {
        "late" => "was not ready in time and ended",
        "replaced" => "was replaced and ended",
        "aborted" => "was called off and ended",
        "stopped" => "was stopped and ended",
        other => other,
    };
    let core = if exit.core { ", core dumped," } else { "" };
    let killed = if exit.killed { " (killed: it did not end in time)" } else { "" };
    let second = exit.ended.split_once('.').map_or(exit.ended.clone(), |(second, _)| format!("{second}Z"));
    format!("{} (pid {}) {verb} with {end}{core} at {second}{killed}", exit.worker, exit.pid)
}

fn row(worker: &Worker) -> [String; 9] {
    [
        worker.id.clone(),
        worker.state.clone(),
        worker.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        age(worker.uptime_seconds),
        worker.restarts.to_string(),
        worker.memory.map_or_else(|| "-".to_owned(), size),
        worker.load.inflight.to_string(),
        format!("{:.1}", worker.load.req_per_second),
        worker.address.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
    ]
}

/// A time span in its two greatest units.
fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {}s", seconds % 60),
        3600..86400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

fn size(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            cause: "crashed".into(),
            killed: false,
            lines: Vec::new(),
        };
        assert_eq!(exit_line(&exit), "web 1.0 (pid 7) crashed with exit code 1 at 2026-01-31T12:00:00Z");
        let killed = Exit { code: None, signal: Some(9), cause: "replaced".into(), killed: true, ..exit };
        let line = exit_line(&killed);
        assert!(line.contains("was replaced and ended with signal 9 at") && line.ends_with("in time)"), "{line}");
    }

    #[test]
    fn ages_have_two_units() {
        let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400, 200_000].map(age);
        assert_eq!(ages, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "23h 59m", "1d 0h", "2d 7h"]);
    }
}
