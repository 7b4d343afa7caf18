//! How the end of an order is told, and which exit code it gives.
//!
//! Says what happened, why, and what to type next; knows nothing but what the supervisor has answered.

use std::fmt::Write as _;

use super::{Code, block_on};
use crate::control::client::{self, Client};
use crate::control::words::{self, AppReloaded, AppReport, Order, Outcome, RefusalKind, Reloaded, Status};
use crate::id::AppName;

/// Prints the answer to an order; the code is part of it.
pub(super) fn show(
    client: &Client,
    order: Order,
    answer: Result<Reloaded, client::Error>,
    json: bool,
) -> anyhow::Result<Code> {
    let reloaded = match answer {
        Ok(reloaded) => reloaded,
        Err(client::Error::Refused(refusal)) => {
            if json {
                println!("{}", serde_json::to_string_pretty(&refusal)?);
            } else {
                eprintln!("{} refused, everything stays as it was:\n{}", order.word(), refusal.error.trim_end());
            }
            return Ok(match refusal.kind {
                RefusalKind::InvalidConfig => Code::Invalid,
                RefusalKind::UnknownApp | RefusalKind::Conflict | RefusalKind::BadRequest => Code::Usage,
                RefusalKind::Stopping => Code::Unavailable,
                RefusalKind::NotFound | RefusalKind::Internal => Code::Software,
            });
        }
        Err(error) => return Err(error.into()),
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&reloaded)?);
    } else {
        // Where it is served is worth a question; without the answer the rest is still true.
        let status = block_on(client.status())?.ok();
        print!("{}", told(order, &reloaded, status.as_ref()));
    }
    Ok(code(&reloaded))
}

/// The worst that happened to any app.
fn code(reloaded: &Reloaded) -> Code {
    let any = |outcome| reloaded.apps.iter().any(|app| app.outcome == outcome);
    if any(Outcome::Aborted) || any(Outcome::Failed) {
        Code::Aborted
    } else if any(Outcome::RolledBack) {
        Code::RolledBack
    } else if any(Outcome::Superseded) {
        Code::Superseded
    } else {
        Code::Done
    }
}

pub(super) fn told(order: Order, reloaded: &Reloaded, status: Option<&Status>) -> String {
    if reloaded.apps.is_empty() {
        return format!("nothing to {}\n", order.word());
    }
    let reports = reloaded.report.as_ref().map_or(&[][..], |report| &report.apps);
    let took = reloaded.report.as_ref().map_or(0, |report| report.millis);
    // A task has no clients.
    let counts = |app: &AppReloaded| counts(app.outcome) && !is_task(&app.app, status);
    let report_of = |app: &AppReloaded| reports.iter().find(|report| report.app == app.app && counts(app));
    let told = |app| {
        let report = report_of(app).map_or_else(String::new, |report| format!("  {}", tell_report(report, took)));
        let strategy = in_steps(app.strategy.as_deref()).map(|strategy| format!("  {strategy}\n"));
        tell(order, app, status) + &strategy.unwrap_or_default() + &report
    };
    reloaded.apps.iter().map(told).collect()
}

/// How the workers were replaced, where it was not as it is with memory to spare.
pub(super) fn in_steps(strategy: Option<&str>) -> Option<&str> {
    strategy.filter(|strategy| !strategy.starts_with("blue-green"))
}

/// Have clients to do with an end of this kind?
fn counts(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Live | Outcome::Aborted | Outcome::RolledBack | Outcome::Started | Outcome::Failed)
}

pub(super) fn tell_report(report: &AppReport, took: u64) -> String {
    let AppReport { requests, held, retried, forced, failed, .. } = report;
    let seconds = |millis: u64| millis as f64 / 1000.0;
    let longest = report.longest_hold_ms.map_or_else(String::new, |hold| format!(" (longest {:.2} s)", seconds(hold)));
    let all = seconds(took);
    format!(
        "{requests} requests meanwhile: {held} held{longest}, {retried} retried, {forced} forced, {failed} failed; \
         all done after {all:.2} s\n"
    )
}

