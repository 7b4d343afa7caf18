//! The forms that values have, as JSON Schema: texts, numbers in bounds, lists, tables.
//!
//! Units and bounds are those of the reader. A form is never narrower than what the reader takes.

#![allow(clippy::needless_pass_by_value, reason = "a form goes into the form around it")]

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::super::units;

pub(super) type Keys = Vec<(&'static str, Value)>;

/// A table with these keys and no others.
pub(super) fn table(keys: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let keys: Map<String, Value> = keys.into_iter().map(|(key, form)| (key.to_owned(), form)).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": keys })
}

/// A table whose keys the operator chooses.
pub(super) fn map(of: Value) -> Value {
    json!({ "type": "object", "additionalProperties": of })
}

pub(super) fn any<const N: usize>(forms: [Value; N]) -> Value {
    json!({ "anyOf": forms.to_vec() })
}

/// One, or a list of them.
pub(super) fn list(of: Value) -> Value {
    any([of.clone(), json!({ "type": "array", "items": of })])
}

/// One, or a list of at least one.
pub(super) fn filled(of: Value) -> Value {
    any([of.clone(), json!({ "type": "array", "minItems": 1, "items": of })])
}

/// A list, also of one.
pub(super) fn several(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

pub(super) fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

pub(super) fn any_text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn words<const N: usize>(words: [&str; N]) -> Value {
    json!({ "enum": words.to_vec() })
}

/// The words of a table of the reader.
pub(super) fn words_of<T>(words: &[(&str, T)]) -> Value {
    json!({ "enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>() })
}

/// A signal by its name, in any case, with `SIG` or without.
pub(super) fn signal<T>(signals: &[(&str, T)]) -> Value {
    let any_case = |name: &str| name.chars().flat_map(|c| ['[', c, c.to_ascii_lowercase(), ']']).collect::<String>();
    let names: Vec<_> = signals.iter().map(|(name, _)| any_case(name.trim_start_matches("SIG"))).collect();
    any([words_of(signals), pattern(&format!("^({})*({})$", any_case("SIG"), names.join("|")))])
}

pub(super) fn number() -> Value {
    json!({ "type": "number" })
}

/// A whole number.
pub(super) fn count<T: Display>(range: &RangeInclusive<T>) -> Value {
    let bound = |bound: &T| bound.to_string().parse::<i64>().unwrap_or(i64::MAX);
    json!({ "type": "integer", "minimum": bound(range.start()), "maximum": bound(range.end()) })
}

pub(super) fn duration() -> Value {
    let units: Vec<_> = units::TIME.iter().map(|(unit, _)| *unit).collect();
    pattern(&format!("^([0-9]+({}))+$", units.join("|")))
}

pub(super) fn size() -> Value {
    let units: Vec<_> = units::SIZE.iter().map(|(unit, _)| *unit).collect();
    pattern(&format!("^[0-9]+({})$", units.join("|")))
}

/// A size with a fraction or a short unit, or a share.
pub(super) fn amount() -> Value {
    let units: Vec<_> = units::SIZE.iter().chain(&units::SHORT).map(|(unit, _)| *unit).collect();
    any([pattern(&format!(r"^[0-9]+(\.[0-9]{{1,3}})?({})$", units.join("|"))), pattern("^[0-9]+ *%$")])
}
