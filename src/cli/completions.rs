//! `portreeve completions`: what a shell needs to complete our command line, with the apps that are running.
//!
//! Generated from the same description that parses the command line. Which arguments are apps is seen by their name; the
//! script asks `portreeve app-names` for them while one types.

use clap::{Command, ValueEnum};
use clap_complete::{Generator, Shell, generate};

use super::target::Target;
use super::{Code, block_on};

/// Arguments with one of these names are apps.
const APPS: [&str; 2] = ["app", "apps"];

/// The shells that people ask for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Kind {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn completions(kind: Kind, command: Command) -> Code {
    print!("{}", script(kind, command));
    Code::Done
}

/// The names of the apps that run, one a line; nothing, and no complaint, where nobody answers.
pub(super) fn app_names(target: &Target) -> Code {
    let status = target.client().and_then(|client| Ok(block_on(client.status())??));
    for app in status.iter().flat_map(|status| &status.apps) {
        println!("{}", app.name);
    }
    Code::Done
}

fn script(kind: Kind, command: Command) -> String {
    let verbs = verbs_with_apps(&command);
    match kind {
        Kind::Bash => generated(Shell::Bash, command) + &bash(&verbs),
        Kind::Zsh => zsh(&generated(Shell::Zsh, command)),
        Kind::Fish => generated(Shell::Fish, command) + &fish(&verbs),
    }
}

fn generated(shell: impl Generator, mut command: Command) -> String {
    let mut script = Vec::new();
    generate(shell, &mut command, "portreeve", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Verbs, with their aliases, that take apps.
fn verbs_with_apps(command: &Command) -> Vec<String> {
    let takes_apps = |verb: &&Command| {
        !verb.is_hide_set() && verb.get_positionals().any(|arg| APPS.contains(&arg.get_id().as_str()))
    };
    let verbs = command.get_subcommands().filter(takes_apps);
    verbs.flat_map(|verb| std::iter::once(verb.get_name()).chain(verb.get_all_aliases())).map(str::to_owned).collect()
}

fn bash(verbs: &[String]) -> String {
    format!(
        r#"
_portreeve_with_apps() {{
    _portreeve "$@"
    local word="${{COMP_WORDS[COMP_CWORD]}}"
    case "${{COMP_WORDS[1]}}" in
        {})
            if [[ "$COMP_CWORD" -gt 1 && "$word" != -* ]]; then
                COMPREPLY+=($(compgen -W "$(portreeve app-names 2> /dev/null)" -- "$word"))
            fi
            ;;
    esac
}}
complete -F _portreeve_with_apps -o bashdefault -o default portreeve
"#,
        verbs.join("|")
    )
}

fn fish(verbs: &[String]) -> String {
    let verbs = verbs.join(" ");
    format!(
        "complete -c portreeve -n \"__fish_seen_subcommand_from {verbs}\" -f -a \"(portreeve app-names 2> /dev/null)\"\n"
    )
}

/// The generated functions complete files for what they know nothing of; for apps they are given ours.
fn zsh(script: &str) -> String {
    let ours = "\n_portreeve_apps() {\n    local -a apps\n    apps=(${(f)\"$(portreeve app-names 2> /dev/null)\"})\n    \
                _describe 'app' apps\n}\n";
    let is_app = |line: &&str| APPS.iter().any(|app| line.contains(&format!(":{app} -- ")));
    let lines = script.lines().map(|line| match Some(line).filter(is_app) {
        Some(line) => line.replace(":_default'", ":_portreeve_apps'"),
        None => line.to_owned(),
    });
    let mut lines: Vec<String> = lines.collect();
    lines.insert(1.min(lines.len()), ours.to_owned());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_visible_verb_is_completed_and_apps_where_they_are_taken() {
        for kind in Kind::value_variants() {
            let command = crate::cli::Cli::command();
            let script = script(*kind, command.clone());
            for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
                assert!(script.contains(verb.get_name()), "{kind:?}: {}", verb.get_name());
            }
            assert!(script.contains("portreeve app-names"), "{kind:?}");
            let verbs = verbs_with_apps(&command);
            for verb in ["reload", "stop", "restart", "delete", "signal", "info", "describe", "flush", "logs", "env"] {
                assert!(verbs.contains(&verb.to_owned()), "{verb}");
            }
        }
        let zsh = script(Kind::Zsh, crate::cli::Cli::command());
        assert!(zsh.starts_with("#compdef portreeve") && zsh.contains(":_portreeve_apps'"), "{zsh}");
    }
}