fn tell(order: Order, app: &AppReloaded, status: Option<&Status>) -> String {
    let name = &app.app;
    let seconds = app.millis as f64 / 1000.0;
    let generation = app.generation.map_or_else(String::new, |generation| format!("generation {generation} "));
    let reason = app.reason.as_deref().unwrap_or("unknown reason");
    match (app.outcome, order) {
        (Outcome::Live, Order::Rollback) => {
            format!("{name}: rolled back, {generation}{} ({seconds:.2} s)\n", works(name, status))
        }
        (Outcome::Live, _) => {
            let but = app.reason.as_ref().map(|reason| format!("  but {reason}\n{}", last_lines(app)));
            let but = but.unwrap_or_default();
            format!("{name}: {generation}{} ({seconds:.2} s)\n{but}", works(name, status))
        }
        (Outcome::Superseded, Order::Reload) => format!("{name}: a newer reload took its place\n"),
        (Outcome::Superseded, _) => format!("{name}: another order took the place of this one\n"),
        (Outcome::Applied, Order::Promote) => format!("{name}: the new generation takes over\n"),
        (Outcome::Applied, _) => format!("{name}: applied\n"),
        (Outcome::Removed, Order::Delete) => format!("{name}: deleted\n"),
        (Outcome::Removed, _) => format!("{name}: no longer configured, being stopped\n"),
        (Outcome::Started | Outcome::Scaled, _) => format!("{name} {} ({seconds:.2} s)\n", served(name, status)),
        (Outcome::Noted, _) => format!("{name} does not run; it starts with {}\n", number(name, status)),
        (Outcome::Stopped, _) => format!("{name}: stopped; `portreeve start {name}` starts it again\n"),
        (Outcome::Scheduled, _) => format!("{name} {}\n", scheduled(name, status)),
        (Outcome::Unchanged, _) => format!("{name}: was stopped already\n"),
        (Outcome::Failed, Order::Scale) => {
            let next = "  the number holds, and more are tried; to see what becomes of it: portreeve status\n";
            format!("{name} has not come to {} yet: {reason}\n{}{next}", number(name, status), last_lines(app))
        }
        (Outcome::Failed, _) => {
            let next = format!("  to see what becomes of it: portreeve status; to stop it: portreeve stop {name}\n");
            format!("{name} did not come up: {reason}\n{}{next}", last_lines(app))
        }
        (Outcome::RolledBack, _) => {
            let lines = last_lines(app);
            format!("{name}: {generation}was bad and is rolled back, the old one serves again: {reason}\n{lines}")
        }
        (Outcome::Aborted, Order::Promote) => format!("{name}: not promoted, all stays as it is: {reason}\n"),
        (Outcome::Aborted, Order::Rollback) if app.generation.is_none() => {
            format!("{name}: not rolled back, it serves on: {reason}\n")
        }
        (Outcome::Aborted, _) => {
            format!("{name}: {generation}failed, the old one serves on: {reason}\n{}", last_lines(app))
        }
    }
}

fn last_lines(app: &AppReloaded) -> String {
    let heading = if app.lines.is_empty() { "" } else { "  last lines:\n" };
    let lines: String = app.lines.iter().flat_map(|line| ["  | ", line, "\n"]).collect();
    format!("{heading}{lines}")
}

/// `4 workers`, as the app is to have them.
fn number(name: &AppName, status: Option<&Status>) -> String {
    let app = status.and_then(|status| status.apps.iter().find(|app| app.name == *name));
    let wanted = app.and_then(|app| app.by_hand.scale).map(|scale| super::count(scale.wanted as usize, "worker"));
    wanted.unwrap_or_else(|| "that number of workers".to_owned())
}

fn works(name: &AppName, status: Option<&Status>) -> &'static str {
    if is_task(name, status) { "runs" } else { "serves" }
}

fn is_task(name: &AppName, status: Option<&Status>) -> bool {
    let app = status.and_then(|status| status.apps.iter().find(|app| app.name == *name));
    app.is_some_and(|app| app.purpose.kind == words::TASK)
}

/// `runs next at 2026-01-31T03:00:00Z; now: portreeve restart report`.
fn scheduled(name: &AppName, status: Option<&Status>) -> String {
    let app = status.and_then(|status| status.apps.iter().find(|app| app.name == *name));
    let next = app.and_then(|app| app.purpose.job.as_ref()?.next.as_deref());
    match next {
        Some(next) => format!("runs next at {next}; to run it now: portreeve restart {name}"),
        None => "runs when its time comes".to_owned(),
    }
}

