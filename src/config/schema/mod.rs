//! The form of the file as a JSON Schema, for editors that complete and check while one types.
//!
//! What may stand where is said in `tables`; what it means, and the default, is taken from the commented reference. The reader
//! stays the judge: the schema knows forms, not what keys have to do with each other. Invariant, tested: it has the keys of
//! the reader and no others, and refuses nothing that the reader takes.

mod forms;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::reference::{self, WHOLE_APP};

/// The version that editors for TOML know.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// The schema of a configuration.
#[must_use]
pub fn schema() -> Value {
    let mut schema = tables::file();
    let book = Book::read();
    book.annotate(&mut schema, "");
    schema["$schema"] = DIALECT.into();
    schema["title"] = "portreeve.toml".into();
    schema["description"] = json!(format!("Configuration of portreeve {}", env!("CARGO_PKG_VERSION")));
    schema
}

/// What the reference says, by dotted keys, in which `*` stands for a name.
struct Book {
    texts: BTreeMap<String, String>,
    defaults: BTreeMap<String, Value>,
}

impl Book {
    fn read() -> Self {
        let mut texts = BTreeMap::new();
        let mut of_web: BTreeMap<String, bool> = BTreeMap::new();
        for entry in reference::entries() {
            let is_first_hand = !entry.table.starts_with("app.") || entry.table.starts_with(WHOLE_APP);
            // What another app says of a key is about that app.
            for key in entry.keys.iter().map(|(key, _)| general(key)) {
                let is_news = *of_web.entry(key.clone()).or_insert(is_first_hand) == is_first_hand;
                if is_news {
                    add(texts.entry(key).or_default(), &entry.text);
                }
            }
        }
        let is_general = |key: &String| !key.starts_with("app.") || key.starts_with(WHOLE_APP);
        let defaults = reference::defaults().into_iter().filter(|(key, _)| is_general(key));
        let defaults = defaults.filter_map(|(key, value)| Some((general(&key), parsed(&value)?)));
        Self { texts, defaults: defaults.collect() }
    }

    /// Says of each key what it means, and what holds without it.
    fn annotate(&self, schema: &mut Value, path: &str) {
        for part in ["anyOf", "oneOf"] {
            let forms = schema.get_mut(part).and_then(Value::as_array_mut);
            forms.into_iter().flatten().for_each(|form| self.annotate(form, path));
        }
        if let Some(item) = schema.get_mut("items") {
            self.annotate(item, path);
        }
        if let Some(inner) = schema.get_mut("additionalProperties").filter(|inner| inner.is_object()) {
            self.annotate(inner, &dotted(path, "*"));
        }
        let keys = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (key, inner) in keys.into_iter().flatten() {
            let path = dotted(path, key);
            self.annotate(inner, &path);
            if let Some(text) = self.texts.get(&path).filter(|text| !text.is_empty()) {
                inner["description"] = text.as_str().into();
            }
            if let Some(default) = self.defaults.get(&path) {
                inner["default"] = default.clone();
            }
        }
    }
}

/// Says more, unless that is said already.
fn add(text: &mut String, more: &str) {
    if !text.contains(more) {
        text.push_str(if text.is_empty() { "" } else { "\n\n" });
        text.push_str(more);
    }
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// `app.web.env` is `app.*.env`.
fn general(key: &str) -> String {
    match key.strip_prefix("app.").and_then(|rest| rest.split_once('.')) {
        Some((_, rest)) => format!("app.*.{rest}"),
        None => key.to_owned(),
    }
}

/// A value of TOML as JSON has it.
fn parsed(value: &str) -> Option<Value> {
    let table: toml::Table = format!("value = {value}").parse().ok()?;
    serde_json::to_value(table.get("value")?).ok()
}
