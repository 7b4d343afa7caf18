//! What a change has cost those who asked for something meanwhile: counted from its beginning until the last worker that it
//! replaced is gone.
//!
//! The counts are those of the proxies; here they are taken twice and subtracted. Decides nothing. Invariant: every change
//! has one report, and whoever asks for it waits no longer than the workers that leave may take.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::site::Site;
use super::{Supervisor, clock};
use crate::control::words::{AppReport, Order, Refusal, RefusalKind, Report};
use crate::id::{AppName, Generation, Serial};
use crate::lifecycle::GenerationState;
use crate::telemetry::exposition::{Family, Value};

/// From the end of a change to the last counts: who was held until then is on its way to a worker, and is to be counted.
const SETTLE: Duration = Duration::from_millis(100);

/// Reports that are kept for those who come late.
const KEPT: usize = 16;

type Reply = oneshot::Sender<Result<Report, Refusal>>;

/// Changes that have no report yet, and the latest that have.
#[derive(Debug, Default)]
pub(super) struct Deploys {
    latest: u64,
    open: Vec<Deploy>,
    told: VecDeque<Report>,
}

#[derive(Debug)]
struct Deploy {
    number: u64,
    order: Order,
    began: Instant,
    books: BTreeMap<AppName, Book>,
    /// Have the first counts come?
    is_counted: bool,
    stage: Stage,
    callers: Vec<Reply>,
}

/// Begins => (Drains => Settles => Counts => told)
#[derive(Debug)]
enum Stage {
    Begins,
    /// These generations are on their way out.
    Drains(Vec<(AppName, Generation)>),
    /// Nothing is left, since then.
    Settles(Instant),
    /// The last counts are asked for; it took so long.
    Counts(Duration),
}

/// What is noted of one app.
#[derive(Debug, Default)]
struct Book {
    opening: Counts,
    forced: u64,
    longest_hold: Option<Duration>,
}

/// What the proxies have ever counted of one app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    requests: u64,
    held: u64,
    retried: u64,
    failed: u64,
}

impl Supervisor {
    /// A change of these apps begins; gives its number.
    pub(super) fn open_deploy(&mut self, order: Order, apps: &[AppName]) -> u64 {
        let number = self.reloads.deploys.open(order, apps, clock::now());
        self.count_opening(number);
        number
    }

    /// A worker is told to stop although it is at work.
    pub(super) fn note_forced(&mut self, app: &AppName, serial: Serial) {
        // The count may be a second old; that there is any is certain.
        let requests = self.proxies.loads.of(serial, clock::now()).in_flight.max(1);
        for book in self.reloads.deploys.open.iter_mut().filter_map(|deploy| deploy.books.get_mut(app)) {
            book.forced += u64::from(requests);
        }
    }

    /// Asks for the last counts of those changes of which nothing is left any more.
    pub(super) fn close_deploys(&mut self) {
        for number in self.reloads.deploys.take_settled(&self.sites, clock::now()) {
            self.count_closing(number);
        }
    }
}

impl Deploys {
    fn open(&mut self, order: Order, apps: &[AppName], now: Instant) -> u64 {
        self.latest += 1;
        self.open.push(Deploy {
            number: self.latest,
            order,
            began: now,
            books: apps.iter().map(|app| (app.clone(), Book::default())).collect(),
            is_counted: false,
            stage: Stage::Begins,
            callers: Vec::new(),
        });
        self.latest
    }

    /// Answers at once, or once there is a report.
    pub(super) fn ask(&mut self, number: u64, reply: Reply) {
        if let Some(deploy) = self.open.iter_mut().find(|deploy| deploy.number == number) {
            return deploy.callers.push(reply);
        }
        let told = self.told.iter().find(|report| report.deploy == number).cloned();
        let unknown = || Refusal::new(RefusalKind::NotFound, format!("there is no report of a deploy {number}"));
        let _ = reply.send(told.ok_or_else(unknown));
    }

