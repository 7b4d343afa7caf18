//! What a reload would change, told without changing anything.
//!
//! Reads the configuration as a reload does, and compares it with the one in force.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Supervisor;
use crate::config::{App, Changed, Config, Server};
use crate::control::words::{AppDiff, Change, Diff, KeyDiff, Order, Refusal};
use crate::id::AppName;

/// Keys that say where an app is served.
const ROUTES: [&str; 3] = ["hosts", "path", "port"];

impl Supervisor {
    /// Between the configuration in force and its file.
    pub(super) fn diff(&self, profile: Option<&str>) -> Result<Diff, Refusal> {
        let read = self.read_again(profile)?;
        let after = self.roster.in_force(read, Order::Reload, &[]);
        let refused = self.refuse_what_needs_a_restart(&after).err().map(|refusal| refusal.error);
        let before = &self.config;
        let names: BTreeSet<&AppName> = before.apps.keys().chain(after.apps.keys()).collect();
        let apps = names.into_iter().map(|name| app(name, before.apps.get(name), after.apps.get(name))).collect();
        let (old, new) = (addresses(before), addresses(&after));
        Ok(Diff {
            apps,
            sections: sections(before, &after),
            opened: new.difference(&old).copied().collect(),
            closed: old.difference(&new).copied().collect(),
            refused,
        })
    }
}

fn app(name: &AppName, before: Option<&App>, after: Option<&App>) -> AppDiff {
    let keys: Vec<KeyDiff> = match (before, after) {
        (Some(before), Some(after)) if before != after => {
            before.said.changes(&after.said).into_iter().map(key).collect()
        }
        _ => Vec::new(),
    };
    let is_route =
        |key: &KeyDiff| ROUTES.iter().any(|route| key.key == *route || key.key.starts_with(&format!("{route}[")));
    let change = match (before, after) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        (Some(before), Some(after)) if before.enabled != after.enabled => Change::Switched,
        (Some(before), Some(after)) if before == after => Change::None,
        _ if !keys.is_empty() && keys.iter().all(is_route) => Change::Routes,
        _ => Change::Settings,
    };
    let new_generation = after.is_some_and(|app| app.enabled && matches!(app.server, Server::Command(_)));
    AppDiff { app: name.clone(), change, new_generation, keys }
}

fn key(changed: Changed) -> KeyDiff {
    let Changed { key, before, after } = changed;
    KeyDiff { key, before, after }
}

fn addresses(config: &Config) -> BTreeSet<SocketAddr> {
    let own = config.apps.values().filter(|app| app.enabled).flat_map(|app| &app.ports);
    config.listen.http.iter().chain(&config.listen.https).chain(own).copied().collect()
}

fn sections(before: &Config, after: &Config) -> Vec<String> {
    let changed = [
        ("listen", before.listen != after.listen),
        ("tls", before.certificates != after.certificates),
        ("admin", before.admin != after.admin),
        ("metrics", before.metrics != after.metrics),
        ("proxy", before.proxy != after.proxy),
        ("clients", before.clients != after.clients),
        ("limits", before.limits != after.limits),
        ("log", before.log != after.log),
    ];
    changed.iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| (*name).to_owned()).collect()
}
