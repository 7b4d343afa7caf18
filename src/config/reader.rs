//! Reads the tables of a file key by key and records all that is wrong on the way, instead of stopping at the first.
//!
//! This stands in for serde: a derived reader gives up at its first error, and an operator wants them all.
//! A [`Table`] hands out each key once; what nobody asked for when it closes is an unknown key. A missing table
//! reads like an empty one, so that defaults have one path. Invariant: every value that was asked for has its
//! [`Places`] entry, whether it was good or not.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::defaults::Setting;
use super::fault::Fault;
use super::places::Places;
use super::problem::Severity;
use super::unknown;
use super::value::{self, Value};

/// What one reading of a file brings to light.
pub(super) struct Findings<'a> {
    text: &'a str,
    /// Is the file TOML? In the ruins of one nothing can be called missing.
    sound: bool,
    faults: RefCell<Vec<Fault>>,
    places: RefCell<Places>,
}

/// One table of the file, or of one that could be there.
pub(super) struct Table<'a> {
    found: &'a Findings<'a>,
    /// Dotted; empty for the file itself.
    name: String,
    span: Range<usize>,
    entries: Option<&'a DeTable<'a>>,
    asked: Vec<&'static str>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(text: &'a str, sound: bool) -> Self {
        Self { text, sound, faults: RefCell::default(), places: RefCell::default() }
    }

    /// Reads the file itself.
    pub(super) fn read<T>(&'a self, tree: &'a DeTable<'a>, read: impl FnOnce(&mut Table<'a>) -> T) -> T {
        let mut table = Table { found: self, name: String::new(), span: 0..0, entries: Some(tree), asked: Vec::new() };
        let meant = read(&mut table);
        table.close();
        meant
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        self.faults.take()
    }

    pub(super) fn places(&self) -> Places {
        self.places.take()
    }

    fn errors(&self) -> usize {
        self.faults.borrow().iter().filter(|fault| fault.severity == Severity::Error).count()
    }
}

impl<'a> Table<'a> {
    /// Records a fault.
    pub(super) fn report(&self, fault: Fault) {
        self.found.faults.borrow_mut().push(fault);
    }

    /// Records that none of `wanted` is there, unless one of them is but misspelt, which is said anyway.
    pub(super) fn report_missing(&self, wanted: &[&'static str], help: &str) {
        let keys = || self.entries.into_iter().flat_map(|entries| entries.keys());
        if !self.found.sound || keys().any(|key| unknown::may_mean(key.get_ref(), wanted)) {
            return;
        }
        let names: Vec<String> = wanted.iter().map(|key| format!("`{key}`")).collect();
        let message = format!("{} needs {}", self.title(), names.join(" or "));
        let is_file = self.name.is_empty();
        let fault = if is_file { Fault::whole_file(message) } else { Fault::error(self.span.clone(), message) };
        self.report(fault.label("missing in this table").help(help));
    }

    /// What `read` gives, and whether it recorded no error on the way.
    pub(super) fn judged<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, bool) {
        let before = self.found.errors();
        let meant = read(self);
        (meant, self.found.errors() == before)
    }

    /// Does the file give this key?
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// Does the file give this key this word, or a table in which `inner` has it?
    pub(super) fn says(&self, key: &str, inner: &str, word: &str) -> bool {
        let Some(value) = self.entries.and_then(|entries| entries.get(key)) else { return false };
        let inside = value.get_ref().as_table().and_then(|table| table.get(inner));
        inside.unwrap_or(value).get_ref().as_str() == Some(word)
    }

