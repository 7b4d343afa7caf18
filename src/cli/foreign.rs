//! Verbs of PM2 that are no verbs here, and what to type instead.
//!
//! Pure. Verbs that PM2 and portreeve share are not in here, nor those that are aliases of ours.

use clap::error::{ContextKind, ContextValue};

/// PM2's word, and what there is for it.
const VERBS: &[(&str, &str)] = &[
    ("jlist", "portreeve status --json"),
    ("prettylist", "portreeve status --json"),
    ("pid", "portreeve status, or status --json for programs"),
    ("id", "portreeve status, which shows the id of each app"),
    ("report", "portreeve status --json and portreeve info APP"),
    ("imonit", "portreeve monit"),
    ("dashboard", "portreeve monit"),
    ("dump", "portreeve save; the list of apps is written with every change anyway"),
    ("cleardump", "portreeve delete all"),
    ("startOrRestart", "portreeve restart FILE, which starts what does not run"),
    ("startOrReload", "portreeve reload FILE, which starts what does not run"),
    ("startOrGracefulReload", "portreeve reload FILE, which starts what does not run"),
    ("gracefulReload", "portreeve reload"),
    ("softReload", "portreeve reload"),
    ("reloadLogs", "kill -USR1 and the pid that `portreeve ping` says; a file that was moved away is noticed anyway"),
    ("update", "portreeve kill && portreeve resurrect, or systemctl restart portreeve, with the new program in place"),
    ("init", "portreeve import, or a portreeve.toml of two lines: [app.web] and command = \"node server.js\""),
    ("ecosystem", "portreeve import, or a portreeve.toml of two lines: [app.web] and command = \"node server.js\""),
    ("deploy", "a deploy tool, with `portreeve reload` as its last step; the exit code says how it went"),
    ("set", "portreeve.toml, in which all settings stand; `portreeve show` shows them"),
    ("get", "portreeve show"),
    ("conf", "portreeve show"),
    ("config", "portreeve show"),
    ("install", "nothing to install: rotation of logs, metrics and health checks are there"),
    ("module:install", "nothing to install: rotation of logs, metrics and health checks are there"),
    ("logrotate", "`rotate` of [app.NAME.log]; it is on"),
    ("serve", "an app that serves the files, or a server behind `upstream`"),
    ("expose", "an app that serves the files, or a server behind `upstream`"),
    ("web", "[metrics] for programs, portreeve status --json for scripts"),
    ("link", "[metrics], for Prometheus"),
    ("plus", "[metrics], for Prometheus"),
    ("trigger", "portreeve signal SIGUSR2 APP"),
    ("attach", "portreeve logs APP; workers have no standard input"),
    ("send", "portreeve signal SIGNAL APP; workers have no standard input"),
    ("inspect", "node --inspect in `command`"),
    ("profile", "node --cpu-prof in `command`"),
];

/// What to say of the verb that is none; `None`: nobody knows it.
pub(super) fn advice(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let (theirs, ours) = VERBS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(word))?;
    Some(format!("`{theirs}` is a verb of PM2; here there is: {ours}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn said(words: &[&str]) -> Option<String> {
        advice(&Cli::command().try_get_matches_from(words).unwrap_err())
    }

    #[test]
    fn a_verb_of_pm2_is_told_what_it_is_here() {
        let told = said(&["portreeve", "jlist"]).unwrap();
        assert_eq!(told, "`jlist` is a verb of PM2; here there is: portreeve status --json");
        assert!(said(&["portreeve", "startorreload", "x.json"]).is_some(), "in whatever case");
        assert_eq!(said(&["portreeve", "frobnicate"]), None);
        assert_eq!(said(&["portreeve", "stop"]), None, "another mistake");
    }

    #[test]
    fn what_is_advised_exists_and_what_exists_needs_no_advice() {
        let command = Cli::command();
        for (theirs, ours) in VERBS {
            assert!(command.find_subcommand(theirs).is_none(), "{theirs} is a verb");
            for verb in ours.split("portreeve ").skip(1).filter_map(|rest| rest.split([' ', ',', ';', '`']).next()) {
                assert!(command.find_subcommand(verb).is_some(), "{theirs}: {verb} is no verb");
            }
        }
    }
}
