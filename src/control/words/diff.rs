//! What a reload would change.
//!
//! Knows the shape of answers, as its parent does.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::AppName;

/// Answer to `GET /v1/diff`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    pub apps: Vec<AppDiff>,
    /// Sections of the file that are said otherwise: `limits`, `log` and so on.
    pub sections: Vec<String>,
    /// Public addresses that would be opened, and closed.
    pub opened: Vec<SocketAddr>,
    pub closed: Vec<SocketAddr>,
    /// Why the reload would be refused, if it would.
    pub refused: Option<String>,
}

/// What it would change of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppDiff {
    pub app: AppName,
    pub change: Change,
    /// Its workers are replaced, as by every reload.
    pub new_generation: bool,
    pub keys: Vec<KeyDiff>,
}

/// What becomes of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Added,
    Removed,
    /// It is started, or stopped.
    Switched,
    /// Nothing but where it is served.
    Routes,
    /// Other settings.
    Settings,
    None,
}

/// A key that is said otherwise; `None`: not at all. Secrets are hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDiff {
    pub key: String,
    pub before: Option<String>,
    pub after: Option<String>,
}
