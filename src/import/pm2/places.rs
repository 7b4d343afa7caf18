//! Which app serves what: under PM2 each has a port, here they share the listeners and differ by host or path.
//!
//! The first app that is told a port, or runs in cluster mode, serves every host. The others get names to be replaced, so
//! that the file is valid and says what is missing. A task has no place.

use std::collections::BTreeSet;

use toml_edit::{Item, Table, value};

use super::super::draft::Draft;
use super::super::{ImportedApp, Remark};
use super::{Outcome, Traits};
use crate::config::defaults;

/// Gives every app its place, and the file its listeners.
pub(super) fn spread(outcomes: Vec<Outcome>, remarks: &mut Vec<Remark>) -> (Vec<ImportedApp>, Table) {
    let is = |what: fn(&Traits) -> bool| outcomes.iter().position(|outcome| what(&outcome.traits));
    let Some(first) = is(serves).or_else(|| is(|traits| !traits.is_task)) else {
        return (outcomes.into_iter().map(|outcome| outcome.app).collect(), Table::new());
    };
    let port = outcomes[first].traits.port;
    let sections = listen(port, remarks);
    let mut hosts = BTreeSet::new();
    let mut place = |(index, outcome): (usize, Outcome)| {
        if index == first || outcome.traits.is_task { outcome.app } else { placed(outcome, port, &mut hosts) }
    };
    (outcomes.into_iter().enumerate().map(&mut place).collect(), sections)
}

/// Gives every app that says a port that port to itself.
pub(super) fn own(outcomes: Vec<Outcome>) -> Vec<ImportedApp> {
    let place = |Outcome { mut app, traits }: Outcome| {
        if let Some(port) = traits.port.filter(|_| !traits.is_task) {
            app.table.insert("port", value(i64::from(port)));
        }
        app
    };
    outcomes.into_iter().map(place).collect()
}

fn serves(traits: &Traits) -> bool {
    !traits.is_task && (traits.port.is_some() || traits.is_cluster)
}

fn listen(port: Option<u16>, remarks: &mut Vec<Remark>) -> Table {
    let mut listen = Draft::default();
    if let Some(port) = port {
        let comment = "What the app had as PORT; its workers are given ports of their own in that variable.";
        listen.noted("http", format!("0.0.0.0:{port}"), comment);
    } else {
        listen.set("http", defaults::HTTP_LISTEN.to_string());
        let text = "no app says in its environment on which PORT it listens: put the public address here";
        remarks.push(Remark::new("[listen] http", text));
    }
    let mut sections = Table::new();
    sections.insert("listen", Item::Table(listen.into_table()));
    // The metrics would want the very port.
    if port == Some(defaults::METRICS_LISTEN.port()) {
        let mut metrics = Draft::default();
        metrics.set("listen", "off");
        sections.insert("metrics", Item::Table(metrics.into_table()));
    }
    sections
}

/// An app that is not the first one, under a name to be replaced.
fn placed(outcome: Outcome, public: Option<u16>, hosts: &mut BTreeSet<String>) -> ImportedApp {
    let Outcome { mut app, traits } = outcome;
    let before = match traits.port {
        Some(port) if Some(port) != public => {
            format!("it had port {port} to itself, and here apps share the listeners: ")
        }
        None if !serves(&traits) => {
            "for an app that serves nobody write kind = \"task\" in place of `hosts`; for one that listens on PORT, "
                .to_owned()
        }
        _ => String::new(),
    };
    app.remarks.push(Remark::new("hosts", format!("{before}give it the host names that it serves, or a `path`")));
    app.table.insert("hosts", value(placeholder(app.name.as_str(), hosts)));
    app
}

/// A name that leads to this machine and to no other. Names of hosts have no case, unlike those of apps.
fn placeholder(name: &str, taken: &mut BTreeSet<String>) -> String {
    let name = name.to_ascii_lowercase();
    let numbered = (2..).map(|number| format!("{name}-{number}.localhost"));
    let mut hosts = std::iter::once(format!("{name}.localhost")).chain(numbered);
    let host = hosts.find(|host| !taken.contains(host)).expect("numbers go on");
    taken.insert(host.clone());
    host
}
