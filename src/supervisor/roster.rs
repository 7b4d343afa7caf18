//! Which apps are known, by which numbers, and which were switched on or off, or scaled, by hand.
//!
//! In a list of our own either is written down, and so outlives us. A file that somebody else writes is not ours to edit:
//! there it is remembered here, over any number of reloads, for as long as this supervisor lives; a number of workers, also
//! until the file says another one than when it was scaled.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::traffic::Traffic;
use crate::config::{App, Config, Server};
use crate::control::words::Order;
use crate::id::AppName;

/// An app that was scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Scaled {
    workers: NonZeroU32,
    /// What its file said then; `None`: as many as there are CPUs.
    configured: Option<NonZeroU32>,
}

/// What is remembered, as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RosterRecord {
    ids: BTreeMap<AppName, u32>,
    next: u32,
    switched: BTreeMap<AppName, bool>,
    scaled: BTreeMap<AppName, Scaled>,
    pub(super) is_list: bool,
    traffic: Traffic,
}

/// What is remembered of apps.
#[derive(Debug)]
pub(super) struct Roster {
    ids: BTreeMap<AppName, u32>,
    next: u32,
    switched: BTreeMap<AppName, bool>,
    scaled: BTreeMap<AppName, Scaled>,
    is_list: bool,
    pub(super) traffic: Traffic,
}

impl Roster {
    /// `is_list`: the configuration is the list that we edit.
    pub(super) fn new(is_list: bool) -> Self {
        Self {
            ids: BTreeMap::new(),
            next: 0,
            switched: BTreeMap::new(),
            scaled: BTreeMap::new(),
            is_list,
            traffic: Traffic::default(),
        }
    }

    pub(super) fn record(&self) -> RosterRecord {
        RosterRecord {
            ids: self.ids.clone(),
            next: self.next,
            switched: self.switched.clone(),
            scaled: self.scaled.clone(),
            is_list: self.is_list,
            traffic: self.traffic.clone(),
        }
    }

    pub(super) fn adopt(record: RosterRecord) -> Self {
        let RosterRecord { ids, next, switched, scaled, is_list, traffic } = record;
        Self { ids, next, switched, scaled, is_list, traffic }
    }

    pub(super) fn is_list(&self) -> bool {
        self.is_list
    }

    /// Gives an app the next number, unless it has one.
    pub(super) fn enrol(&mut self, app: &AppName) {
        if !self.ids.contains_key(app) {
            self.ids.insert(app.clone(), self.next);
            self.next += 1;
        }
    }

    /// The app is gone, and so is its number.
    pub(super) fn strike(&mut self, app: &AppName) {
        self.ids.remove(app);
        self.traffic.forget(app);
        self.scaled.remove(app);
    }

    pub(super) fn id(&self, app: &AppName) -> u32 {
        self.ids.get(app).copied().unwrap_or(self.next)
    }

    /// The configuration with what was switched, and what this order switches.
    pub(super) fn in_force(&self, mut config: Config, order: Order, apps: &[AppName]) -> Config {
        for (name, app) in config.apps.iter_mut().filter(|_| !self.is_list) {
            let ordered = switch(order).filter(|_| apps.contains(name));
            app.enabled = ordered.or_else(|| self.switched.get(name).copied()).unwrap_or(app.enabled);
        }
        config
    }

    /// Remembers what was switched.
    pub(super) fn note(&mut self, order: Order, apps: &[AppName]) {
        if matches!(order, Order::Stop | Order::Delete) {
            for app in apps {
                self.traffic.forget(app);
            }
        }
        if let Some(on) = switch(order).filter(|_| !self.is_list) {
            self.switched.extend(apps.iter().map(|app| (app.clone(), on)));
        }
    }

    /// Remembers the number of workers that this app is to have in place of the configured one.
    pub(super) fn scale(&mut self, app: &App, workers: NonZeroU32) {
        if let Server::Command(command) = &app.server {
            self.scaled.insert(app.name.clone(), Scaled { workers, configured: command.workers });
        }
    }

