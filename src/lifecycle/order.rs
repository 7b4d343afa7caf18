//! Which app starts when: after those that it depends on, and not too long after.
//!
//! Pure. An app that waits is released when each app it depends on serves, has ended for good, or has had its time: one
//! that does not come up delays the others and never keeps them down, for whoever depends on a thing has to live with its
//! being away for a moment anyway. The time of a dependency runs from its own start, so chains do not add up to nothing.
//! Stopping goes the other way round.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::todo::after;
use crate::id::AppName;

/// Apps that have not been started yet, and those that have been told to stop.
#[derive(Clone, Debug, Default)]
pub struct Order {
    held: BTreeMap<AppName, Vec<Wait>>,
    told: BTreeSet<AppName>,
}

/// What one app waits for.
#[derive(Clone, Debug)]
struct Wait {
    app: AppName,
    patience: Duration,
    /// Set once that app has been started.
    until: Option<Instant>,
    /// Something is to happen when its time is over.
    is_open: bool,
}

/// An app that may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    pub app: AppName,
    /// Those that did not come up in time.
    pub missing: Vec<AppName>,
}

impl Order {
    /// Lets an app wait for others, each with the time that it is given from its start.
    pub fn hold(&mut self, app: AppName, on: impl IntoIterator<Item = (AppName, Duration)>) {
        let waits = on.into_iter().map(|(app, patience)| Wait { app, patience, until: None, is_open: false });
        self.held.insert(app, waits.collect());
    }

    /// Is it waiting?
    #[must_use]
    pub fn holds(&self, app: &AppName) -> bool {
        self.held.contains_key(app)
    }

    /// Has it been told to stop?
    #[must_use]
    pub fn has_told(&self, app: &AppName) -> bool {
        self.told.contains(app)
    }

    /// It need not start any more.
    pub fn forget(&mut self, app: &AppName) {
        self.held.remove(app);
    }

    /// Takes out those that may start now. `is_coming`: does an app that was started neither serve yet, nor is it clear
    /// that it never will?
    pub fn release(&mut self, now: Instant, is_coming: impl Fn(&AppName) -> bool) -> Vec<Released> {
        let held: BTreeSet<_> = self.held.keys().cloned().collect();
        let mut released = Vec::new();
        for (app, waits) in &mut self.held {
            let mut missing = Vec::new();
            let mut is_free = true;
            for wait in waits {
                let has_begun = !held.contains(&wait.app);
                let until = if has_begun { Some(*wait.until.get_or_insert(after(now, wait.patience))) } else { None };
                let is_settled = has_begun && !is_coming(&wait.app);
                let is_late = !is_settled && until.is_some_and(|until| until <= now);
                wait.is_open = !is_settled && !is_late;
                is_free &= !wait.is_open;
                missing.extend(is_late.then(|| wait.app.clone()));
            }
            if is_free {
                released.push(Released { app: app.clone(), missing });
            }
        }
        for Released { app, .. } in &released {
            self.held.remove(app);
        }
        released
    }

