//! What the screen shows: the latest status, a history of each app's figures, the latest lines, and what is chosen.
//!
//! Pure: looks come in, and keys; it draws nothing and asks nobody. Invariants: histories and lines are bounded; whatever is
//! chosen exists, if there is anything to choose.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::figures::{self, Counters, Rates};
use crate::control::words::{App, LogEntry, LogLine, Status};
use crate::id::AppName;

/// Looks that are remembered of each app, about one a second.
pub(super) const HISTORY: usize = 240;

/// Lines that are remembered.
const LINES: usize = 500;

/// One look at the supervisor.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) status: Status,
    /// The metrics, in the text format.
    pub(super) metrics: String,
}

/// All there is to show.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) status: Option<Status>,
    pub(super) histories: BTreeMap<AppName, History>,
    pub(super) lines: VecDeque<LogLine>,
    /// Which app, by its place in the list.
    pub(super) chosen: usize,
    /// Show the lines of the chosen app alone.
    pub(super) only_chosen: bool,
    /// What was done last, or went wrong.
    pub(super) message: String,
    before: Option<(Instant, BTreeMap<AppName, Counters>)>,
}

/// An app's latest figures, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) rates: VecDeque<Rates>,
    /// Bytes, of all its workers.
    pub(super) memory: VecDeque<u64>,
    /// What they may need before they are replaced or killed, together; `None`: some may need whatever they like.
    pub(super) memory_limit: Option<u64>,
    /// Hundredths of one CPU, of all its workers.
    pub(super) cpu: VecDeque<f64>,
}

impl Picture {
    /// Takes in a look.
    pub(super) fn look(&mut self, look: Look) {
        let counters = figures::read(&look.metrics);
        let rates = self.rates(look.at, &counters);
        for app in &look.status.apps {
            let history = self.histories.entry(app.name.clone()).or_default();
            keep(&mut history.rates, rates.get(&app.name).copied().unwrap_or_default());
            keep(&mut history.memory, app.workers.iter().filter_map(|worker| worker.usage.memory.bytes).sum());
            let alive = app.workers.iter().filter(|worker| worker.pid.is_some()).map(|worker| &worker.usage.memory);
            let limits = alive.map(|memory| memory.soft.or(memory.hard));
            history.memory_limit = limits.sum::<Option<u64>>().filter(|limit| *limit > 0);
            // The sum of nothing is -0.0.
            let cpu: f64 = app.workers.iter().filter_map(|worker| worker.usage.cpu.percent).sum();
            keep(&mut history.cpu, cpu.abs());
        }
        self.histories.retain(|name, _| look.status.apps.iter().any(|app| app.name == *name));
        self.chosen = self.chosen.min(look.status.apps.len().saturating_sub(1));
        self.before = Some((look.at, counters));
        self.status = Some(look.status);
    }

    /// Nobody answered.
    pub(super) fn lose(&mut self, why: String) {
        self.message = why;
        self.before = None;
    }

    /// Takes in what a worker has printed.
    pub(super) fn hear(&mut self, entry: LogEntry) {
        if let LogEntry::Line(line) = entry {
            if self.lines.len() == LINES {
                self.lines.pop_front();
            }
            self.lines.push_back(line);
        }
    }

    /// The next app, or the one before.
    pub(super) fn choose(&mut self, forward: bool) {
        let apps = self.apps().len();
        if apps > 0 {
            self.chosen = (self.chosen + if forward { 1 } else { apps - 1 }) % apps;
        }
    }

    pub(super) fn apps(&self) -> &[App] {
        self.status.as_ref().map_or(&[], |status| &status.apps)
    }

    /// The chosen app.
    pub(super) fn app(&self) -> Option<&App> {
        self.apps().get(self.chosen)
    }

    /// The latest lines that are to be shown, newest first.
    pub(super) fn latest_lines(&self) -> impl Iterator<Item = &LogLine> {
        let only = self.app().filter(|_| self.only_chosen).map(|app| &app.name);
        self.lines.iter().rev().filter(move |line| only.is_none_or(|name| line.app == *name))
    }

    fn rates(&self, at: Instant, counters: &BTreeMap<AppName, Counters>) -> BTreeMap<AppName, Rates> {
        let Some((then, before)) = &self.before else { return BTreeMap::new() };
        let seconds = at.saturating_duration_since(*then).as_secs_f64();
        let nothing = Counters::default();
        let since =
            |(app, now): (&AppName, &Counters)| (app.clone(), now.since(before.get(app).unwrap_or(&nothing), seconds));
        counters.iter().map(since).collect()
    }
}

