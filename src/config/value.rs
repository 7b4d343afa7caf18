//! One value of the file, and the readers of the plain kinds: text, number, duration, size, word, path.
//!
//! A reader takes a [`Value`] and gives what is meant or the [`Fault`] that says why not, with an example of what
//! would do. Readers are pure and know no key: the name in their messages is that under which the value stands.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::units::{self, BadUnit};
use super::unknown;

/// A value as it stands in the file.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    /// The key that it was given for; for an item of a list that of the list.
    pub(super) key: &'a str,
    pub(super) node: &'a Spanned<DeValue<'a>>,
    /// The whole file.
    pub(super) text: &'a str,
}

impl<'a> Value<'a> {
    /// The bytes of the value.
    pub(super) fn span(&self) -> Range<usize> {
        self.node.span()
    }

    /// A fault of this value.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::error(self.span(), message)
    }

    /// A fault of the kind of this value: `expected` is what it must be, such as "a text in quotes".
    pub(super) fn mismatch(&self, expected: &str) -> Fault {
        self.fault(format!("`{}` must be {expected}", self.key)).label(format!("this is {}", self.kind()))
    }

    pub(super) fn str(&self) -> Option<&'a str> {
        self.node.get_ref().as_str()
    }

    pub(super) fn table(&self) -> Option<&'a DeTable<'a>> {
        self.node.get_ref().as_table()
    }

    /// The items of a list, each as a value; `None` when this is no list.
    pub(super) fn items(&self) -> Option<impl Iterator<Item = Self> + use<'a>> {
        let Self { key, text, .. } = *self;
        Some(self.node.get_ref().as_array()?.iter().map(move |node| Self { key, node, text }))
    }

    /// Where in the file `part` of this text stands, given as bytes of the text; all of it when escapes are in the way.
    pub(super) fn part(&self, part: Range<usize>) -> Range<usize> {
        let span = self.span();
        let written = self.text.get(span.start + 1..span.end.saturating_sub(1));
        match (written, self.str()) {
            (Some(written), Some(text)) if written == text => span.start + 1 + part.start..span.start + 1 + part.end,
            _ => span,
        }
    }

    fn kind(&self) -> &'static str {
        match self.node.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a bare number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    /// A number, with a fraction or without.
    pub(super) fn number(&self) -> Option<f64> {
        match self.node.get_ref() {
            DeValue::Integer(_) => self.integer().map(|number| number as f64),
            DeValue::Float(number) => number.as_str().replace('_', "").parse().ok(),
            _ => None,
        }
    }

    /// Digits and sign of a whole number, in base ten where it fits.
    pub(super) fn integer(&self) -> Option<i128> {
        let number = self.node.get_ref().as_integer()?;
        Some(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
    }
}

/// A text that is not empty. NUL bytes are refused because nothing that portreeve hands it to could take them.
pub(super) fn text(value: Value<'_>) -> Result<&str, Fault> {
    match any_text(value)? {
        "" => Err(value.fault(format!("`{}` is empty", value.key)).label("nothing in here")),
        text => Ok(text),
    }
}

/// A text that may be empty.
pub(super) fn any_text(value: Value<'_>) -> Result<&str, Fault> {
    let text = value.str().ok_or_else(|| value.mismatch("a text in quotes"))?;
    if text.contains('\0') { Err(value.fault(format!("`{}` contains a NUL byte", value.key))) } else { Ok(text) }
}

pub(super) fn boolean(value: Value) -> Result<bool, Fault> {
    value.node.get_ref().as_bool().ok_or_else(|| value.mismatch("true or false"))
}

/// A whole number within a range.
pub(super) fn count<T: Copy + Into<u32> + TryFrom<u32>>(value: Value, range: &RangeInclusive<T>) -> Result<T, Fault> {
    let number = value.integer().ok_or_else(|| value.mismatch("a whole number"))?;
    let (least, most): (u32, u32) = ((*range.start()).into(), (*range.end()).into());
    let within = u32::try_from(number).ok().filter(|number| (least..=most).contains(number));
    within.and_then(|number| T::try_from(number).ok()).ok_or_else(|| out_of_range(value, &least, &most))
}

/// A whole number within a range that may go below zero.
pub(super) fn integer(value: Value, range: &RangeInclusive<i32>) -> Result<i32, Fault> {
    let number = value.integer().ok_or_else(|| value.mismatch("a whole number"))?;
    let within = i32::try_from(number).ok().filter(|number| range.contains(number));
    within.ok_or_else(|| out_of_range(value, range.start(), range.end()))
}