    /// The bytes of a key's value, or of the table when it has none.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        let value = self.entries.and_then(|entries| entries.get(key));
        value.map_or_else(|| self.span.clone(), toml::Spanned::span)
    }

    /// The value of a key, which is thereby known.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push(key);
        let node = self.entries?.get(key)?;
        self.note(&self.dotted(key), node.span());
        Some(Value { key, node, text: self.found.text })
    }

    /// What `read` makes of a key's value; `None` when it is not given, or was bad and is recorded.
    pub(super) fn take<T>(&mut self, key: &'static str, read: impl FnOnce(Value<'a>) -> Result<T, Fault>) -> Option<T> {
        let value = self.value(key)?;
        read(value).map_err(|fault| self.report(fault)).ok()
    }

    pub(super) fn count<T>(&mut self, key: &'static str, setting: &Setting<T>) -> T
    where
        T: Copy + Into<u32> + TryFrom<u32>,
    {
        self.take(key, |value| value::count(value, &setting.range)).unwrap_or(setting.default)
    }

    pub(super) fn duration(&mut self, key: &'static str, setting: &Setting<Duration>) -> Duration {
        self.take(key, |value| value::duration(value, &setting.range)).unwrap_or(setting.default)
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> bool {
        self.take(key, value::boolean).unwrap_or(false)
    }

    pub(super) fn path(&mut self, key: &'static str, base: &Path) -> Option<PathBuf> {
        self.take(key, |value| value::path(value, base))
    }

    /// One value or a list of them; bad ones are recorded and left out, the others are placed by their new index.
    pub(super) fn list<T>(&mut self, key: &'static str, read: impl Fn(Value<'a>) -> Result<T, Fault>) -> Vec<T> {
        let mut meant = Vec::new();
        for item in self.items(key) {
            match read(item) {
                Ok(one) => {
                    self.note(&format!("{}[{}]", self.dotted(key), meant.len()), item.span());
                    meant.push(one);
                }
                Err(fault) => self.report(fault),
            }
        }
        meant
    }

    /// As [`Table::list`], and a list without items is a fault: `why` goes under it.
    pub(super) fn filled_list<T>(
        &mut self,
        key: &'static str,
        why: &str,
        read: impl Fn(Value<'a>) -> Result<T, Fault>,
    ) -> Vec<T> {
        if self.entries.and_then(|entries| entries.get(key)?.get_ref().as_array()).is_some_and(|list| list.is_empty()) {
            self.report(Fault::error(self.span_of(key), format!("`{key}` is an empty list")).label(why));
        }
        self.list(key, read)
    }

    /// Reads the table that stands under a key, or an empty one.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'a>) -> T) -> T {
        match self.value(key) {
            Some(value) => self.inner(value, self.dotted(key), read),
            None => read(&mut self.absent(key)),
        }
    }

    /// Reads each table of a list of tables (`[[tls.certificate]]`).
    pub(super) fn sections<T>(&mut self, key: &'static str, read: impl Fn(&mut Table<'a>) -> T) -> Vec<T> {
        let (items, name) = (self.items(key), self.dotted(key));
        let numbered = items.into_iter().enumerate();
        numbered.map(|(index, item)| self.inner(item, format!("{name}[{index}]"), &read)).collect()
    }

    /// Reads a value as a table called `name`; what is no table is recorded and read as an empty one.
    pub(super) fn inner<T>(&self, value: Value<'a>, name: String, read: impl FnOnce(&mut Table<'a>) -> T) -> T {
        self.note(&name, value.span());
        let entries = value.table();
        if entries.is_none() {
            self.report(value.mismatch(&format!("a table: [{name}]")));
        }
        let mut table = Table { found: self.found, name, span: value.span(), entries, asked: Vec::new() };
        let meant = read(&mut table);
        table.close();
        meant
    }

    /// The table that could stand under a key, without entries.
    pub(super) fn absent(&self, key: &str) -> Table<'a> {
        let (name, span) = (self.dotted(key), self.span.clone());
        Table { found: self.found, name, span, entries: None, asked: Vec::new() }
    }

    /// The items of a list, or the one value that stands for a list of one.
    pub(super) fn items(&mut self, key: &'static str) -> Vec<Value<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        value.items().map_or_else(|| vec![value], Iterator::collect)
    }

    /// All entries of a table whose keys the operator chooses, in the order of their names; none is unknown.
    pub(super) fn entries(&mut self) -> Vec<(Range<usize>, Value<'a>)> {
        let entries = self.entries.take();
        let all = entries.into_iter().flat_map(|entries| entries.iter());
        all.map(|(key, node)| (key.span(), Value { key: key.get_ref(), node, text: self.found.text })).collect()
    }

    pub(super) fn dotted(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// The table as a message calls it.
    pub(super) fn title(&self) -> String {
        match self.name.as_str() {
            "" => "the file".to_owned(),
            name => match name.rsplit_once('[') {
                Some((list, _)) => format!("[[{list}]]"),
                None => format!("[{name}]"),
            },
        }
    }

    fn note(&self, name: &str, span: Range<usize>) {
        self.found.places.borrow_mut().note(name, span);
    }

    /// Records every key that nobody asked for.
    fn close(self) {
        for key in self.entries.into_iter().flat_map(|entries| entries.keys()) {
            if !self.asked.contains(&key.get_ref().as_ref()) {
                self.report(unknown::key(key.get_ref(), key.span(), &self.title(), &self.asked));
            }
        }
    }
}
