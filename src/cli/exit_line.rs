//! How a worker ended, in a line for people.
//!
//! Pure.

use crate::control::words::Exit;

/// `web 1.0 (pid 7) crashed with exit code 1 at 2026-01-31T12:00:00Z`.
pub(super) fn exit_line(exit: &Exit) -> String {
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
