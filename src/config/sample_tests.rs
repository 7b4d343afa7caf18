//! The commented sample at the top level says what the code does: each default, each key, nothing else.

use std::collections::BTreeSet;

use super::testing::{bad, good};
use super::{Config, Server};

pub(super) const SAMPLE: &str = include_str!("../../config/portreeve.toml");

/// One line of the sample that is TOML, commented out or not.
#[derive(Clone, Debug)]
struct Entry {
    /// The header of its table, such as `[app.web]`; of a header line its own.
    table: String,
    /// `None`: a header.
    key: Option<String>,
    /// Without the `#` in front.
    toml: String,
    is_live: bool,
    is_example: bool,
}

/// Every line of the sample that is not prose.
fn entries() -> Vec<Entry> {
    let mut table = String::new();
    let mut entries = Vec::new();
    for line in SAMPLE.lines().filter(|line| !line.is_empty() && *line != "#" && !line.starts_with("# ")) {
        let toml = line.trim_start_matches('#').to_owned();
        let key = match toml.strip_prefix('[') {
            Some(_) => None,
            None => {
                Some(toml.split_once(" = ").unwrap_or_else(|| panic!("neither prose nor a key: {line}")).0.to_owned())
            }
        };
        if key.is_none() {
            table.clone_from(&toml);
        }
        let (is_live, is_example) = (!line.starts_with('#'), toml.ends_with("# example"));
        entries.push(Entry { table: table.clone(), key, toml, is_live, is_example });
    }
    entries
}

/// The entries that `choose` wants, as a file.
fn file(choose: impl Fn(&Entry) -> bool) -> String {
    entries().iter().filter(|entry| choose(entry)).map(|entry| entry.toml.clone() + "\n").collect()
}

/// The whole sample without comments; of a key that is shown in several forms the first, or the last.
pub(super) fn everything(is_last_form: bool) -> String {
    let mut chosen: Vec<Entry> = Vec::new();
    for entry in entries() {
        let same = |other: &Entry| entry.key.is_some() && (&other.table, &other.key) == (&entry.table, &entry.key);
        match chosen.iter().position(same) {
            Some(index) if is_last_form => chosen[index] = entry,
            Some(_) => {}
            None => chosen.push(entry),
        }
    }
    chosen.iter().map(|entry| entry.toml.clone() + "\n").collect()
}

fn config(text: &str) -> Config {
    good(text).config
}

/// The keys that the reader knows where an unknown one is put.
pub(super) fn known_keys(text: &str) -> Vec<String> {
    let problems = bad(text);
    let problem = problems.problems().iter().find(|problem| problem.message.contains("`zzz`"));
    let help = problem.and_then(|problem| problem.help.clone()).unwrap_or_else(|| panic!("{}", problems.render(false)));
    help.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_sample_as_it_stands_means_the_defaults() {
    let loaded = good(SAMPLE);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.config, config("[app.web]\ncommand = \"node server.js\"\n"));
}

#[test]
fn the_short_example_at_the_top_is_a_whole_file() {
    let example: String =
        SAMPLE.lines().filter_map(|line| line.strip_prefix("#   ")).flat_map(|line| [line, "\n"]).collect();
    let config = config(&example);
    assert!(example.lines().count() <= 10 && !config.apps.is_empty() && !config.listen.http.is_empty());
}

#[test]
fn every_default_that_is_shown_is_the_real_one() {
    let mut count = 0;
    for shown in entries().iter().filter(|entry| !entry.is_live && !entry.is_example && entry.key.is_some()) {
        let is_other = |entry: &Entry| entry.is_live || (entry.table == shown.table && is_needed(entry));
        let without = file(is_other);
        let with = file(|entry| is_other(entry) || entry.toml == shown.toml && entry.table == shown.table);
        assert!(with.len() > without.len());
        assert_eq!(config(&with), config(&without), "{}", shown.toml);
        count += 1;
    }
    assert!(count > 30, "only {count} defaults are shown");
}

/// In a table that is commented out as a whole: its header, and what makes it complete.
fn is_needed(entry: &Entry) -> bool {
    entry.key.is_none() || APART.contains(&entry.table.as_str()) && entry.is_example
}

/// Apps of other kinds, each commented out as a whole.
const APART: [&str; 3] = ["[app.mail]", "[app.report]", "[app.api]"];

#[test]
fn the_sample_without_comments_is_a_file_with_everything() {
    for text in [everything(false), everything(true)] {
        let loaded = good(&text);
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let config = loaded.config;
        assert_eq!((config.certificates.len(), config.listen.https.len(), config.apps.len()), (2, 2, 4));
        let servers: Vec<&Server> = config.apps.values().map(|app| &app.server).collect();
        assert!(matches!(servers[..], [Server::Fixed(_), Server::Command(_), ..]), "{servers:?}");
    }
}

#[test]
fn every_key_that_the_reader_knows_is_in_the_sample() {
    let entries = entries();
    let is_shown =
        |table: &str, key: &str| entries.iter().any(|entry| entry.table == table && entry.key.as_deref() == Some(key));
    for text in [everything(false), everything(true)] {
        let tables: BTreeSet<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
        for table in tables {
            for key in known_keys(&text.replacen(table, &format!("{table}\nzzz = 1"), 1)) {
                let in_app = |app: &str| app == table || !table.starts_with("[app.");
                let is_header = |app: &str| text.contains(&format!("[{}.{key}]", app.trim_matches(['[', ']'])));
                let is_table = is_header(table) || APART.contains(&table) && is_header("[app.web]");
                // What is said of one app need not be said again of the other.
                let shown = APART.iter().chain(&["[app.web]"]).any(|app| is_shown(app, &key) && !in_app(app));
                assert!(shown || is_table || is_shown(table, &key), "`{key}` of {table} is not in the sample");
            }
        }
        for key in known_keys(&format!("zzz = 1\n{text}")) {
            assert!(
                is_shown("", &key) || entries.iter().any(|entry| entry.table.starts_with(&format!("[{key}"))),
                "[{key}] is not in the sample"
            );
        }
    }
}

/// A table whose keys the operator chooses.
fn has_names(entry: &Entry) -> bool {
    matches!(entry.key.as_deref(), Some("env" | "secrets" | "inherit_env"))
}

#[test]
fn every_key_of_an_inline_table_is_in_the_sample() {
    let mut count = 0;
    for entry in entries().iter().filter(|entry| entry.toml.contains(" = { ") && !has_names(entry)) {
        let others = |other: &Entry| other.is_live || (other.table == entry.table && is_needed(other));
        let with_unknown = entry.toml.replacen("{ ", "{ zzz = 1, ", 1);
        let text = match entry.table.as_str() {
            table if APART.contains(&table) => file(others) + &with_unknown,
            table => file(others).replacen(table, &format!("{table}\n{with_unknown}"), 1),
        };
        let forms: String =
            entries().into_iter().filter(|other| other.key == entry.key).map(|other| other.toml).collect();
        for key in known_keys(&text) {
            assert!(forms.contains(&format!(" {key} = ")), "`{key}` of {:?} is not in the sample", entry.key);
            count += 1;
        }
    }
    assert!(count > 10, "only {count} keys were looked for");
}
