//! `portreeve reload`: begins a reload, waits for its end, and tells the truth about it.
//!
//! The exit code is part of the answer: a deploy script goes by it.

use super::{Code, Target, block_on};
use crate::control::words::{AppReloaded, Outcome, RefusalKind, Reloaded};
use crate::control::{Scope, client};

pub(super) fn reload(target: &Target, scope: &Scope, json: bool) -> anyhow::Result<Code> {
    let client = target.client()?;
    match block_on(client.reload(scope))? {
        Ok(reloaded) => {
            if json {
                println!("{}", serde_json::to_string_pretty(&reloaded)?);
            } else {
                print!("{}", told(&reloaded));
            }
            Ok(code(&reloaded))
        }
        Err(client::Error::Refused(refusal)) => {
            if json {
                println!("{}", serde_json::to_string_pretty(&refusal)?);
            } else {
                eprintln!("reload refused, everything stays as it was:\n{}", refusal.error.trim_end());
            }
            Ok(if refusal.kind == RefusalKind::InvalidConfig { Code::Invalid } else { Code::Software })
        }
        Err(error) => Err(error.into()),
    }
}

/// The worst that happened to any app.
fn code(reloaded: &Reloaded) -> Code {
    let any = |outcome| reloaded.apps.iter().any(|app| app.outcome == outcome);
    if any(Outcome::Aborted) {
        Code::Aborted
    } else if any(Outcome::Superseded) {
        Code::Superseded
    } else {
        Code::Done
    }
}

/// How it went, a line an app, and what a worker that failed has said.
pub(super) fn told(reloaded: &Reloaded) -> String {
    if reloaded.apps.is_empty() {
        return "nothing to reload\n".to_owned();
    }
    reloaded.apps.iter().map(tell).collect()
}

fn tell(app: &AppReloaded) -> String {
    let name = &app.app;
    let seconds = app.millis as f64 / 1000.0;
    let generation = app.generation.map_or_else(String::new, |generation| format!("generation {generation} "));
    match app.outcome {
        Outcome::Live => format!("{name}: {generation}serves ({seconds:.2} s)\n"),
        Outcome::Superseded => format!("{name}: a newer reload took its place\n"),
        Outcome::Applied => format!("{name}: applied\n"),
        Outcome::Removed => format!("{name}: no longer configured, being stopped\n"),
        Outcome::Aborted => {
            let reason = app.reason.as_deref().unwrap_or("unknown reason");
            let heading = if app.lines.is_empty() { "" } else { "  last lines of the worker:\n" };
            let lines: String = app.lines.iter().flat_map(|line| ["  | ", line, "\n"]).collect();
            format!("{name}: {generation}failed, the old one serves on: {reason}\n{heading}{lines}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Generation;

    fn app(outcome: Outcome) -> AppReloaded {
        let (reason, lines) = match outcome {
            Outcome::Aborted => (Some("worker web 2.0 exited with exit code 1".to_owned()), vec!["boom".to_owned()]),
            _ => (None, Vec::new()),
        };
        AppReloaded {
            app: "web".parse().unwrap(),
            outcome,
            generation: Some(Generation(2)),
            reason,
            lines,
            millis: 1234,
        }
    }

    #[test]
    fn a_success_says_what_serves_and_how_long_it_took() {
        assert_eq!(tell(&app(Outcome::Live)), "web: generation 2 serves (1.23 s)\n");
    }

    #[test]
    fn an_abort_says_why_and_shows_the_last_lines() {
        let text = tell(&app(Outcome::Aborted));
        assert!(text.starts_with("web: generation 2 failed, the old one serves on: worker web 2.0 exited"), "{text}");
        assert!(text.ends_with("  | boom\n"), "{text}");
    }

    #[test]
    fn the_worst_outcome_gives_the_code() {
        let code = |outcomes: &[Outcome]| code(&Reloaded { apps: outcomes.iter().copied().map(app).collect() });
        assert_eq!(code(&[]), Code::Done);
        assert_eq!(code(&[Outcome::Live, Outcome::Applied, Outcome::Removed]), Code::Done);
        assert_eq!(code(&[Outcome::Superseded, Outcome::Live]), Code::Superseded);
        assert_eq!(code(&[Outcome::Live, Outcome::Aborted, Outcome::Superseded]), Code::Aborted);
    }
}
