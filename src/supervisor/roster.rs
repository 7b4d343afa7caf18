//! Which apps are known, by which numbers, and which were switched on or off by hand.
//!
//! In a list of our own a switch is written down, and so outlives us. A file that somebody else writes is not ours to edit:
//! there a switch is remembered here, over any number of reloads, for as long as this supervisor lives.

use std::collections::BTreeMap;

use super::traffic::Traffic;
use crate::config::Config;
use crate::control::words::Order;
use crate::id::AppName;

/// What is remembered of apps.
#[derive(Debug)]
pub(super) struct Roster {
    ids: BTreeMap<AppName, u32>,
    next: u32,
    switched: BTreeMap<AppName, bool>,
    is_list: bool,
    pub(super) traffic: Traffic,
}

impl Roster {
    /// `is_list`: the configuration is the list that we edit.
    pub(super) fn new(is_list: bool) -> Self {
        Self { ids: BTreeMap::new(), next: 0, switched: BTreeMap::new(), is_list, traffic: Traffic::default() }
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
}

fn switch(order: Order) -> Option<bool> {
    match order {
        Order::Start | Order::Restart => Some(true),
        Order::Stop => Some(false),
        Order::Reload | Order::Delete => None,
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
    fn in_our_own_list_the_list_tells() {
        let mut roster = Roster::new(true);
        roster.note(Order::Stop, &names(&["a"]));
        assert_eq!(on(&roster, Order::Reload, &[]), [true, false]);
    }
}
