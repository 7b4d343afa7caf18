//! A table under construction: keys in the order in which they are set, each with a comment above it if need be.
//!
//! Knows TOML and nothing of what the keys mean.

use toml_edit::{Array, Item, Key, Table, Value};

/// The table of one app, or of a section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft(Table);

impl Draft {
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key, Item::Value(value.into()));
    }

    /// Sets a key with a comment above it; each line of the text becomes one of the file.
    pub(crate) fn noted(&mut self, key: &str, value: impl Into<Value>, comment: &str) {
        let mut named = Key::new(key);
        named.leaf_decor_mut().set_prefix(comment_lines(comment));
        self.0.insert_formatted(&named, Item::Value(value.into()));
    }

    /// A key of a table within, which is made on the way.
    pub(crate) fn within(&mut self, table: &str, key: &str, value: impl Into<Value>) {
        self.inner(table).insert(key, Item::Value(value.into()));
    }

    /// A table within, which is made on the way; a value in its place gives way.
    pub(crate) fn inner(&mut self, table: &str) -> &mut Table {
        let item = self.0.entry(table).or_insert_with(|| Item::Table(Table::new()));
        if !item.is_table() {
            *item = Item::Table(Table::new());
        }
        item.as_table_mut().expect("it is a table, or has just become one")
    }

    /// Takes a key out; true when it was there.
    pub(crate) fn drop_key(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn has_within(&self, table: &str, key: &str) -> bool {
        self.0.get(table).and_then(Item::as_table).is_some_and(|table| table.contains_key(key))
    }

    pub(crate) fn into_table(self) -> Table {
        self.0
    }
}

/// A text as lines that begin with `#`; what could end a comment early is taken out.
pub(crate) fn comment_lines(text: &str) -> String {
    text.lines().flat_map(|line| ["# ".to_owned(), visible(line), "\n".to_owned()]).collect()
}

fn visible(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(crate) fn list(items: &[String]) -> Value {
    Value::Array(items.iter().map(String::as_str).collect::<Array>())
}
