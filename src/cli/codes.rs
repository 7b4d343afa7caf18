//! Exit codes: which there are, which a failure gives, and those of each verb, as its help and its manual page tell them.
//!
//! A code that every verb may end with (70: something else failed) is told once, in the help of portreeve itself. The README
//! is tested against this.

use std::fmt::Write as _;

use clap::Command;

use crate::control::client;
use crate::control::server::BindError;
use crate::control::words::RefusalKind;
use crate::supervisor;

/// What the process ends with; the numbers from 64 on are those of sysexits(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Done = 0,
    Aborted = 1,
    RolledBack = 2,
    Superseded = 3,
    Invalid = 4,
    Usage = 64,
    Unavailable = 69,
    Software = 70,
    Taken = 75,
    Config = 78,
}

impl Code {
    pub(super) const ALL: [Self; 10] = [
        Self::Done,
        Self::Aborted,
        Self::RolledBack,
        Self::Superseded,
        Self::Invalid,
        Self::Usage,
        Self::Unavailable,
        Self::Software,
        Self::Taken,
        Self::Config,
    ];

    /// What another process of this program has ended with.
    pub(super) fn of(number: u8) -> Self {
        Self::ALL.into_iter().find(|code| *code as u8 == number).unwrap_or(Self::Software)
    }
}

/// What was asked for makes no sense; nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Wrong(pub(super) String);

/// A configuration cannot be read; nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) String);

