//! From what was translated to the text of a file: a head that says where it is from, sections, apps, comments.
//!
//! Remarks stand above the app that they are about, so that they are still there when the terminal is not.

use toml_edit::{DocumentMut, Item, Table};

use super::draft::comment_lines;
use super::{Imported, ImportedApp, Remark};

/// Longest line of a comment.
const WIDTH: usize = 116;

pub(super) fn text(imported: &Imported) -> String {
    let mut document = DocumentMut::new();
    for (name, item) in &imported.sections {
        document.insert(name, item.clone());
    }
    let mut apps = Table::new();
    apps.set_implicit(true);
    for app in &imported.apps {
        apps.insert(app.name.as_str(), Item::Table(table(app)));
    }
    document.insert("app", Item::Table(apps));
    format!("{}{document}", head(imported))
}

fn head(imported: &Imported) -> String {
    let mut lines = vec![format!("Made by `portreeve import` from {}.", imported.origin)];
    lines.push(
        "config/portreeve.toml of the distribution explains every key; `portreeve check` reads this file.".into(),
    );
    lines.extend(imported.remarks.iter().map(Remark::to_string));
    let gap = if imported.sections.is_empty() { "" } else { "\n" };
    lines.iter().map(|line| comment_lines(&wrapped(line))).collect::<String>() + gap
}

fn table(app: &ImportedApp) -> Table {
    let mut table = app.table.clone();
    let remarks: String =
        app.remarks.iter().map(|remark| comment_lines(&wrapped(&format!("Not as before: {remark}")))).collect();
    table.decor_mut().set_prefix(format!("\n{remarks}"));
    table
}

/// Breaks a sentence at spaces; what follows the first line is indented.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("  {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}
