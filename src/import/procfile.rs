//! A Procfile: a line a process, `name: command`. `web` is the one that is given a port and serves.
//!
//! Pure. The lines are for a shell, which is left out where it is not needed; `$PORT` stays, for each worker has its own.

use crate::config;

use super::draft::Draft;
use super::{Imported, ImportedApp, Remark};

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
        if command.is_empty() || imported.apps.iter().any(|app| app.name == name) {
            return Err(format!("line {number}: `{name}` has no command, or is there twice"));
        }
        imported.apps.push(process(name, &command));
    }
    if imported.apps.is_empty() { Err("there is no process in it".to_owned()) } else { Ok(imported) }
}

fn process(name: crate::id::AppName, command: &str) -> ImportedApp {
    let mut draft = Draft::default();
    let mut remarks = Vec::new();
    draft.set("command", command);
    if command.contains(OF_SHELLS) {
        draft.set("shell", true);
    }
    draft.noted("workers", 1, "A Procfile says nothing of how many: `workers = \"auto\"` is one per CPU.");
    if name.as_str() != "web" {
        let host = format!("{}.localhost", name.as_str().to_ascii_lowercase().trim_matches(['-', '_']));
        draft.set("hosts", host);
        remarks.push(Remark::new(name.as_str(), "is taken for an app that listens on PORT, as `web` does"));
    }
    ImportedApp { name, table: draft.into_table(), remarks }
}