    pub(super) fn note_holds(&mut self, holds: &[(AppName, Duration)]) {
        for deploy in self.open.iter_mut().filter(|deploy| deploy.is_counted) {
            for (app, longest) in holds {
                if let Some(book) = deploy.books.get_mut(app) {
                    book.longest_hold = book.longest_hold.max(Some(*longest));
                }
            }
        }
    }

    pub(super) fn open_books(&mut self, number: u64, families: &[Family]) {
        let Some(deploy) = self.open.iter_mut().find(|deploy| deploy.number == number) else { return };
        deploy.is_counted = true;
        for (app, book) in &mut deploy.books {
            book.opening = Counts::of(app, families);
        }
    }

    /// Every app of the change has ended: what leaves because of it is awaited.
    pub(super) fn await_leavers(&mut self, number: u64, sites: &BTreeMap<AppName, Site>) {
        // Begins => Drains
        if let Some(deploy) = self.open.iter_mut().find(|deploy| deploy.number == number) {
            let leavers = deploy.books.keys().flat_map(|app| leaving(app, sites));
            deploy.stage = Stage::Drains(leavers.collect());
        }
    }

    /// When [`Supervisor::close_deploys`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let settling = self.open.iter().filter_map(|deploy| match deploy.stage {
            Stage::Settles(since) => Some(since + SETTLE),
            Stage::Begins | Stage::Drains(_) | Stage::Counts(_) => None,
        });
        settling.min()
    }

    /// Those whose last counts are due.
    fn take_settled(&mut self, sites: &BTreeMap<AppName, Site>, now: Instant) -> Vec<u64> {
        let is_there = |(app, generation): &(AppName, Generation)| leaving(app, sites).any(|one| one.1 == *generation);
        let mut settled = Vec::new();
        for deploy in &mut self.open {
            match &deploy.stage {
                // Drains => Settles
                Stage::Drains(leavers) if !leavers.iter().any(is_there) => deploy.stage = Stage::Settles(now),
                // Settles => Counts
                Stage::Settles(since) if *since + SETTLE <= now => {
                    deploy.stage = Stage::Counts(since.duration_since(deploy.began));
                    settled.push(deploy.number);
                }
                Stage::Begins | Stage::Drains(_) | Stage::Settles(_) | Stage::Counts(_) => {}
            }
        }
        settled
    }

    /// Gives the report, if there is such a change.
    pub(super) fn close_books(&mut self, number: u64, families: &[Family]) -> Option<&Report> {
        for mut deploy in self.open.extract_if(.., |deploy| deploy.number == number).collect::<Vec<_>>() {
            let callers = std::mem::take(&mut deploy.callers);
            let report = deploy.report(families);
            for app in report.apps.iter().filter(|_| matches!(deploy.order, Order::Reload | Order::Restart)) {
                let AppReport { app, requests, held, longest_hold_ms, retried, forced, failed } = app;
                let word = deploy.order.word();
                tracing::info!(%app, requests, held, longest_hold_ms, retried, forced, failed, "report of the {word}");
            }
            for caller in callers {
                let _ = caller.send(Ok(report.clone()));
            }
            self.told.push_back(report);
        }
        self.told.drain(..self.told.len().saturating_sub(KEPT));
        self.told.back().filter(|report| report.deploy == number)
    }
}

impl Deploy {
    fn report(&self, families: &[Family]) -> Report {
        let took = match self.stage {
            Stage::Counts(took) => took,
            Stage::Begins | Stage::Drains(_) | Stage::Settles(_) => clock::since(self.began),
        };
        let apps = self.books.iter().map(|(app, book)| book.close(app, Counts::of(app, families)));
        Report { deploy: self.number, millis: millis(took), apps: apps.collect() }
    }
}

impl Book {
    fn close(&self, app: &AppName, closing: Counts) -> AppReport {
        let Counts { requests, held, retried, failed } = closing;
        AppReport {
            app: app.clone(),
            requests: requests.saturating_sub(self.opening.requests),
            held: held.saturating_sub(self.opening.held),
            longest_hold_ms: self.longest_hold.map(millis),
            retried: retried.saturating_sub(self.opening.retried),
            forced: self.forced,
            failed: failed.saturating_sub(self.opening.failed),
        }
    }
}