    /// The number of workers that was asked for by hand, if it still holds.
    pub(super) fn scaled(&self, app: &App) -> Option<NonZeroU32> {
        self.scaled.get(&app.name).map(|scaled| scaled.workers)
    }

    /// Where the file says another number now than it did, that is the newer word.
    pub(super) fn forget_scales(&mut self, config: &Config) {
        self.scaled.retain(|name, scaled| match config.apps.get(name).map(|app| &app.server) {
            Some(Server::Command(command)) => command.workers == scaled.configured,
            _ => false,
        });
    }
}

fn switch(order: Order) -> Option<bool> {
    match order {
        Order::Start | Order::Restart => Some(true),
        Order::Stop => Some(false),
        Order::Reload | Order::Rollback | Order::Promote | Order::Delete | Order::Scale => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "[app.a]\ncommand = 'a'\nport = 1\n[app.b]\ncommand = 'b'\nport = 2\nenabled = false\n";
        crate::config::parse(text, std::path::Path::new("/portreeve.toml")).unwrap().config
    }

    fn names(words: &[&str]) -> Vec<AppName> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    fn on(roster: &Roster, order: Order, apps: &[&str]) -> Vec<bool> {
        roster.in_force(config(), order, &names(apps)).apps.values().map(|app| app.enabled).collect()
    }

    #[test]
    fn a_number_is_given_once() {
        let mut roster = Roster::new(true);
        let [a, b, c] = ["a", "b", "c"].map(|name| name.parse().unwrap());
        for app in [&a, &b, &a] {
            roster.enrol(app);
        }
        assert_eq!((roster.id(&a), roster.id(&b)), (0, 1));
        roster.strike(&b);
        roster.enrol(&c);
        roster.enrol(&b);
        assert_eq!((roster.id(&c), roster.id(&b)), (2, 3));
    }

    #[test]
    fn a_switch_outlives_reloads_of_a_file_that_is_not_ours() {
        let mut roster = Roster::new(false);
        assert_eq!(on(&roster, Order::Reload, &[]), [true, false]);
        assert_eq!(on(&roster, Order::Stop, &["a"]), [false, false]);
        roster.note(Order::Stop, &names(&["a"]));
        assert_eq!(on(&roster, Order::Reload, &[]), [false, false]);
        assert_eq!(on(&roster, Order::Start, &["b"]), [false, true]);
        roster.note(Order::Start, &names(&["a", "b"]));
        assert_eq!(on(&roster, Order::Reload, &["a"]), [true, true]);
    }

    #[test]
    fn a_number_of_workers_holds_until_the_file_says_another_one() {
        let mut roster = Roster::new(false);
        let mut config = config();
        let a: AppName = "a".parse().unwrap();
        let four = NonZeroU32::new(4);
        let workers = |config: &mut Config, workers| match &mut config.apps.values_mut().next().unwrap().server {
            Server::Command(command) => command.workers = workers,
            Server::Fixed(_) => panic!("it has a command"),
        };
        roster.scale(&config.apps[&a], four.unwrap());
        roster.forget_scales(&config);
        assert_eq!(roster.scaled(&config.apps[&a]), four);
        workers(&mut config, NonZeroU32::new(2));
        roster.forget_scales(&config);
        assert_eq!(roster.scaled(&config.apps[&a]), None);
        workers(&mut config, None);
        roster.forget_scales(&config);
        assert_eq!(roster.scaled(&config.apps[&a]), None, "what was forgotten does not come back");
        roster.scale(&config.apps[&a], four.unwrap());
        roster.strike(&a);
        assert_eq!(roster.scaled(&config.apps[&a]), None);
    }

    #[test]
    fn in_our_own_list_the_list_tells() {
        let mut roster = Roster::new(true);
        roster.note(Order::Stop, &names(&["a"]));
        assert_eq!(on(&roster, Order::Reload, &[]), [true, false]);
    }
}
