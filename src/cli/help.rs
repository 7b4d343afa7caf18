//! `portreeve --help`: the verbs in the groups in which a person looks for them.
//!
//! What each does is said where the verb is; here is only the order. A test sees to it that no verb is forgotten.

use clap::Command;
use std::fmt::Write as _;

/// Every verb that people type, by what they want.
const GROUPS: &[(&str, &[&str])] = &[
    ("Serve", &["run", "start", "demo"]),
    ("Apps", &["reload", "scale", "restart", "stop", "delete", "signal", "reset"]),
    ("Look", &["status", "info", "monit", "logs", "flush", "env", "ping"]),
    ("Configuration", &["check", "show", "diff", "fmt", "import"]),
    ("The supervisor and the boot", &["kill", "resurrect", "save", "startup", "unstartup"]),
    ("Shell", &["completions", "man"]),
];

/// The command line with its help in groups.
pub(super) fn grouped(command: Command) -> Command {
    let groups = listed(&command);
    command.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
    ))
}

fn listed(command: &Command) -> String {
    let mut text = String::new();
    for (title, verbs) in GROUPS {
        let _ = writeln!(text, "{title}:");
        for verb in *verbs {
            if let Some(verb) = command.find_subcommand(verb) {
                let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
                let _ = writeln!(text, "  {:<10} {about}", verb.get_name());
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_verb_is_in_one_group() {
        let command = Cli::command();
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name);
        let mut known: Vec<_> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        let mut verbs: Vec<_> = verbs.collect();
        known.sort_unstable();
        verbs.sort_unstable();
        assert_eq!(known, verbs);
    }

    #[test]
    fn every_verb_says_in_a_line_what_it_does_and_shows_how() {
        for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && about.len() < 80, "{}: {about}", verb.get_name());
        }
    }
}