/// `serves on http://0.0.0.0:3000 with 2 workers`.
fn served(name: &AppName, status: Option<&Status>) -> String {
    let mut text = works(name, status).to_owned();
    let Some(status) = status else { return text };
    let own = status.listeners.iter().filter(|listener| listener.app.as_ref() == Some(name));
    for (index, listener) in own.enumerate() {
        let before = if index == 0 { " on" } else { "," };
        let _ = write!(text, "{before} http://{}", listener.address);
    }
    let workers = status.apps.iter().find(|app| app.name == *name).map_or(0, |app| app.workers.len());
    match workers {
        0 => {}
        1 => text.push_str(" with 1 worker"),
        more => drop(write!(text, " with {more} workers")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::words::Report;
    use crate::id::Generation;

    fn app(outcome: Outcome) -> AppReloaded {
        let (reason, lines) = match outcome {
            Outcome::Aborted | Outcome::RolledBack | Outcome::Failed => {
                (Some("worker web 2.0 exited with exit code 1".to_owned()), vec!["boom".to_owned()])
            }
            _ => (None, Vec::new()),
        };
        let generation = Some(Generation(2));
        AppReloaded { app: "web".parse().unwrap(), outcome, generation, reason, lines, millis: 1234, strategy: None }
    }

    fn tell(order: Order, outcome: Outcome) -> String {
        super::tell(order, &app(outcome), None)
    }

    #[test]
    fn a_success_says_what_serves_and_how_long_it_took() {
        assert_eq!(tell(Order::Reload, Outcome::Live), "web: generation 2 serves (1.23 s)\n");
        assert_eq!(tell(Order::Start, Outcome::Started), "web serves (1.23 s)\n");
    }

    #[test]
    fn a_failure_says_why_shows_the_last_lines_and_what_to_type_next() {
        let text = tell(Order::Reload, Outcome::Aborted);
        assert!(text.starts_with("web: generation 2 failed, the old one serves on: worker web 2.0 exited"), "{text}");
        assert!(text.ends_with("  | boom\n"), "{text}");
        let text = tell(Order::Restart, Outcome::Failed);
        assert!(text.starts_with("web did not come up: worker web 2.0 exited with exit code 1\n"), "{text}");
        assert!(text.contains("  | boom\n") && text.ends_with("portreeve stop web\n"), "{text}");
        let text = tell(Order::Scale, Outcome::Failed);
        assert!(text.starts_with("web has not come to that number of workers yet: worker web 2.0 exited"), "{text}");
        assert!(text.contains("  | boom\n") && text.ends_with("portreeve status\n"), "{text}");
    }

    #[test]
    fn a_report_stands_below_the_outcome_that_it_belongs_to() {
        let counted = AppReport {
            app: "web".parse().unwrap(),
            requests: 1204,
            held: 3,
            longest_hold_ms: Some(210),
            retried: 1,
            forced: 0,
            failed: 0,
        };
        let told = |outcome| {
            let report = Some(Report { deploy: 7, millis: 930, apps: vec![counted.clone()] });
            told(Order::Reload, &Reloaded { apps: vec![app(outcome)], deploy: Some(7), report }, None)
        };
        let report = "  1204 requests meanwhile: 3 held (longest 0.21 s), 1 retried, 0 forced, 0 failed; \
                      all done after 0.93 s\n";
        assert_eq!(told(Outcome::Live), format!("web: generation 2 serves (1.23 s)\n{report}"));
        assert!(told(Outcome::Aborted).ends_with(report));
        assert!(!told(Outcome::Superseded).contains("meanwhile"));
    }

    #[test]
    fn the_worst_outcome_gives_the_code() {
        let code = |outcomes: &[Outcome]| {
            code(&Reloaded { apps: outcomes.iter().copied().map(app).collect(), deploy: None, report: None })
        };
        assert_eq!(code(&[]), Code::Done);
        assert_eq!(code(&[Outcome::Live, Outcome::Applied, Outcome::Removed, Outcome::Stopped]), Code::Done);
        assert_eq!(code(&[Outcome::Superseded, Outcome::Live]), Code::Superseded);
        assert_eq!(code(&[Outcome::Live, Outcome::Aborted, Outcome::Superseded]), Code::Aborted);
        assert_eq!(code(&[Outcome::Started, Outcome::Failed]), Code::Aborted);
        assert_eq!(code(&[Outcome::Superseded, Outcome::RolledBack]), Code::RolledBack);
    }
}
