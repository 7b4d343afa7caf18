//! What the tests of this room share: one text read as a value, one file read as a whole.

use std::path::Path;

use toml::de::DeValue;

use super::fault::Fault;
use super::value::Value;
use super::{Loaded, Problems, parse};

/// Reads `text` as the value of a key `key`.
fn read<T>(text: &str, reader: impl Fn(Value) -> Result<T, Fault>) -> Result<T, Fault> {
    let written = toml::Value::from(text).to_string();
    let node = DeValue::parse(&written).expect("a text that toml wrote");
    reader(Value { key: "key", node: &node, text: &written })
}

/// What a good text means.
#[track_caller]
pub(super) fn meaning_of<T>(text: &str, reader: impl Fn(Value) -> Result<T, Fault>) -> T {
    read(text, reader).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
}

/// What is wrong with a bad text.
#[track_caller]
pub(super) fn fault_of<T>(text: &str, reader: impl Fn(Value) -> Result<T, Fault>) -> Fault {
    read(text, reader).err().unwrap_or_else(|| panic!("{text:?} was taken as good"))
}

/// A file that is good.
#[track_caller]
pub(super) fn good(text: &str) -> Loaded {
    parse(text, Path::new("/etc/portreeve/portreeve.toml")).unwrap_or_else(|bad| panic!("{}", bad.render(false)))
}

/// A file that is bad.
#[track_caller]
pub(super) fn bad(text: &str) -> Problems {
    parse(text, Path::new("portreeve.toml")).err().unwrap_or_else(|| panic!("taken as good: {text}"))
}
