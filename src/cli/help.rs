//! `portreeve --help`: the verbs in the groups in which a person looks for them.
//!
//! What each does is said where the verb is; here is only the order. A test sees to it that no verb is forgotten.

use clap::Command;
use std::fmt::Write as _;

/// Every verb that people type, by what they want.
const GROUPS: &[(&str, &[&str])] = &[
    ("Serve", &["run", "start", "demo"]),
    ("Apps", &["reload", "rollback", "promote", "scale", "restart", "stop", "delete", "signal", "reset"]),
    ("Traffic", &["drain", "undrain", "pause", "resume", "maintenance"]),
    ("Look", &["status", "info", "monit", "logs", "flush", "env", "ping", "prove"]),
    ("Configuration", &["check", "show", "diff", "fmt", "schema", "import"]),
    ("The supervisor and the boot", &["upgrade", "kill", "resurrect", "save", "startup", "unstartup"]),
    ("Shell", &["completions", "man"]),
];

/// The command line with its help in groups, and its texts as wide as the terminal is.
pub(super) fn grouped(command: Command) -> Command {
    let groups = listed(&command);
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = verbs.into_iter().fold(command, |command, verb| command.mut_subcommand(verb, flowing));
    command.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
    ))
}

/// Sentences are broken in the source where lines end there; here, where those of the terminal do.
fn flowing(verb: Command) -> Command {
    let Some(text) = verb.get_after_help().map(ToString::to_string) else { return verb };
    verb.after_help(flow(&text))
}

/// Joins the lines of each paragraph; what is indented, and what stands above it, stays.
fn flow(text: &str) -> String {
    let mut flowing = String::new();
    let mut before = "";
    for line in text.lines() {
        let goes_on = !before.is_empty() && !before.starts_with(' ') && !before.ends_with(':');
        let is_joined = goes_on && !line.is_empty() && !line.starts_with(' ');
        flowing.push_str(if flowing.is_empty() {
            ""
        } else if is_joined {
            " "
        } else {
            "\n"
        });
        flowing.push_str(line);
        before = line;
    }
    flowing
}

fn listed(command: &Command) -> String {
    let mut text = String::new();
    for (title, verbs) in GROUPS {
        let _ = writeln!(text, "{title}:");
        for verb in *verbs {
            if let Some(verb) = command.find_subcommand(verb) {
                let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
                let _ = writeln!(text, "  {:<11} {about}", verb.get_name());
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
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.split_once("Examples:\n").map(|(_, examples)| examples.to_owned());
            let mut names = std::iter::once(verb.get_name()).chain(verb.get_all_aliases());
            let is_shown = |name: &str| examples.as_ref().is_some_and(|all| all.contains(&format!("portreeve {name}")));
            assert!(names.any(is_shown), "{}: {help}", verb.get_name());
            let too_long = help.lines().find(|line| line.starts_with(' ') && line.chars().count() > 98);
            assert_eq!(too_long, None, "{}: it would be broken in two", verb.get_name());
        }
    }

    #[test]
    fn sentences_flow_and_examples_stay() {
        let text = "One\ntwo\nthree.\n\nExamples:\n  a b\n  c d\n\nFour:\nfive\nsix";
        assert_eq!(flow(text), "One two three.\n\nExamples:\n  a b\n  c d\n\nFour:\nfive six");
    }

    #[test]
    fn the_help_of_portreeve_and_of_each_verb_reads_well() {
        let mut command = grouped(crate::cli::command()).term_width(100);
        command.build();
        let mut text = command.render_help().to_string();
        let verbs = command.get_subcommands_mut().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help");
        for verb in verbs {
            let help = verb.render_help();
            let _ = write!(text, "\n\n=== {} ===\n{help}", verb.get_name());
        }
        insta::assert_snapshot!(text);
    }
}
