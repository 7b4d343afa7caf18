//! What was taken out of the traffic by hand: drained workers, paused apps, apps under maintenance.
//!
//! It changes what is published and nothing else: to its machine a drained worker is one that serves. A drain ends with its
//! worker, so also with a reload; a pause and a maintenance with their app's stop. Invariant: what is masked stays closed to
//! the proxies, so what they say of it while it is masked holds until it is opened again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Supervisor;
use super::site::Site;
use crate::control::words::{self, Diversion, Reached, Refusal, RefusalKind};
use crate::id::{AppName, Serial, Slot};
use crate::link::{self, Condition, Epoch, Snapshot};
use crate::telemetry::exposition::{Family, Kind, Sample, Value};

/// What clients are shown who come during a maintenance.
const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Maintenance</title>\n\
                    <h1>We are back in a moment</h1>\n<p>This site is being worked on. Please try again in a minute.</p>\n\
                    </html>\n";

/// The most that a page may have, in bytes: it is sent in one piece.
const MOST_OF_A_PAGE: usize = 64 << 10;

/// What was said by hand, app by app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Traffic(BTreeMap<AppName, Diverted>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Diverted {
    drained: BTreeSet<Serial>,
    is_paused: bool,
    page: Option<String>,
}

type Reply = oneshot::Sender<Result<Reached, Refusal>>;

/// An answer that waits for the proxies; `epoch` is set once what it is about has been sent.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) epoch: Option<Epoch>,
    reached: Reached,
    reply: Reply,
}

impl Supervisor {
    /// Changes what becomes of the requests for these apps, and answers with how many workers that is about once every proxy
    /// does so.
    pub(super) fn divert(&mut self, apps: &[AppName], diversion: &Diversion, reply: Reply) {
        match self.try_divert(apps, diversion) {
            Ok(reached) => self.published.owed.push(Owed { epoch: None, reached, reply }),
            Err(refusal) => drop(reply.send(Err(refusal))),
        }
    }

    fn try_divert(&mut self, apps: &[AppName], diversion: &Diversion) -> Result<Reached, Refusal> {
        self.require_known(apps)?;
        if matches!(diversion, Diversion::Maintenance(Some(page)) if page.len() > MOST_OF_A_PAGE) {
            return Err(Refusal::new(RefusalKind::BadRequest, "the page has more than 64 KiB"));
        }
        let mut reached = Vec::new();
        for app in apps {
            reached.push((app, self.reached(app, diversion)?));
        }
        let workers = reached.iter().map(|(_, serials)| serials.len()).sum();
        for (app, serials) in reached {
            tracing::info!(%app, workers = serials.len(), "by hand: {}", word(diversion));
            self.roster.traffic.divert(app, &serials, diversion);
        }
        self.published.dirty = true;
        Ok(Reached { workers })
    }

    /// The workers of an app that it is about.
    fn reached(&self, app: &AppName, diversion: &Diversion) -> Result<Vec<Serial>, Refusal> {
        let slots: &[Slot] = match diversion {
            Diversion::Drain(slots) | Diversion::Undrain(slots) => slots,
            _ => &[],
        };
        let endpoints = self.sites.get(app).map(Site::endpoints).unwrap_or_default();
        // A drained worker may have become unready since; it is to be let go all the same.
        let is_undrain = matches!(diversion, Diversion::Undrain(_));
        let open: Vec<_> = endpoints.iter().filter(|endpoint| endpoint.open || is_undrain).collect();
        if let Some(slot) = slots.iter().find(|slot| !open.iter().any(|endpoint| endpoint.slot == **slot)) {
            let error = format!("no worker of {app} serves in slot {slot}");
            return Err(Refusal::new(RefusalKind::BadRequest, error));
        }
        let is_meant = |endpoint: &&&link::Endpoint| slots.is_empty() || slots.contains(&endpoint.slot);
        Ok(open.iter().filter(is_meant).map(|endpoint| endpoint.serial).collect())
    }

    /// Forgets drained workers that are gone.
    pub(super) fn forget_drained(&mut self) {
        let sites = &self.sites;
        self.roster.traffic.retain(|app, serial| sites.get(app).is_some_and(|site| site.slot(serial).is_some()));
    }
}

impl Owed {
    /// Has every proxy acknowledged it? `floor` is the epoch that all have, or `None` without a proxy.
    pub(super) fn is_due(&self, floor: Option<Epoch>) -> bool {
        self.epoch.is_some_and(|epoch| floor.is_none_or(|floor| epoch <= floor))
    }

    pub(super) fn pay(self) {
        // Whoever has hung up has not waited for it.
        let _ = self.reply.send(Ok(self.reached));
    }
}

