//! A generation that is tried on a few of the clients: promoted by hand, and told of in metrics.
//!
//! When it has done well and when not is the machine's to say; who the few are, the proxies'. Decides nothing.

use super::Supervisor;
use super::outcome::Reload;
use super::site::Site;
use crate::control::words::Outcome;
use crate::id::AppName;
use crate::lifecycle;
use crate::telemetry::exposition::{Family, Kind, Sample, Value};

const NO_CANARY: &str = "no new generation is tried on a few of the clients";

impl Supervisor {
    /// The canary of an app is good enough: it takes over.
    pub(super) fn begin_promotion(&mut self, name: &AppName, reload: &mut Reload) {
        let canary = match self.sites.get(name) {
            Some(Site::Supervised(site)) => site.machine.canary(),
            _ => None,
        };
        if canary.is_none() {
            return reload.end_because(name, Outcome::Aborted, NO_CANARY);
        }
        self.machines.queue.push_back((name.clone(), lifecycle::Event::Promote));
        reload.end(name, Outcome::Applied);
    }

    /// For each app the share of its clients that a new generation is tried on.
    pub(super) fn canaries(&self) -> Family {
        let sample = |(app, site): (&AppName, &Site)| Sample {
            labels: vec![("app".to_owned(), app.to_string())],
            value: Value::Number(site.canary().map_or(0.0, |canary| f64::from(canary.share) / 10_000.0)),
        };
        let web = self.sites.iter().filter(|(_, site)| !site.is_task());
        let help = "The share of an app's clients that a new generation is tried on; 0 while none is.";
        let name = "portreeve_canary_share_ratio".to_owned();
        Family { name, help: help.to_owned(), kind: Kind::Gauge, samples: web.map(sample).collect() }
    }
}