impl Counts {
    fn of(app: &AppName, families: &[Family]) -> Self {
        Self {
            requests: sum(app, families, "portreeve_requests_total"),
            held: sum(app, families, "portreeve_held_total"),
            retried: sum(app, families, "portreeve_retries_total"),
            failed: sum(app, families, "portreeve_requests_failed_total"),
        }
    }
}

/// Of all series of a family that are of this app.
fn sum(app: &AppName, families: &[Family], name: &str) -> u64 {
    let samples = families.iter().filter(|family| family.name == name).flat_map(|family| &family.samples);
    let is_of_app =
        |labels: &[(String, String)]| labels.iter().any(|(key, value)| key == "app" && value == app.as_str());
    let values = samples.filter(|sample| is_of_app(&sample.labels)).map(|sample| match sample.value {
        // Counts are whole and far below 2^53.
        #[allow(clippy::cast_sign_loss, reason = "a counter is never negative")]
        Value::Number(number) => number as u64,
        Value::Histogram { count, .. } => count,
    });
    values.sum()
}

/// The generations of an app that are on their way out.
fn leaving(app: &AppName, sites: &BTreeMap<AppName, Site>) -> impl Iterator<Item = (AppName, Generation)> + use<> {
    let generations = sites.get(app).and_then(Site::report).map(|report| report.generations).unwrap_or_default();
    let app = app.clone();
    let is_leaving =
        |state| matches!(state, GenerationState::Draining | GenerationState::Yielding | GenerationState::Aborted);
    generations.into_iter().filter(move |one| is_leaving(one.state)).map(move |one| (app.clone(), one.number))
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exchange_metrics::{ExchangeMetrics, HoldEnd, RetryRule};

    #[test]
    fn a_report_counts_what_came_between_the_two_countings_and_nothing_of_other_apps() {
        let (web, api): (AppName, AppName) = ("web".parse().unwrap(), "api".parse().unwrap());
        let metrics = ExchangeMetrics::new();
        let (of_web, of_api) = (metrics.app(&web), metrics.app(&api));
        let serve = || {
            of_web.finish(200, Duration::ZERO);
            of_web.finish(502, Duration::ZERO);
            of_web.fail();
            of_web.hold().end(HoldEnd::Served);
            of_web.retry(RetryRule::Repeatable);
            of_api.finish(200, Duration::ZERO);
        };
        serve();
        let mut deploys = Deploys::default();
        let number = deploys.open(Order::Reload, std::slice::from_ref(&web), Instant::now());
        deploys.note_holds(&[(web.clone(), Duration::from_secs(9))]);
        deploys.open_books(number, &metrics.gather());
        serve();
        serve();
        deploys.note_holds(&[(web.clone(), Duration::from_millis(70)), (api, Duration::from_secs(3))]);
        deploys.note_holds(&[(web.clone(), Duration::from_millis(20))]);
        let (reply, mut answer) = oneshot::channel();
        deploys.ask(number, reply);
        deploys.await_leavers(number, &BTreeMap::new());
        let now = Instant::now();
        assert_eq!(deploys.take_settled(&BTreeMap::new(), now), [0; 0]);
        assert_eq!(deploys.deadline(), Some(now + SETTLE));
        assert_eq!(deploys.take_settled(&BTreeMap::new(), now + SETTLE), [number]);
        assert!(answer.try_recv().is_err(), "there is no report yet");
        assert_eq!(deploys.close_books(number, &metrics.gather()).map(|report| report.deploy), Some(number));
        let report = answer.try_recv().unwrap().unwrap();
        let expected =
            AppReport { app: web, requests: 4, held: 2, longest_hold_ms: Some(70), retried: 2, forced: 0, failed: 2 };
        assert_eq!(report.apps, [expected]);
        let (reply, mut answer) = oneshot::channel();
        deploys.ask(number, reply);
        assert_eq!(answer.try_recv().unwrap().unwrap(), report, "who comes late is told as well");
        let (reply, mut answer) = oneshot::channel();
        deploys.ask(99, reply);
        assert_eq!(answer.try_recv().unwrap().unwrap_err().kind, RefusalKind::NotFound);
    }
}
