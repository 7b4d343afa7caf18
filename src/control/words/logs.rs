//! What is said of the lines that workers print: which are wanted, and each of them.
//!
//! Knows their shape, not where they are kept. Fields are only ever added.

use serde::{Deserialize, Serialize};

use crate::id::{AppName, Generation, Slot};

/// Which lines are wanted, in the query of `GET /v1/logs`; answered by one [`LogEntry`] as JSON a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Empty: all.
    pub apps: Vec<AppName>,
    /// The latest lines of the past; `None`: all that are kept.
    pub lines: Option<usize>,
    /// Go on with what is said from now on.
    pub follow: bool,
}

/// A line of a worker, or what there is to know of those before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogEntry {
    Line(LogLine),
    /// So many lines were said faster than they were read, and are not kept any more.
    Gap {
        missed: u64,
    },
    /// Whatever comes after this was said after the query.
    Now {
        now: bool,
    },
}

/// A line that a worker has printed. What is not there is not known: the line was in a log file before the supervisor's
/// time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// As RFC 3339 has it, in UTC.
    pub time: Option<String>,
    pub app: AppName,
    pub generation: Option<Generation>,
    pub slot: Option<Slot>,
    pub stream: LogStream,
    pub line: String,
}

/// Where a worker has printed a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    Stdout,
    Stderr,
}
