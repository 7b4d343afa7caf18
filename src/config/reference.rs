//! The commented reference, read: each key with its default and what is said of it there.
//!
//! What people read, and what is made of it (`show`, the schema), so have one source. Tests compare it with the reader, key
//! by key. Pure.

use super::said::Said;

/// The commented reference.
const REFERENCE: &str = include_str!("../../config/portreeve.toml");

/// The app of the reference that has all keys; others show what is special about them.
pub(super) const WHOLE_APP: &str = "app.web";

/// One line of it that is TOML, commented out or not.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Of its table, dotted.
    pub(super) table: String,
    /// Each key on the line, dotted from the top, with its value as TOML; those of an inline table behind its own.
    pub(super) keys: Vec<(String, String)>,
    /// The text above it, which it may share with the lines around it.
    pub(super) text: String,
    /// It shows a default, and no example.
    pub(super) is_default: bool,
}

/// All lines in their order.
pub(super) fn entries() -> Vec<Entry> {
    let (mut table, mut text, mut is_open) = (String::new(), String::new(), false);
    let mut entries = Vec::new();
    for line in REFERENCE.lines() {
        let toml = line.trim_start_matches('#');
        if toml.starts_with('[') {
            toml.trim_matches(['[', ']']).clone_into(&mut table);
            (text, is_open) = (String::new(), false);
        } else if let Some(prose) = line.strip_prefix("# ") {
            let before = if is_open { std::mem::take(&mut text) + " " } else { String::new() };
            (text, is_open) = (before + prose.trim(), true);
        } else if toml.contains(" = ") {
            is_open = false;
            entries.push(Entry {
                table: table.clone(),
                keys: keys(&table, toml),
                text: text.clone(),
                is_default: is_default(line),
            });
        } else {
            (text, is_open) = (String::new(), false);
        }
    }
    entries
}

fn keys(table: &str, toml: &str) -> Vec<(String, String)> {
    let prefix = if table.is_empty() { String::new() } else { format!("{table}.") };
    let said = Said::parse(toml);
    let inner = said.iter().map(|(key, saying)| (format!("{prefix}{key}"), saying.value().to_owned()));
    let whole = toml.split_once(" = ").map(|(key, value)| (format!("{prefix}{key}"), value.to_owned()));
    let whole = whole.filter(|(_, value)| value.starts_with('{'));
    whole.into_iter().chain(inner).collect()
}

/// A line that is a key commented out, and no example.
fn is_default(line: &str) -> bool {
    let is_key = line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    is_key && !line.trim_end().ends_with("# example")
}

/// Each key that has a default, with it.
pub(super) fn defaults() -> Vec<(String, String)> {
    let is_told = |entry: &Entry| entry.is_default && entry.table != "app.api" && !entry.table.ends_with("certificate");
    let shown = entries().into_iter().filter(is_told).flat_map(|entry| entry.keys);
    let mut all: Vec<(String, String)> = shown.filter(|(_, value)| !value.starts_with('{')).collect();
    // Of a key that is shown in short and as a table the table counts.
    let tables: Vec<String> = all.iter().filter_map(|(key, _)| Some(key.rsplit_once('.')?.0.to_owned())).collect();
    all.retain(|(key, _)| !tables.contains(key));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_default_for_every_key_that_the_reference_shows_with_one() {
        let defaults = defaults();
        assert!(defaults.len() > 60, "{defaults:?}");
        for key in
            ["version", "listen.http", "log.access", "app.web.hold.time", "app.web.log.rotate.keep", "app.web.path"]
        {
            assert!(defaults.iter().any(|(known, _)| known == key), "{key}");
        }
    }

    #[test]
    fn each_key_has_the_text_above_it() {
        let entries = entries();
        assert!(entries.iter().all(|entry| !entry.text.is_empty() || entry.table == "tls.certificate"), "{entries:?}");
        let text = |key: &str| {
            let has = |entry: &&Entry| entry.keys.iter().any(|(known, _)| known == key);
            entries.iter().find(has).unwrap_or_else(|| panic!("no {key}")).text.clone()
        };
        assert!(text("app.web.kill_timeout").starts_with("And if it has not ended after this time"));
        assert_eq!(text("limits.header_count"), text("limits.header_bytes"));
        assert!(text("app.web.hold.time").starts_with("When no worker can take a request"));
        assert!(text("app.web.restart.intensity").starts_with("More than `intensity` ends"));
    }
}
