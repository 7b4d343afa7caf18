//! A Procfile: a line a process, `name: command`. `web` is the one that is given a port and serves; all others are tasks.
//!
//! Pure. The lines are for a shell, which is left out where it is not needed; `$PORT` stays, for each worker of `web` has its
//! own. What `release` does is done once, before a release, and so is no app.

use super::draft::Draft;
use super::{Imported, ImportedApp, Remark};
use crate::id::AppName;

/// What only a shell understands.
const OF_SHELLS: &[char] =
    &['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', ']', '#', '~', '{', '}', '!', '='];

/// The process that serves.
const WEB: &str = "web";
/// The process that is none.
const RELEASE: &str = "release";

/// Translates the text of a Procfile.
///
/// # Errors
/// A sentence with the line.
pub fn translate(text: &str) -> Result<Imported, String> {
    let mut imported = Imported { origin: "Procfile".to_owned(), ..Imported::default() };
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, command) = line.split_once(':').ok_or_else(|| format!("line {number} is no `name: command`"))?;
        let name = name.trim().parse().map_err(|bad| format!("line {number}: {bad}"))?;
        let command = command.trim().replace(|c: char| c.is_control(), " ");
        let is_there = |app: &ImportedApp| app.name == name;
        if command.is_empty() || imported.apps.iter().any(is_there) {
            return Err(format!("line {number}: `{name}` has no command, or is there twice"));
        }
        if name.as_str() == RELEASE {
            let text = format!("is done once, before a release: run `{command}` before `portreeve reload`");
            imported.remarks.push(Remark::new(RELEASE, text));
        } else {
            imported.apps.push(process(name, &command));
        }
    }
    if imported.apps.is_empty() { Err("there is no process in it".to_owned()) } else { Ok(imported) }
}

fn process(name: AppName, command: &str) -> ImportedApp {
    let mut draft = Draft::default();
    let mut remarks = Vec::new();
    draft.set("command", command);
    if name.as_str() != WEB {
        draft.noted(
            "kind",
            "task",
            "Only `web` is given a port in a Procfile; for a server give it `hosts` or a `port`.",
        );
        if command.contains("PORT") {
            let text =
                "speaks of PORT, which only `web` has: for a server take out `kind`, and give it `hosts` or a `port`";
            remarks.push(Remark::new(name.as_str(), text));
        }
    }
    if command.contains(OF_SHELLS) {
        draft.set("shell", true);
    }
    draft.noted("workers", 1, "A Procfile says nothing of how many: `workers = \"auto\"` is one per CPU.");
    ImportedApp { name, table: draft.into_table(), remarks }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    const TEXT: &str = "# c\nweb: node server.js\n\nmail-job: bundle exec rake jobs:work && true\nrelease: ./migrate\n\
                        api: puma -p $PORT\n";

    #[test]
    fn each_line_becomes_an_app() {
        let imported = translate(TEXT).unwrap();
        let text = imported.to_toml();
        assert!(config::parse(&text, Path::new("/portreeve.toml")).is_ok(), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_is_no_process_has_a_line() {
        for (text, message) in [
            ("", "no process"),
            ("web", "line 1"),
            ("web: a\nweb: b", "line 2"),
            ("release: a", "no process"),
            ("a b: c", "line 1"),
            ("web:", "line 1"),
        ] {
            assert!(translate(text).unwrap_err().contains(message), "{text}");
        }
    }

    #[test]
    fn every_command_is_one_that_we_take() {
        for command in ["a 'b", "A=1 b", "a $PORT", "a | b", "a\u{0}b", "é"] {
            let text = translate(&format!("web: {command}")).unwrap().to_toml();
            assert!(config::parse(&text, Path::new("/portreeve.toml")).is_ok(), "{text}");
        }
    }
}