/// How a number with a unit is read, written, and explained.
struct Measure<T> {
    read: fn(&str) -> Result<T, BadUnit>,
    write: fn(T) -> String,
    examples: &'static str,
    units: &'static str,
    /// The unit that is most likely meant by a bare number, and the next.
    usual: [&'static str; 2],
}

const DURATION: Measure<Duration> = Measure {
    read: units::parse_duration,
    write: units::format_duration,
    examples: "a duration such as \"250ms\", \"30s\", \"1m30s\" or \"2h\"",
    units: "the units are d, h, m, s and ms",
    usual: ["s", "ms"],
};

const SIZE: Measure<u64> = Measure {
    read: units::parse_size,
    write: units::format_size,
    examples: "a size such as \"512B\", \"32KiB\" or \"10MiB\"",
    units: "the units are B, KiB, MiB and GiB (powers of 1024), kB, MB and GB (powers of 1000)",
    usual: ["B", "KiB"],
};

/// A duration such as `"30s"` within a range.
pub(super) fn duration(value: Value, range: &RangeInclusive<Duration>) -> Result<Duration, Fault> {
    measured(value, range, &DURATION)
}

/// A size such as `"32KiB"` within a range, in bytes.
pub(super) fn size(value: Value, range: &RangeInclusive<u64>) -> Result<u64, Fault> {
    measured(value, range, &SIZE)
}

fn measured<T: Copy + PartialOrd>(value: Value, range: &RangeInclusive<T>, of: &Measure<T>) -> Result<T, Fault> {
    let fault = || value.mismatch(of.examples);
    if let Some(number @ 0..=1_000_000_000_000) = value.integer() {
        let [first, second] = of.usual;
        let help = format!("write \"{number}{first}\" or \"{number}{second}\", whichever is meant");
        return Err(fault().label("the unit is missing").help(help));
    }
    let text = value.str().ok_or_else(fault)?;
    let number = (of.read)(text).map_err(|bad| fault().label(bad.to_string()).help(of.units))?;
    if range.contains(&number) {
        return Ok(number);
    }
    Err(out_of_range(value, &(of.write)(*range.start()), &(of.write)(*range.end())))
}

/// `None` for the given word, else what `read` makes of the value.
pub(super) fn unless<'a, T>(
    word: &str,
    value: Value<'a>,
    read: impl FnOnce(Value<'a>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    match value.str() {
        Some(text) if text == word => Ok(None),
        _ => read(value).map(Some).map_err(|fault| fault.or_help(&format!("or write \"{word}\""))),
    }
}

/// One of several words.
pub(super) fn word<T: Copy>(value: Value, words: &[(&'static str, T)]) -> Result<T, Fault> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let expected = format!("one of {}", quoted.join(", "));
    let text = value.str().ok_or_else(|| value.mismatch(&expected))?;
    let found = words.iter().find(|(name, _)| *name == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let label = unknown::nearest(text, &names)
            .map_or_else(|| "not one of them".to_owned(), |near| format!("did you mean \"{near}\"?"));
        value.mismatch(&expected).label(label)
    })
}

/// A path; a relative one is taken from `base`. `..` stays, because what it means depends on symlinks.
pub(super) fn path(value: Value, base: &Path) -> Result<PathBuf, Fault> {
    Ok(base.join(text(value)?).components().collect())
}

/// A path for a Unix socket, relative to `base` like any other.
pub(super) fn socket_path(value: Value, base: &Path) -> Result<PathBuf, Fault> {
    let path = path(value, base)?;
    check_socket_length(value, &path)?;
    Ok(path)
}

/// The address of a Unix socket has room for a path of 107 bytes (unix(7)).
pub(super) fn check_socket_length(value: Value, path: &Path) -> Result<(), Fault> {
    match path.as_os_str().len() {
        ..=107 => Ok(()),
        long => Err(value
            .fault(format!("the path in `{}` is too long for a Unix socket", value.key))
            .label(format!("{long} bytes with its directory, the system takes 107"))),
    }
}

fn out_of_range(value: Value, least: &dyn std::fmt::Display, most: &dyn std::fmt::Display) -> Fault {
    value.fault(format!("`{}` must be from {least} to {most}", value.key)).label("out of range")
}
