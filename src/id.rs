//! Names of things: apps, slots, generations, workers, endpoints, requests.
//!
//! Every other room speaks of these and none of them knows what lies behind a name. A name is a value:
//! cheap to clone, ordered, printable, and valid by construction.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a configured app: 1 to 64 of `a-z A-Z 0-9 _ -`, beginning with a letter or digit.
///
/// It is a label value in metrics and a part of file names, hence the narrow alphabet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(Arc<str>);

/// Why a text is not an [`AppName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an app name has 1 to 64 of the characters a-z A-Z 0-9 _ - and begins with a letter or digit")]
pub struct BadAppName;

impl AppName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = BadAppName;

    fn from_str(text: &str) -> Result<Self, BadAppName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins_well && text.len() <= 64 && text.chars().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(BadAppName)
        }
    }
}

impl TryFrom<String> for AppName {
    type Error = BadAppName;

    fn try_from(text: String) -> Result<Self, BadAppName> {
        text.parse()
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A worker's place in its app, `0..workers`; it survives restarts and reloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number shared by all workers of one start or reload of an app; it only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers one started process, or one fixed upstream address, and so one endpoint. Never used twice
/// in the life of a supervisor, so a message about a dead worker can never hit its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serial(pub u64);

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a person calls a worker: app, generation and slot, printed as `web 12.0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId {
    pub app: AppName,
    pub generation: Generation,
    pub slot: Slot,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.app, self.generation, self.slot)
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names_are_narrow() {
        for good in ["web", "a", "0", "Web_1-x", &"a".repeat(64)] {
            assert!(good.parse::<AppName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "a b", "a/b", "ä", "a.b", &"a".repeat(65)] {
            assert_eq!(bad.parse::<AppName>(), Err(BadAppName), "{bad}");
        }
    }

    #[test]
    fn a_worker_is_printed_as_app_generation_slot() {
        let app = "web".parse().unwrap();
        let worker = WorkerId { app, generation: Generation(12), slot: Slot(0) };
        assert_eq!(worker.to_string(), "web 12.0");
    }
}
