//! Which app a request is for: host and path, looked up in a table that is built once.
//!
//! Pure. It does not know what it finds, nor where host and path come from: the host must be given in lower case without
//! port and trailing dot, the path without query. Invariants: looking up allocates nothing and its cost does not grow with
//! the number of hosts; no two entries serve the same place.

use std::collections::HashMap;
use std::fmt;

/// What is found by host and path.
#[derive(Clone, Debug)]
pub struct Table<T> {
    values: Vec<T>,
    exact: HashMap<Box<str>, Paths>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Paths>,
    any: Paths,
}

/// The path prefixes of one host, longest first, without a slash at the end (so `/` is empty), with the value's place.
#[derive(Clone, Debug, Default)]
struct Paths(Vec<(Box<str>, usize)>);

/// Two values are meant for the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<T> {
    /// As configured; `None`: any host.
    pub host: Option<String>,
    pub path: String,
    pub first: T,
    pub second: T,
}

impl<T> Table<T> {
    /// Builds the table of `(hosts, path prefix, value)`.
    ///
    /// A host is a name, or `*.` and a name for one more label in front of that name; no hosts: any host. A path prefix
    /// covers whole segments: `/api` and `/api/` both cover `/api` and `/api/x` but not `/apix`.
    ///
    /// # Errors
    /// When two entries have a host and the path in common.
    pub fn build(entries: Vec<(&[String], &str, T)>) -> Result<Self, Conflict<T>> {
        let _ = entries;
        todo!()
    }

    /// The value for a host and a path.
    ///
    /// An exact host goes before a wildcard, and that before any host; within a host the longest prefix wins. Where a host
    /// has no prefix of the path, the next kind is asked.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<&T> {
        let _ = (host, path, &self.exact, &self.wildcard, &self.any, &self.values);
        todo!()
    }
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
