//! What people bring along: the files of PM2, nginx and Procfiles, as a commented `portreeve.toml`.
//!
//! The translators are pure: text or JSON in, [`Imported`] out. Two files reach outside: `ecosystem` reads what PM2
//! reads, and `script` has the user's own `node` say what a configuration in JavaScript means. Nothing here runs an
//! app. Invariants: what is written is a configuration that `config` accepts, and no key of the other file is
//! dropped in silence: it is translated, or named in a [`Remark`] with the reason.

mod document;
mod draft;
mod ecosystem;
mod lenient;
pub mod nginx;
pub mod pm2;
pub mod procfile;
mod script;
mod yaml;

use std::fmt;

use toml_edit::Table;

pub use ecosystem::{Error, dump, read};

use crate::id::AppName;

/// A translated configuration.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// What it was, for the first line of the file.
    pub origin: String,
    /// Everything but the apps: `[listen]`, `[tls]` and so on.
    pub sections: Table,
    pub apps: Vec<ImportedApp>,
    /// What is not about one app.
    pub remarks: Vec<Remark>,
}

/// One `[app.NAME]`.
#[derive(Clone, Debug)]
pub struct ImportedApp {
    pub name: AppName,
    /// Its keys, with comments where their meaning differs.
    pub table: Table,
    pub remarks: Vec<Remark>,
}

/// Something that was left out, or that means something else here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The key as the other file calls it; for nginx with its place.
    pub key: String,
    /// Why, and what to do about it.
    pub text: String,
}

impl Remark {
    pub(crate) fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

impl Imported {
    /// The file, ready to be written.
    #[must_use]
    pub fn to_toml(&self) -> String {
        document::text(self)
    }

    /// Every remark with the app that it is about, in the order of the file.
    pub fn all_remarks(&self) -> impl Iterator<Item = (Option<&AppName>, &Remark)> {
        let apps = self.apps.iter().flat_map(|app| app.remarks.iter().map(|remark| (Some(&app.name), remark)));
        self.remarks.iter().map(|remark| (None, remark)).chain(apps)
    }
}
