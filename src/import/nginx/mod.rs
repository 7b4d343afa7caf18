//! nginx in front of servers, translated: `server`, `location`, `proxy_pass`, `upstream`, certificates, some limits.
//!
//! Pure but for the included files, which are asked for. Every other directive is named with its place, unless portreeve
//! does by itself what it says. Whether a part fits is decided by the reader of the configuration itself: what it would
//! refuse is left out again, with its reason.

mod site;
mod syntax;
mod value;

use std::path::{Path, PathBuf};

use toml_edit::{Item, Table};

use super::draft::{Draft, list};
use super::{Imported, ImportedApp, Remark};
use crate::config;
use crate::id::AppName;
use site::Site;
use syntax::Directive;

/// Directives that say what portreeve does anyway, or how nginx itself is run.
const NEEDLESS: &[&str] = &[
    "events",
    "user",
    "worker_processes",
    "worker_connections",
    "pid",
    "types",
    "default_type",
    "sendfile",
    "tcp_nopush",
    "tcp_nodelay",
    "types_hash_max_size",
    "server_names_hash_bucket_size",
    "proxy_http_version",
    "proxy_buffering",
    "proxy_request_buffering",
    "map",
    "multi_accept",
    "server_tokens",
    "ssl_protocols",
    "ssl_prefer_server_ciphers",
    "ssl_session_cache",
    "ssl_session_timeout",
    "ssl_session_tickets",
    "http2",
    "keepalive",
    "charset",
];

/// Translates a file and all that it includes.
///
/// # Errors
/// A sentence: it cannot be read, or nothing in it is forwarded to a server.
pub fn translate(path: &Path) -> Result<Imported, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    from_text(&name, &text, &|pattern| included(&folder, pattern))
}

/// The files that a pattern stands for, in the order of their names; a star only in the last part.
fn included(folder: &Path, pattern: &str) -> Result<Vec<syntax::File>, String> {
    let path = folder.join(pattern);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((path.strip_prefix(folder).unwrap_or(&path).display().to_string(), text))
    };
    let Some((start, end)) = name.split_once('*') else { return Ok(vec![read(path)?]) };
    let listed = std::fs::read_dir(path.parent().unwrap_or(folder)).into_iter().flatten().flatten();
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end) && path.is_file()
    };
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.path()).filter(fits).collect();
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn from_text(name: &str, text: &str, include: syntax::Include) -> Result<Imported, String> {
    let tree = syntax::parse(&(name.to_owned(), text.to_owned()), include)?;
    // A file of `sites-available` has no `http` around its servers.
    let (inside, beside): (Vec<&Directive>, Vec<&Directive>) =
        tree.iter().partition(|directive| directive.name == "http");
    let level: Vec<&Directive> = inside.iter().flat_map(|http| http.children()).chain(beside).collect();
    let mut work =
        Work { imported: Imported { origin: name.to_owned(), ..Imported::default() }, site: Site::default() };
    work.site.upstreams(&level);
    for directive in &level {
        match directive.name.as_str() {
            "server" => work.site.server(directive),
            "upstream" => {}
            _ => work.site.setting(directive),
        }
    }
    work.finish()
}

/// What has been found, and what has become of it.
struct Work {
    imported: Imported,
    site: Site,
}

impl Work {
    fn finish(mut self) -> Result<Imported, String> {
        for app in std::mem::take(&mut self.site.apps) {
            let (name, place) = (app.name(&self.imported), app.place.clone());
            let app = ImportedApp { name, table: app.table(), remarks: Vec::new() };
            self.offer(&place, |imported| imported.apps.push(app));
        }
        if self.imported.apps.is_empty() {
            let why: Vec<String> =
                self.site.remarks.iter().chain(&self.imported.remarks).map(Remark::to_string).collect();
            return Err(format!("nothing in it is forwarded to a server that portreeve can reach\n{}", why.join("\n")));
        }
        self.certificates();
        for (place, key, address) in std::mem::take(&mut self.site.listeners) {
            self.offer(&place, |imported| add_to_list(imported, key, &address));
        }
        for (place, table, key, value) in std::mem::take(&mut self.site.settings) {
            self.offer(&place, |imported| section(imported, table).set(key, value));
        }
        self.imported.remarks.append(&mut self.site.remarks);
        Ok(self.imported)
    }

    /// Does something to the file, unless its own reader would refuse the outcome.
    fn offer(&mut self, place: &str, change: impl FnOnce(&mut Imported)) {
        let mut changed = self.imported.clone();
        change(&mut changed);
        match config::parse(&changed.to_toml(), Path::new("/portreeve.toml")) {
            Ok(_) => self.imported = changed,
            Err(problems) => {
                let why = problems.problems().first().map_or_else(String::new, |problem| problem.message.clone());
                self.imported.remarks.push(Remark::new(place, format!("left out: {why}")));
            }
        }
    }

    /// Certificates and listeners for TLS need each other, so the first of both come in one step.
    fn certificates(&mut self) {
        let pairs = std::mem::take(&mut self.site.certificates);
        let Some(first) =
            self.site.listeners.iter().position(|(_, key, _)| *key == "https").filter(|_| !pairs.is_empty())
        else {
            return;
        };
        let (place, key, address) = self.site.listeners.remove(first);
        self.offer(&place, |imported| {
            let mut tls = Table::new();
            let mut more = toml_edit::ArrayOfTables::new();
            for (index, (cert, secret)) in pairs.into_iter().enumerate() {
                let mut pair = Draft::default();
                pair.set("cert", cert);
                pair.set("key", secret);
                if index == 0 {
                    tls = pair.into_table();
                } else {
                    more.push(pair.into_table());
                }
            }
            if !more.is_empty() {
                tls.insert("certificate", Item::ArrayOfTables(more));
            }
            imported.sections.insert("tls", Item::Table(tls));
            add_to_list(imported, key, &address);
        });
    }
}

/// A section of the file, which is made on the way.
struct Section<'a>(&'a mut Table);

impl Section<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key, toml_edit::value(value));
    }
}

fn section<'a>(imported: &'a mut Imported, name: &str) -> Section<'a> {
    let item = imported.sections.entry(name).or_insert_with(|| Item::Table(Table::new()));
    Section(item.as_table_mut().expect("sections are tables"))
}

fn add_to_list(imported: &mut Imported, key: &str, address: &str) {
    let listen = section(imported, "listen").0;
    let old = listen.get(key).and_then(Item::as_array).into_iter().flatten();
    let mut all: Vec<String> = old.filter_map(|item| item.as_str().map(str::to_owned)).collect();
    if !all.iter().any(|old| old == address) {
        all.push(address.to_owned());
    }
    listen.insert(key, Item::Value(list(&all)));
}

/// A name for an app that is not taken yet.
fn free_name(wanted: &str, imported: &Imported) -> AppName {
    let plain: String = wanted.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(56).collect();
    let plain = plain.trim_matches('-');
    let plain = if plain.is_empty() { "app" } else { plain };
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    let mut names = std::iter::once(plain.to_owned()).chain(numbered).filter_map(|name| name.parse().ok());
    let is_free = |name: &AppName| imported.apps.iter().all(|app| app.name != *name);
    names.find(is_free).expect("numbers go on")
}

#[cfg(test)]
mod tests;
