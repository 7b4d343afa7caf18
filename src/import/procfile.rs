//! A Procfile: a line a process, `name: command`. `web` is the one that is given a port and serves.
//!
//! Pure. The lines are for a shell, which is left out where it is not needed; `$PORT` stays, for each worker has its own.

use super::draft::Draft;
use super::{Imported, ImportedApp, Remark};
use crate::id::AppName;

/// What only a shell understands.
const OF_SHELLS: &[char] =
    &['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', ']', '#', '~', '{', '}', '!', '='];

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
        let host = placeholder(&name);
        if command.is_empty() || imported.apps.iter().any(|app| placeholder(&app.name) == host) {
            return Err(format!("line {number}: `{name}` has no command, or is there twice"));
        }
        imported.apps.push(process(name, &command, host));
    }
    if imported.apps.is_empty() { Err("there is no process in it".to_owned()) } else { Ok(imported) }
}

/// A name that leads to this machine and to no other.
fn placeholder(name: &AppName) -> String {
    format!("{}.localhost", name.as_str().to_ascii_lowercase().trim_matches(['-', '_']))
}

fn process(name: AppName, command: &str, host: String) -> ImportedApp {
    let mut draft = Draft::default();
    let mut remarks = Vec::new();
    draft.set("command", command);
    if command.contains(OF_SHELLS) {
        draft.set("shell", true);
    }
    draft.noted("workers", 1, "A Procfile says nothing of how many: `workers = \"auto\"` is one per CPU.");
    if name.as_str() != "web" {
        draft.set("hosts", host);
        let text = "is taken for an app that listens on PORT, as `web` does: one that does not never gets ready";
        remarks.push(Remark::new(name.as_str(), text));
    }
    ImportedApp { name, table: draft.into_table(), remarks }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    #[test]
    fn each_line_becomes_an_app() {
        let imported = translate("# c\nweb: node server.js\n\nmail-job: bundle exec rake jobs:work && true\n").unwrap();
        let text = imported.to_toml();
        assert!(config::parse(&text, Path::new("/portreeve.toml")).is_ok(), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_is_no_process_has_a_line() {
        for (text, message) in [
            ("", "no process"),
            ("web", "line 1"),
            ("web: a\nWeb: b", "line 2"),
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
