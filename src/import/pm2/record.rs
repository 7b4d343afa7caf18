//! The keys of one app as PM2 understands them, handed out once each, so that what nobody takes can be named.
//!
//! Values are read as PM2 reads them: a number may stand in a text, `true` as well.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::Remark;
use super::keys::{self, Kind};
use super::units;

/// What is still to be looked at.
#[derive(Debug, Default)]
pub(super) struct Record {
    values: BTreeMap<&'static str, Value>,
    /// Variables by the name of their profile.
    pub(super) profiles: BTreeMap<String, Value>,
}

impl Record {
    /// Sorts the keys; those without a meaning are named in `remarks`.
    pub(super) fn new(app: Map<String, Value>, remarks: &mut Vec<Remark>) -> Self {
        let mut record = Self::default();
        for (key, value) in app {
            match keys::kind(&key) {
                _ if value.is_null() => {}
                Kind::Known(name) => drop(record.values.insert(name, value)),
                Kind::Profile(name) => drop(record.profiles.insert(name.to_owned(), value)),
                Kind::Idle(why) => remarks.push(Remark::new(key, why)),
                Kind::Unknown => remarks.push(Remark::new(key, "not a key of PM2, which ignores it too")),
            }
        }
        record
    }

    /// A value that is left for others to take.
    pub(super) fn look(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.values.remove(key)
    }

    /// A text; a number stands for itself.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.take(key).map(|value| text(&value)).filter(|text| !text.is_empty())
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key).map(|value| is_true(&value))
    }

    pub(super) fn number(&mut self, key: &str) -> Option<i64> {
        self.take(key).and_then(|value| number(&value))
    }

    /// A time: milliseconds, or a text such as `10s`.
    pub(super) fn millis(&mut self, key: &str) -> Option<Duration> {
        self.take(key).and_then(|value| units::time(&value))
    }

    /// Words: a list, or one text split as a shell does it.
    pub(super) fn words(&mut self, key: &str) -> Vec<String> {
        match self.take(key) {
            Some(Value::Array(items)) => items.iter().map(text).collect(),
            Some(value) => {
                let line = text(&value);
                shell_words::split(&line).unwrap_or_else(|_| line.split_whitespace().map(str::to_owned).collect())
            }
            None => Vec::new(),
        }
    }

    /// Names what nobody took.
    pub(super) fn finish(&mut self, remarks: &mut Vec<Remark>) {
        for key in std::mem::take(&mut self.values).into_keys() {
            remarks.push(Remark::new(key, "could not be translated"));
        }
    }
}

/// A value as the environment or a command line has it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)).or_else(|| text(value).trim().parse().ok())
}

pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(is) => *is,
        Value::String(text) => !matches!(text.as_str(), "" | "false" | "0"),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Null => false,
        Value::Array(_) | Value::Object(_) => true,
    }
}
