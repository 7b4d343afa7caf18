//! What a file says, key by key, as it is written there: for people who ask where a value is from, or what has changed.
//!
//! Pure. It decides nothing: what is meant is in [`Config`](super::Config). Invariant: a value that may be a secret is never
//! given out, but whether it has changed is known.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::masked::{HIDDEN, looks_secret};

/// What was said, by dotted keys. How something is said does not count where it is asked whether two mean the same.
#[derive(Clone, Debug, Default)]
pub struct Said {
    keys: BTreeMap<String, Saying>,
    /// All of which this is a part.
    pub whole: Text,
}

/// The text of a file, as it was read: to be read again by whoever takes over, whatever the file says by then. Cheap to
/// clone; what it says is compared elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Text(pub Arc<str>);

impl PartialEq for Text {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Text {}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    value: String,
    is_secret: bool,
    /// Where it stands, from 1 on.
    pub line: usize,
}

/// A key that is said otherwise than before; `None`: not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub key: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl PartialEq for Said {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Said {}

impl Saying {
    /// As TOML on one line.
    #[must_use]
    pub fn value(&self) -> &str {
        if self.is_secret { HIDDEN } else { &self.value }
    }
}

impl Said {
    pub(super) fn of(table: &DeTable, text: &str) -> Self {
        let mut said = Self::default();
        said.add(table, "", &Source::new(text));
        said
    }

    /// What a small text of TOML says, which is sound.
    pub(super) fn parse(text: &str) -> Self {
        Self::of(DeTable::parse_recoverable(text).0.get_ref(), text)
    }

    fn add(&mut self, table: &DeTable, prefix: &str, source: &Source<'_>) {
        for (key, node) in table {
            self.add_value(&format!("{prefix}{}", key.get_ref()), node, source);
        }
    }

    fn add_value(&mut self, key: &str, node: &Spanned<DeValue>, source: &Source<'_>) {
        match node.get_ref() {
            DeValue::Table(table) => self.add(table, &format!("{key}."), source),
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                for (index, item) in items.iter().enumerate() {
                    self.add_value(&format!("{key}[{index}]"), item, source);
                }
            }
            _ => drop(self.keys.insert(key.to_owned(), saying(key, node.span(), source))),
        }
    }

    /// Every key in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Saying)> {
        self.keys.iter().map(|(key, saying)| (key.as_str(), saying))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Saying> {
        self.keys.get(key)
    }

    /// What is said otherwise afterwards.
    #[must_use]
    pub fn changes(&self, after: &Self) -> Vec<Changed> {
        let keys: BTreeSet<&String> = self.keys.keys().chain(after.keys.keys()).collect();
        let is_other =
            |key: &&String| self.keys.get(*key).map(|one| &one.value) != after.keys.get(*key).map(|one| &one.value);
        let shown = |saying: &Saying| saying.value().to_owned();
        let changed = |key: &String| Changed {
            key: key.clone(),
            before: self.keys.get(key).map(shown),
            after: after.keys.get(key).map(shown),
        };
        keys.into_iter().filter(is_other).map(changed).collect()
    }
}

/// A text, and where its lines end.
struct Source<'a> {
    text: &'a str,
    ends: Vec<usize>,
}

impl<'a> Source<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, ends: text.match_indices('\n').map(|(end, _)| end).collect() }
    }

    /// The number of the line in which a byte stands, from 1 on.
    fn line(&self, at: usize) -> usize {
        self.ends.partition_point(|end| *end < at) + 1
    }
}

fn saying(key: &str, span: Range<usize>, source: &Source<'_>) -> Saying {
    let line = source.line(span.start);
    let written = source.text.get(span).unwrap_or_default();
    let name = key.rsplit('.').next().unwrap_or(key);
    let is_secret = looks_secret(name, written);
    let is_one_line = !written.contains('\n');
    let value = if is_one_line { written.to_owned() } else { written.split_whitespace().collect::<Vec<_>>().join(" ") };
    Saying { value, is_secret, line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_known_by_its_key_its_text_and_its_line() {
        let said = Said::parse("a = 1\n[b]\nc = { d = \"x\", e = [\n  1,\n  2 ] }\n[[f]]\ng = true\n");
        let all: Vec<_> = said.iter().map(|(key, saying)| (key, saying.value(), saying.line)).collect();
        let expected = [("a", "1", 1), ("b.c.d", "\"x\"", 3), ("b.c.e", "[ 1, 2 ]", 3), ("f[0].g", "true", 7)];
        assert_eq!(all, expected);
    }

    #[test]
    fn what_has_changed_is_told_and_a_secret_only_that_it_has() {
        let before = Said::parse("same = 1\ngone = 2\nworkers = 3\n[env]\nDB_PASSWORD = 'a'\nURL = 'x://u:p@h'\n");
        let after = Said::parse("same = 1\nworkers = 4\nnew = 5\n[env]\nDB_PASSWORD = 'b'\nURL = 'x://u:p@h'\n");
        let changes = before.changes(&after);
        let told: Vec<_> =
            changes.iter().map(|one| (one.key.as_str(), one.before.as_deref(), one.after.as_deref())).collect();
        let expected = [
            ("env.DB_PASSWORD", Some(HIDDEN), Some(HIDDEN)),
            ("gone", Some("2"), None),
            ("new", None, Some("5")),
            ("workers", Some("3"), Some("4")),
        ];
        assert_eq!(told, expected);
        assert_eq!(after.get("env.URL").map(Saying::value), Some(HIDDEN));
    }
}