impl Traffic {
    fn divert(&mut self, app: &AppName, serials: &[Serial], diversion: &Diversion) {
        let diverted = self.0.entry(app.clone()).or_default();
        match diversion {
            Diversion::Drain(_) => diverted.drained.extend(serials),
            Diversion::Undrain(_) => diverted.drained.retain(|serial| !serials.contains(serial)),
            Diversion::Pause => diverted.is_paused = true,
            Diversion::Resume => diverted.is_paused = false,
            Diversion::Maintenance(page) => diverted.page = Some(page.clone().unwrap_or_else(|| PAGE.to_owned())),
            Diversion::Open => diverted.page = None,
        }
        self.0.retain(|_, diverted| *diverted != Diverted::default());
    }

    /// The app is stopped, or gone.
    pub(super) fn forget(&mut self, app: &AppName) {
        self.0.remove(app);
    }

    fn retain(&mut self, is_there: impl Fn(&AppName, Serial) -> bool) {
        for (app, diverted) in &mut self.0 {
            diverted.drained.retain(|serial| is_there(app, *serial));
        }
        self.0.retain(|_, diverted| *diverted != Diverted::default());
    }

    /// Is an endpoint closed by hand, whatever its machine says?
    pub(super) fn masks(&self, app: &AppName, serial: Serial) -> bool {
        self.0.get(app).is_some_and(|diverted| diverted.is_paused || diverted.drained.contains(&serial))
    }

    /// Is it kept from its workers by hand that requests come to them?
    pub(super) fn diverts(&self, app: &AppName) -> bool {
        self.0.get(app).is_some_and(|diverted| diverted.is_paused || !diverted.drained.is_empty())
    }

    /// Puts what was said by hand into what is to be published.
    pub(super) fn apply(&self, snapshot: &mut Snapshot) {
        for app in &mut snapshot.apps {
            if let Some(diverted) = self.0.get(&app.name) {
                diverted.apply(app);
            }
        }
    }

    /// Puts it into what people are told.
    pub(super) fn tell(&self, app: &mut words::App) {
        let Some(diverted) = self.0.get(&app.name) else { return };
        for worker in app.workers.iter_mut().filter(|worker| diverted.drained.contains(&worker.serial)) {
            if matches!(worker.state.as_str(), "serving" | "up") {
                "drained".clone_into(&mut worker.state);
            }
        }
        if diverted.page.is_some() {
            "maintenance".clone_into(&mut app.by_hand.traffic);
        } else if diverted.is_paused {
            "paused".clone_into(&mut app.by_hand.traffic);
        }
    }

    /// For each app what of it is diverted, as metrics have it.
    pub(super) fn family<'a>(&self, apps: impl Iterator<Item = &'a AppName>) -> Family {
        let samples = apps.flat_map(|app| {
            let diverted = self.0.get(app);
            let count = |count: fn(&Diverted) -> usize| diverted.map_or(0, count) as f64;
            let by = [
                ("drain", count(|diverted| diverted.drained.len())),
                ("maintenance", count(|diverted| usize::from(diverted.page.is_some()))),
                ("pause", count(|diverted| usize::from(diverted.is_paused))),
            ];
            by.map(|(by, value)| Sample {
                labels: vec![("app".to_owned(), app.to_string()), ("by".to_owned(), by.to_owned())],
                value: Value::Number(value),
            })
        });
        let help = "Workers that are drained by hand; 1 while an app is paused or under maintenance.";
        let name = "portreeve_diverted".to_owned();
        Family { name, help: help.to_owned(), kind: Kind::Gauge, samples: samples.collect() }
    }
}

impl Diverted {
    fn apply(&self, app: &mut link::App) {
        let was_open = app.endpoints.iter().any(|endpoint| endpoint.open);
        for endpoint in &mut app.endpoints {
            endpoint.open &= !self.is_paused && !self.drained.contains(&endpoint.serial);
        }
        if self.is_paused {
            app.condition = Condition::Expected;
            // Whoever sleeps sleeps on until it is resumed.
            app.hold.wakes = false;
        } else if was_open && !app.endpoints.iter().any(|endpoint| endpoint.open) {
            // All that there is was drained: nothing is to be waited for.
            app.condition = Condition::Down;
        }
        app.maintenance.clone_from(&self.page);
    }
}

fn word(diversion: &Diversion) -> &'static str {
    match diversion {
        Diversion::Drain(_) => "drained",
        Diversion::Undrain(_) => "no longer drained",
        Diversion::Pause => "paused",
        Diversion::Resume => "resumed",
        Diversion::Maintenance(_) => "under maintenance",
        Diversion::Open => "no longer under maintenance",
    }
}
