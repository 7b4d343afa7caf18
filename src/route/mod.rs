//! Which app a request is for: host and path, looked up in a table that is built once.
//!
//! Pure. It does not know what it finds, nor where host and path come from: the host must be given in lower case
//! without port and trailing dot, the path without query. Invariants: looking up allocates nothing and its cost does
//! not grow with the number of hosts; no two entries serve the same place.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;

/// What is found by host and path.
#[derive(Clone, Debug)]
pub struct Table<T> {
    values: Vec<T>,
    exact: Hosts,
    /// By the name that follows `*.`.
    wildcard: Hosts,
    any: Prefixes,
}

/// Prefixes by host. Its hash is a quick one: which hosts there are is the operator's choice, and no client can fill it.
type Hosts = HashMap<Box<[u8]>, Prefixes, RandomState>;

/// Two entries are meant for the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<T> {
    /// As given to [`Table::build`]; `None`: any host.
    pub host: Option<String>,
    /// Without a slash at the end, unless it is `/`.
    pub path: String,
    pub first: T,
    pub second: T,
}

impl<T> Table<T> {
    /// Builds the table of `(hosts, path prefix, value)`.
    ///
    /// A host is a name, or `*.` and a name for that name with one more label in front; no hosts: any host. A path
    /// prefix covers whole segments: `/api` and `/api/` both cover `/api` and `/api/x`, but not `/apix`.
    ///
    /// # Errors
    /// When two entries have a host and the path in common.
    pub fn build(entries: Vec<(&[String], &str, T)>) -> Result<Self, Conflict<T>> {
        let mut table = Self {
            values: Vec::with_capacity(entries.len()),
            exact: Hosts::default(),
            wildcard: Hosts::default(),
            any: Prefixes::default(),
        };
        for (hosts, path, value) in entries {
            let path = path.trim_end_matches('/');
            let place = table.values.len();
            table.values.push(value);
            let any = hosts.is_empty().then_some(None);
            for host in hosts.iter().map(|host| Some(host.as_str())).chain(any) {
                if let Some(other) = table.prefixes(host).add(path, place) {
                    return Err(table.conflict(host, path, other));
                }
            }
        }
        Ok(table)
    }

    /// The value for a host and a path.
    ///
    /// An exact host goes before a wildcard, and that before any host; within a host the longest prefix wins. Where a
    /// host has no prefix of the path, the next kind of host is asked.
    #[must_use]
    pub fn find(&self, host: impl AsRef<[u8]>, path: &str) -> Option<&T> {
        let host = host.as_ref();
        let exact = || self.exact.get(host)?.find(path);
        let wildcard = || self.wildcard.get(parent(host)?)?.find(path);
        let place = exact().or_else(wildcard).or_else(|| self.any.find(path))?;
        self.values.get(place)
    }

    /// The prefixes of a host as configured.
    fn prefixes(&mut self, host: Option<&str>) -> &mut Prefixes {
        let Some(host) = host else { return &mut self.any };
        match host.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.as_bytes().into()).or_default(),
            None => self.exact.entry(host.as_bytes().into()).or_default(),
        }
    }

    /// Says that the last value is in the way of an earlier one.
    fn conflict(mut self, host: Option<&str>, path: &str, earlier: usize) -> Conflict<T> {
        let second = self.values.swap_remove(self.values.len() - 1);
        let first = self.values.swap_remove(earlier);
        let path = if path.is_empty() { "/" } else { path };
        Conflict { host: host.map(str::to_owned), path: path.to_owned(), first, second }
    }
}

/// The name after the first label.
fn parent(host: &[u8]) -> Option<&[u8]> {
    let dot = host.iter().position(|byte| *byte == b'.').filter(|label| *label > 0)?;
    host.get(dot + 1..)
}

/// The path prefixes of one host, longest first, without a slash at the end (so `/` is empty), with the value's place.
#[derive(Clone, Debug, Default)]
struct Prefixes(Vec<(Box<str>, usize)>);

impl Prefixes {
    /// Adds a prefix; returns the other value's place when the prefix is taken.
    fn add(&mut self, prefix: &str, place: usize) -> Option<usize> {
        if let Some((_, other)) = self.0.iter().find(|(known, _)| **known == *prefix) {
            return Some(*other).filter(|other| *other != place);
        }
        let position = self.0.partition_point(|(known, _)| known.len() >= prefix.len());
        self.0.insert(position, (prefix.into(), place));
        None
    }

    /// The place of the longest prefix that covers the path.
    fn find(&self, path: &str) -> Option<usize> {
        self.0.iter().find(|(prefix, _)| covers(prefix, path)).map(|(_, place)| *place)
    }
}

/// Does the prefix cover the path on whole segments?
fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl<T> Conflict<T> {
    /// What both serve, as `example.com/api`; any host is `*`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}{}", self.host.as_deref().unwrap_or("*"), self.path)
    }
}

impl<T: fmt::Display> fmt::Display for Conflict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {} both serve {}", self.first, self.second, self.place())
    }
}

impl<T: fmt::Debug + fmt::Display> std::error::Error for Conflict<T> {}

#[cfg(test)]
mod tests;
