//! What the latest changes of each app have come to, for people who ask later.
//!
//! Only remembers. Invariant: no more than [`KEPT`] of each app, and none of an app that is gone.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::control::words::{AppReloaded, Order, PastChange, Report};
use crate::id::AppName;

/// Changes kept of each app.
const KEPT: usize = 20;

/// The changes of all apps, oldest first, with the numbers of their deploys.
#[derive(Debug, Default)]
pub(super) struct Past(BTreeMap<AppName, VecDeque<(u64, PastChange)>>);

impl Past {
    /// A change has ended for these apps.
    pub(super) fn note(&mut self, (deploy, began): (u64, Timestamp), order: Order, ended: &[AppReloaded]) {
        for AppReloaded { app, outcome, generation, reason, millis, strategy, .. } in ended {
            let changes = self.0.entry(app.clone()).or_default();
            if changes.len() == KEPT {
                changes.pop_front();
            }
            let change = PastChange {
                began: began.to_string(),
                order: order.word().to_owned(),
                outcome: *outcome,
                generation: *generation,
                reason: reason.clone(),
                millis: *millis,
                strategy: strategy.clone(),
                report: None,
            };
            changes.push_back((deploy, change));
        }
    }

    /// What a change has cost clients is known.
    pub(super) fn complete(&mut self, report: &Report) {
        for one in &report.apps {
            let changes = self.0.get_mut(&one.app).into_iter().flatten();
            for (_, change) in changes.filter(|(deploy, _)| *deploy == report.deploy) {
                change.report = Some(Report { apps: vec![one.clone()], ..report.clone() });
            }
        }
    }

    /// Forgets those who are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&AppName) -> bool) {
        self.0.retain(|app, _| is_there(app));
    }

    /// Oldest first.
    pub(super) fn of(&self, app: &AppName) -> Vec<PastChange> {
        self.0.get(app).into_iter().flatten().map(|(_, change)| change.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::words::{AppReport, Outcome};
    use crate::id::Generation;

    #[test]
    fn the_latest_changes_stay_and_those_of_an_app_that_is_gone_do_not() {
        let (mut past, web): (_, AppName) = (Past::default(), "web".parse().unwrap());
        for number in 0..KEPT as u64 + 5 {
            let generation = Some(Generation(number));
            let (reason, lines) = (None, Vec::new());
            let ended = AppReloaded {
                app: web.clone(),
                outcome: Outcome::Live,
                generation,
                reason,
                lines,
                millis: number,
                strategy: None,
            };
            past.note((number, Timestamp::UNIX_EPOCH), Order::Reload, &[ended]);
        }
        let told = past.of(&web);
        assert_eq!((told.len(), told[0].millis, told[0].order.as_str()), (KEPT, 5, "reload"));
        let counted = |app: &AppName, requests| AppReport {
            app: app.clone(),
            requests,
            held: 0,
            longest_hold_ms: None,
            retried: 0,
            forced: 0,
            failed: 0,
        };
        let apps = vec![counted(&"api".parse().unwrap(), 9), counted(&web, 7)];
        past.complete(&Report { deploy: 6, millis: 70, apps });
        let reports: Vec<_> = past.of(&web).into_iter().filter_map(|change| change.report).collect();
        assert_eq!(
            reports,
            [Report { deploy: 6, millis: 70, apps: vec![counted(&web, 7)] }],
            "that one's, of that app"
        );
        past.retain(|app| *app != web);
        assert_eq!(past.of(&web), []);
    }
}
