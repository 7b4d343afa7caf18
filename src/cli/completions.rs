//! `portreeve completions`: what a shell needs to complete our command line, with the apps that are running.
//!
//! Generated from the same description that parses the command line. Which arguments are apps is seen by their name; the
//! script asks `portreeve app-names` for them while one types.

use clap::{Command, ValueEnum};
use clap_complete::{Generator, Shell, generate};

use super::target::Target;
use super::{Code, block_on};

/// Arguments with this name are apps.
const APPS: &str = "apps";
/// The argument that is an app or a file.
const APP_OR_FILE: &str = "what";

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
    let verbs = Verbs::of(&command);
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

/// Verbs, with their aliases, by where their apps stand.
#[derive(Debug, Default)]
struct Verbs {
    /// Right behind the verb.
    first: Vec<String>,
    /// Behind another word.
    second: Vec<String>,
    /// Right behind the verb, and a file may stand there too.
    or_file: Vec<String>,
}

impl Verbs {
    fn of(command: &Command) -> Self {
        let mut verbs = Self::default();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let place = |id: &str| verb.get_positionals().position(|arg| arg.get_id() == id);
            let list = match (place(APPS), place(APP_OR_FILE)) {
                (Some(0), _) => &mut verbs.first,
                (Some(_), _) => &mut verbs.second,
                (None, Some(_)) => &mut verbs.or_file,
                (None, None) => continue,
            };
            list.extend(std::iter::once(verb.get_name()).chain(verb.get_all_aliases()).map(str::to_owned));
        }
        verbs
    }
}

/// What is generated offers options for an empty word; apps are what is wanted there. Where there is none, files are offered.
fn bash(verbs: &Verbs) -> String {
    let [first, second, or_file] = [&verbs.first, &verbs.second, &verbs.or_file].map(|verbs| verbs.join("|"));
    format!(
        r#"
_portreeve_with_apps() {{
    _portreeve "$@"
    local word="${{COMP_WORDS[COMP_CWORD]}}" from files=
    case "${{COMP_WORDS[1]}}" in
        {first}) from=2 ;;
        {second}) from=3 ;;
        {or_file}) from=2 files=1 ;;
        *) return ;;
    esac
    [[ "$COMP_CWORD" -ge "$from" && "$word" != -* ]] || return
    local IFS=$'
'
    local found=($(compgen -W "$(portreeve app-names 2> /dev/null)" -- "$word"))
    if [[ -n "$files" ]]; then
        found+=($(compgen -f -- "$word"))
        compopt -o filenames 2> /dev/null
    fi
    # Behind an option there may be its value.
    if [[ "$3" == -* ]]; then COMPREPLY+=("${{found[@]}}"); else COMPREPLY=("${{found[@]}}"); fi
}}
complete -F _portreeve_with_apps -o bashdefault -o default portreeve
"#
    )
}

fn fish(verbs: &Verbs) -> String {
    let line = |verbs: &[String], more: &str| {
        let verbs = verbs.join(" ");
        format!(
            "complete -c portreeve -n \"__fish_seen_subcommand_from {verbs}\" {more}-a \"(portreeve app-names 2> /dev/null)\"\n"
        )
    };
    let apps = [&verbs.first[..], &verbs.second[..]].concat();
    line(&apps, "-f ") + &line(&verbs.or_file, "")
}

/// The generated functions complete files for what they know nothing of; for apps they are given ours.
fn zsh(script: &str) -> String {
    let ours = "\n_portreeve_apps() {\n    local -a apps\n    apps=(${(f)\"$(portreeve app-names 2> /dev/null)\"})\n    \
                _describe 'app' apps\n}\n\n_portreeve_apps_and_files() {\n    _portreeve_apps\n    _files\n}\n";
    let lines = script.lines().map(|line| {
        let is = |id: &str| line.contains(&format!(":{id} -- "));
        match line {
            // In front of a number any of several apps may stand, which zsh takes for it.
            line if is(APPS) || is("workers") => line.replace(":_default'", ":_portreeve_apps'"),
            line if is(APP_OR_FILE) => line.replace(":_default'", ":_portreeve_apps_and_files'"),
            line => line.to_owned(),
        }
    });
    let mut lines: Vec<String> = lines.collect();
    lines.insert(1.min(lines.len()), ours.to_owned());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_visible_verb_is_completed_and_apps_where_they_are_taken() {
        for kind in Kind::value_variants() {
            let command = Cli::command();
            let script = script(*kind, command.clone());
            for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
                assert!(script.contains(verb.get_name()), "{kind:?}: {}", verb.get_name());
            }
            assert!(script.contains("portreeve app-names"), "{kind:?}");
        }
        let verbs = Verbs::of(&Cli::command());
        assert_eq!(
            (verbs.second, verbs.or_file),
            (vec!["maintenance".to_owned(), "signal".into(), "sendSignal".into()], vec!["start".into()])
        );
        for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let takes_apps =
                |arg: &clap::Arg| arg.get_value_names().into_iter().flatten().any(|name| name.starts_with("APP"));
            let is_told = verb.get_positionals().any(takes_apps);
            let is_known = verbs.first.iter().any(|known| known == verb.get_name());
            assert!(
                is_known || !is_told || ["maintenance", "signal"].contains(&verb.get_name()),
                "{}",
                verb.get_name()
            );
        }
        for verb in ["stop", "drain", "logs", "scale", "describe", "rm"] {
            assert!(verbs.first.contains(&verb.to_owned()), "{verb}");
        }
        let zsh = script(Kind::Zsh, Cli::command());
        assert!(zsh.starts_with("#compdef portreeve") && zsh.contains(":_portreeve_apps'"), "{zsh}");
    }
}