    /// When somebody will have waited for long enough.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.held.values().flatten().filter(|wait| wait.is_open).filter_map(|wait| wait.until).min()
    }

    /// Those that may stop now, each once: no app that is still there depends on them.
    pub fn stop<'a>(&mut self, there: impl IntoIterator<Item = (&'a AppName, &'a [AppName])>) -> Vec<AppName> {
        self.held.clear();
        let there: BTreeMap<_, _> = there.into_iter().collect();
        let is_needed = |app: &AppName| there.iter().any(|(other, on)| *other != app && on.contains(app));
        let next: Vec<_> = there.keys().filter(|app| !is_needed(app) && !self.told.contains(**app)).collect();
        let next: Vec<AppName> = next.into_iter().map(|app| (*app).clone()).collect();
        self.told.extend(next.iter().cloned());
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn name(name: &str) -> AppName {
        name.parse().unwrap()
    }

    /// `web` waits for `api` and `jobs`, `api` for `db`.
    fn order() -> Order {
        let mut order = Order::default();
        order.hold(name("web"), [(name("api"), PATIENCE), (name("jobs"), PATIENCE)]);
        order.hold(name("api"), [(name("db"), PATIENCE)]);
        order
    }

    fn release(order: &mut Order, now: Instant, settled: &[&str]) -> Vec<(String, usize)> {
        let is_coming = |app: &AppName| !settled.contains(&app.as_str());
        order.release(now, is_coming).into_iter().map(|one| (one.app.to_string(), one.missing.len())).collect()
    }

    #[test]
    fn each_starts_when_those_before_it_serve() {
        let (mut order, now) = (order(), Instant::now());
        assert_eq!(release(&mut order, now, &[]), []);
        assert_eq!(release(&mut order, now, &["jobs"]), []);
        assert_eq!(release(&mut order, now, &["jobs", "db"]), [("api".to_owned(), 0)]);
        assert!(order.holds(&name("web")) && !order.holds(&name("api")));
        assert_eq!(release(&mut order, now, &["jobs", "db"]), []);
        assert_eq!(release(&mut order, now, &["jobs", "db", "api"]), [("web".to_owned(), 0)]);
        assert_eq!(order.deadline(), None);
    }

    #[test]
    fn one_that_does_not_come_up_delays_the_others_and_no_more() {
        let (mut order, start) = (order(), Instant::now());
        assert_eq!(release(&mut order, start, &["jobs"]), []);
        assert_eq!(order.deadline(), Some(start + PATIENCE));
        let late = start + PATIENCE;
        assert_eq!(release(&mut order, late, &["jobs"]), [("api".to_owned(), 1)]);
        // The time of `api` begins with its start.
        assert_eq!(release(&mut order, late, &["jobs"]), []);
        assert_eq!(order.deadline(), Some(late + PATIENCE));
        assert_eq!(release(&mut order, late + PATIENCE, &["jobs"]), [("web".to_owned(), 1)]);
    }

    #[test]
    fn what_is_not_there_is_not_waited_for() {
        let mut order = order();
        let released = order.release(Instant::now(), |_| false);
        assert_eq!(released.len(), 1, "{released:?}");
        order.forget(&name("web"));
        assert!(!order.holds(&name("web")));
    }

    #[test]
    fn the_last_to_start_are_the_first_to_stop() {
        let mut order = order();
        let on: BTreeMap<AppName, Vec<AppName>> = [
            (name("web"), vec![name("api"), name("jobs")]),
            (name("api"), vec![name("db")]),
            (name("db"), vec![]),
            (name("jobs"), vec![]),
        ]
        .into();
        let mut there: BTreeSet<AppName> = on.keys().cloned().collect();
        let mut stopped = Vec::new();
        for _ in 0..3 {
            let next = order.stop(there.iter().map(|app| (app, on[app].as_slice())));
            assert_eq!(order.stop(there.iter().map(|app| (app, on[app].as_slice()))), [], "each is told once");
            there.retain(|app| !next.contains(app));
            stopped.push(next.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        }
        assert_eq!(stopped, ["web", "api jobs", "db"]);
    }

    /// Every order of four apps in which each may depend on those before it, and every set of those that come up.
    #[test]
    fn everybody_starts_once_and_after_those_that_come_up() {
        let apps = ["a", "b", "c", "d"].map(name);
        for edges in 0..64_u32 {
            for alive in 0..16_u32 {
                walk(&apps, edges, alive);
            }
        }
    }

    fn walk(apps: &[AppName; 4], edges: u32, alive: u32) {
        let pairs = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)];
        let on = |app: usize| -> Vec<usize> {
            let wanted = |(bit, (from, _)): &(usize, (usize, usize))| *from == app && edges & (1 << bit) != 0;
            pairs.into_iter().enumerate().filter(wanted).map(|(_, (_, to))| to).collect()
        };
        let mut order = Order::default();
        for (index, app) in apps.iter().enumerate().filter(|(index, _)| !on(*index).is_empty()) {
            order.hold(app.clone(), on(index).into_iter().map(|to| (apps[to].clone(), PATIENCE)));
        }
        let mut started: Vec<usize> = (0..4).filter(|index| on(*index).is_empty()).collect();
        let mut now = Instant::now();
        for _ in 0..12 {
            let up = started.clone();
            let is_coming = |app: &AppName| {
                let index = apps.iter().position(|other| other == app).expect("one of the four");
                !up.contains(&index) || alive & (1 << index) == 0
            };
            for released in order.release(now, is_coming) {
                let index = apps.iter().position(|app| *app == released.app).expect("one of the four");
                assert!(!started.contains(&index), "it starts once");
                for before in on(index) {
                    assert!(started.contains(&before), "edges {edges:b}: not before {before}");
                    let is_missing = released.missing.contains(&apps[before]);
                    assert_eq!(is_missing, alive & (1 << before) == 0, "edges {edges:b} alive {alive:b}");
                }
                started.push(index);
            }
            now = order.deadline().unwrap_or(now).max(now);
        }
        assert_eq!(started.len(), 4, "edges {edges:b} alive {alive:b}: somebody waits for ever");
    }
}