fn keep<T>(history: &mut VecDeque<T>, value: T) {
    if history.len() == HISTORY {
        history.pop_front();
    }
    history.push_back(value);
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::words::{LogStream, Worker};
    use crate::id::{Generation, Slot};

    /// A status with workers as `(app, generation, state)` names them.
    pub(in crate::cli::monit) fn status(workers: &[(&str, u64, &str)]) -> Status {
        let mut status: Status = serde_json::from_value(serde_json::json!({
            "version": "0.1.0", "pid": 7, "uptime_seconds": 3700, "listeners": [], "metrics": null, "proxies": [], "apps": [],
        }))
        .unwrap();
        for (slot, (name, generation, state)) in workers.iter().enumerate() {
            let worker: Worker = serde_json::from_value(serde_json::json!({
                "id": format!("{name} {generation}.{slot}"), "serial": slot, "slot": slot, "generation": generation,
                "state": state, "pid": 100 + slot, "address": null, "port": 4000, "uptime_seconds": 65, "restarts": 2,
                "memory": 52_428_800, "inflight": 3, "requests": 100, "failed": 0, "req_per_second": 12.5, "oldest_ms": null,
            }))
            .unwrap();
            match status.apps.iter_mut().find(|app| app.name.as_str() == *name) {
                Some(app) => app.workers.push(worker),
                None => status.apps.push(
                    serde_json::from_value(serde_json::json!({
                        "name": name, "state": "running", "generation": generation, "workers": [worker],
                        "last_failure": null, "exits": [],
                    }))
                    .unwrap(),
                ),
            }
        }
        status
    }

    fn look(at: Instant, status: Status, requests: u32) -> Look {
        let metrics = format!("portreeve_requests_total{{app=\"web\",code_class=\"2xx\"}} {requests}\n");
        Look { at, status, metrics }
    }

    pub(in crate::cli::monit) fn line(app: &str, text: &str) -> LogEntry {
        LogEntry::Line(LogLine {
            time: None,
            app: app.parse().unwrap(),
            generation: Some(Generation(1)),
            slot: Some(Slot(0)),
            stream: LogStream::Stdout,
            line: text.to_owned(),
        })
    }

    #[test]
    fn rates_need_two_looks_and_begin_anew_when_the_supervisor_was_away() {
        let (mut picture, begin) = (Picture::default(), Instant::now());
        let see = |picture: &mut Picture, second: u64, requests: u32| {
            picture.look(look(begin + Duration::from_secs(second), status(&[("web", 1, "serving")]), requests));
            picture.histories[&"web".parse().unwrap()].rates.back().unwrap().requests
        };
        assert_eq!(see(&mut picture, 0, 1000).to_bits(), 0.0f64.to_bits());
        assert_eq!(see(&mut picture, 2, 1100).to_bits(), 50.0f64.to_bits());
        picture.lose("gone".into());
        assert_eq!(see(&mut picture, 9, 5000).to_bits(), 0.0f64.to_bits());
    }

    #[test]
    fn memory_and_cpu_are_those_of_all_workers_and_a_limit_is_one_where_all_have_one() {
        let (mut picture, now) = (Picture::default(), Instant::now());
        let mut seen = status(&[("web", 1, "serving"), ("web", 1, "serving")]);
        for worker in &mut seen.apps[0].workers {
            worker.usage.cpu.percent = Some(20.0);
            worker.usage.memory.soft = Some(100 << 20);
        }
        picture.look(look(now, seen.clone(), 0));
        let history = |picture: &Picture| picture.histories[&"web".parse().unwrap()].clone();
        let shown = history(&picture);
        assert_eq!((shown.memory[0], shown.memory_limit), (100 << 20, Some(200 << 20)));
        assert_eq!(shown.cpu[0].to_bits(), 40.0f64.to_bits());
        seen.apps[0].workers[1].usage.memory.soft = None;
        picture.look(look(now, seen, 0));
        assert_eq!(history(&picture).memory_limit, None);
    }

    #[test]
    fn the_choice_goes_round_and_stays_within_what_there_is() {
        let mut picture = Picture::default();
        picture.choose(true);
        let now = Instant::now();
        picture.look(look(now, status(&[("api", 1, "serving"), ("web", 1, "serving")]), 0));
        picture.choose(false);
        assert_eq!(picture.app().unwrap().name.as_str(), "web");
        picture.look(look(now, status(&[("api", 1, "serving")]), 0));
        assert_eq!(picture.app().unwrap().name.as_str(), "api");
    }

    #[test]
    fn lines_are_bounded_and_may_be_those_of_one_app() {
        let mut picture = Picture::default();
        picture.look(look(Instant::now(), status(&[("api", 1, "serving"), ("web", 1, "serving")]), 0));
        (0..LINES + 5).for_each(|n| picture.hear(line("web", &n.to_string())));
        picture.hear(line("api", "mine"));
        assert_eq!(picture.lines.len(), LINES);
        picture.only_chosen = true;
        let shown: Vec<_> = picture.latest_lines().map(|line| line.line.as_str()).collect();
        assert_eq!(shown, ["mine"]);
    }
}