type Meaning = (Code, &'static str);

const DONE: Meaning = (Code::Done, "done");
const NO_APP: Meaning = (Code::Usage, "wrong usage, or no such app");
const NOBODY: Meaning = (Code::Unavailable, "no supervisor answers");
const UNREADABLE: Meaning = (Code::Config, "the file of -c cannot be read");
const INVALID: Meaning = (Code::Config, "the configuration is invalid");
const FAILED: Meaning = (Code::Aborted, "an app did not come up");
const OVERTAKEN: Meaning = (Code::Superseded, "another order took its place");
const REFUSED: Meaning = (Code::Invalid, "refused, nothing has changed: the configuration would be invalid");

const NO_WAY_BACK: Meaning =
    (Code::Aborted, "there is nothing to go back to, or it did not come up; nothing has changed");
const LOST: Meaning = (Code::Aborted, "something was lost or handled twice, or a reload did not end well");

const NO_MANAGER: Meaning = (Code::Usage, "wrong usage, or no service manager is known here");

/// What orders to apps that only take away, look or tell can end with.
const PLAIN: &[Meaning] = &[DONE, NO_APP, NOBODY, UNREADABLE];
/// Of verbs that name no app.
const ASKING: &[Meaning] = &[DONE, NOBODY, UNREADABLE];
const LOCAL: &[Meaning] = &[DONE];

/// Every verb that tells its codes this way.
const VERBS: &[(&[&str], &[Meaning])] = &[
    (&["run"], &[DONE, (Code::Taken, "another supervisor has the admin socket"), INVALID]),
    (&["check"], &[DONE, INVALID]),
    (&["show"], &[DONE, NO_APP, INVALID]),
    (&["diff"], &[(Code::Done, "compared, with a difference or without"), REFUSED, NOBODY, UNREADABLE]),
    (&["start"], &[DONE, FAILED, OVERTAKEN, REFUSED, NO_APP, NOBODY, INVALID]),
    (&["restart"], &[DONE, FAILED, OVERTAKEN, REFUSED, NO_APP, NOBODY, UNREADABLE]),
    (&["scale"], &[DONE, (Code::Aborted, "a new worker has failed"), OVERTAKEN, NO_APP, NOBODY, UNREADABLE]),
    (&["stop", "delete", "drain", "undrain", "pause", "resume", "maintenance", "signal", "reset"], PLAIN),
    (
        &["rollback"],
        &[(Code::Done, "what was before serves again"), NO_WAY_BACK, OVERTAKEN, NO_APP, NOBODY, UNREADABLE],
    ),
    (&["promote"], &[DONE, (Code::Aborted, "there is no canary"), NO_APP, NOBODY, UNREADABLE]),
    (&["prove"], &[(Code::Done, "nothing was lost"), LOST, NO_APP, NOBODY, UNREADABLE]),
    (&["env", "info", "flush"], PLAIN),
    (&["status", "monit", "ping", "kill", "save"], ASKING),
    (
        &["upgrade"],
        &[DONE, (Code::Aborted, "refused, or it did not come up: the running one goes on"), NOBODY, UNREADABLE],
    ),
    (&["logs"], &[DONE, NO_APP, (Code::Unavailable, "no supervisor answers, or it has ended meanwhile"), UNREADABLE]),
    (&["resurrect"], &[DONE, FAILED]),
    (
        &["startup", "unstartup"],
        &[DONE, NO_MANAGER, (Code::Software, "not permitted, or the service manager has refused")],
    ),
    (&["fmt"], &[DONE, (Code::Aborted, "with --check: there is something to put right"), INVALID]),
    (&["import"], &[DONE, (Code::Config, "the file cannot be read")]),
    (&["schema", "completions", "man", "demo"], LOCAL),
];

/// The verbs with their codes below their help.
pub(super) fn told(command: Command) -> Command {
    VERBS.iter().flat_map(|(verbs, codes)| verbs.iter().map(move |verb| (*verb, *codes))).fold(
        command,
        |command, (verb, codes)| {
            command.mut_subcommand(verb, |verb| {
                let before = verb.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
                verb.after_help(before + &text(codes))
            })
        },
    )
}

fn text(codes: &[Meaning]) -> String {
    let mut text = "Exit codes:".to_owned();
    for (code, meaning) in codes {
        let _ = write!(text, "\n  {:>2}  {meaning}", *code as u8);
    }
    text
}

/// The code for a failure that a verb did not expect.
pub(super) fn code_of(error: &anyhow::Error) -> Code {
    if error.downcast_ref::<Wrong>().is_some() {
        return Code::Usage;
    }
    if error.downcast_ref::<Unreadable>().is_some() {
        return Code::Config;
    }
    match error.downcast_ref::<client::Error>() {
        Some(client::Error::Unreachable { .. }) => return Code::Unavailable,
        Some(client::Error::Refused(refusal)) if refusal.kind == RefusalKind::BadRequest => return Code::Usage,
        _ => {}
    }
    match error.downcast_ref::<supervisor::Error>() {
        Some(supervisor::Error::Admin(BindError::InUse(_))) => Code::Taken,
        _ => Code::Software,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    const README: &str = include_str!("../../README.md");

    fn numbers<'a>(words: impl Iterator<Item = &'a str>) -> BTreeSet<u8> {
        words.filter_map(|word| word.split_whitespace().next()?.parse().ok()).collect()
    }

    /// The codes in the last column of the table of verbs.
    fn of_readme() -> BTreeMap<String, BTreeSet<u8>> {
        let rows = README.lines().filter(|line| line.starts_with("| `portreeve "));
        let row = |line: &str| {
            let verb = line.split(['`', ' ']).nth(3).unwrap_or_default().to_owned();
            let codes = line.trim_end_matches([' ', '|']).rsplit_once(" | ").unwrap_or_default().1;
            (verb, numbers(codes.split(';')))
        };
        rows.map(row).collect()
    }

    #[test]
    fn every_verb_tells_the_codes_that_the_readme_tells() {
        let command = told(Cli::command());
        let readme = of_readme();
        let mut count = 0;
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, codes) = help.split_once("Exit codes:\n").unwrap_or_else(|| panic!("{}: {help}", verb.get_name()));
            let codes = numbers(codes.lines());
            assert_eq!(Some(&codes), readme.get(verb.get_name()), "{}", verb.get_name());
            count += 1;
        }
        assert!(count > 30, "{count}");
    }
}
