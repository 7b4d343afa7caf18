//! `portreeve diff`: what a reload would change, before it does.
//!
//! The supervisor compares; here it is told.

use std::fmt::Write as _;

use clap::Args;

use super::target::Target;
use super::{Code, block_on};
use crate::control::client;
use crate::control::words::{AppDiff, Change, Diff, RefusalKind};

/// What is to be compared.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve diff                    between what runs and portreeve.toml as it is now
  portreeve diff --env production   as if reloaded under another profile

Ends with 0 whether or not there is a difference, and with 4 if the reload would be refused. What stands in files of variables
and in secrets is read anew by each reload, and not compared.")]
pub(super) struct Compare {
    /// As if this profile of the apps' variables were chosen; else the one that is in use
    #[arg(long = "env", value_name = "PROFILE", value_parser = crate::config::profile_name)]
    profile: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn diff(args: &Compare) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let diff = match block_on(client.diff(args.profile.as_deref()))? {
        Ok(diff) => diff,
        Err(client::Error::Refused(refusal)) if refusal.kind == RefusalKind::InvalidConfig => {
            eprintln!("a reload would be refused:\n{}", refusal.error.trim_end());
            return Ok(Code::Invalid);
        }
        Err(error) => return Err(error.into()),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&diff)?);
    } else {
        print!("{}", told(&diff));
    }
    Ok(if diff.refused.is_some() { Code::Invalid } else { Code::Done })
}

fn told(diff: &Diff) -> String {
    let mut text: String = diff.apps.iter().map(told_app).collect();
    for (what, addresses) in [("opened", &diff.opened), ("closed", &diff.closed)] {
        for address in addresses {
            let _ = writeln!(text, "{address} is {what}");
        }
    }
    if !diff.sections.is_empty() {
        let _ = writeln!(text, "other settings in [{}]", diff.sections.join("], ["));
    }
    if let Some(reason) = &diff.refused {
        let _ = writeln!(text, "the reload would be refused: {reason}");
    }
    text
}

fn told_app(diff: &AppDiff) -> String {
    let app = &diff.app;
    let what = match diff.change {
        Change::Added => "is new, and is started",
        Change::Removed => "is no longer configured, and is stopped",
        Change::Switched if diff.new_generation => "is started",
        Change::Switched => "is stopped",
        Change::Routes => "other routes",
        Change::Settings => "other settings",
        Change::None if diff.new_generation => "no other settings; its workers are replaced, as by every reload",
        Change::None => "nothing changes",
    };
    let generation = diff.new_generation && matches!(diff.change, Change::Routes | Change::Settings);
    let generation = if generation { ", a new generation" } else { "" };
    let keys: String = diff.keys.iter().fold(String::new(), |mut keys, key| {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(default)".to_owned());
        let _ = writeln!(keys, "  {}: {} -> {}", key.key, shown(&key.before), shown(&key.after));
        keys
    });
    format!("{app}: {what}{generation}\n{keys}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::words::KeyDiff;

    #[test]
    fn each_change_is_a_line_with_its_keys_below() {
        let app = |change, new_generation| AppDiff {
            app: "web".parse().unwrap(),
            change,
            new_generation,
            keys: vec![KeyDiff { key: "workers".into(), before: None, after: Some("4".into()) }],
        };
        let text = told(&Diff {
            apps: vec![app(Change::Settings, true)],
            sections: vec!["limits".into(), "log".into()],
            opened: vec!["127.0.0.1:80".parse().unwrap()],
            closed: Vec::new(),
            refused: Some("[proxy] cannot change".into()),
        });
        let expected = "web: other settings, a new generation\n  workers: (default) -> 4\n127.0.0.1:80 is opened\n\
                        other settings in [limits], [log]\nthe reload would be refused: [proxy] cannot change\n";
        assert_eq!(text, expected);
        assert!(told_app(&app(Change::Switched, false)).starts_with("web: is stopped\n"));
        assert!(told_app(&app(Change::None, false)).starts_with("web: nothing changes\n"));
    }
}
