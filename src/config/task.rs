//! `kind` of an app: one that serves requests, or a task, which works without being asked, always or at its times.
//!
//! What the other keys mean for a task is settled here, and which of them have no meaning: nobody writes those on purpose.

use std::time::Duration;

use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};
use super::{App, Command, Probe, Readiness, RestartPolicy, Schedule, Socket, contract, defaults, readiness, recycle};

/// What an app is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It serves requests; on `[listen]` as well, unless all that it has is a port of its own.
    Web { routed: bool },
    /// Its workers go on working; nobody connects to them.
    Task {
        /// May a worker run beside the one that it replaces?
        overlaps: bool,
    },
    /// It runs at its times, and ends.
    Job(Job),
}

impl Kind {
    /// Is no request for it?
    #[must_use]
    pub fn is_task(&self) -> bool {
        !matches!(self, Self::Web { .. })
    }

    /// Does the default of this key of an app that serves requests hold for it as well?
    pub(super) fn has_default(&self, key: &str) -> bool {
        let is_other = match self {
            Self::Web { .. } => false,
            Self::Task { .. } => ["workers", "ready"].contains(&key),
            Self::Job(_) => key == "restart",
        };
        self.has_meaning(key) && !is_other
    }

    /// Has this key of an app a meaning for it?
    pub(super) fn has_meaning(&self, key: &str) -> bool {
        let of_web = OF_REQUESTS.contains(&key) || ["upstream", "drain_timeout"].contains(&key);
        match self {
            Self::Web { .. } => !OF_TASKS.contains(&key),
            Self::Task { .. } => !of_web,
            Self::Job(_) => !of_web && !OF_WORKERS.contains(&key),
        }
    }
}

impl App {
    /// Is it to be found by host and path?
    #[must_use]
    pub fn is_routed(&self) -> bool {
        self.kind == Kind::Web { routed: true }
    }
}

/// A task that has its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub schedule: Schedule,
    pub overlap: Overlap,
    /// Longest time of a run with all that is tried again; `None`: it may go on.
    pub timeout: Option<Duration>,
}

/// What becomes of a start whose time comes while the run before goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is left out.
    Skip,
    /// The run before is ended first.
    Replace,
    /// It waits for the end of the run before; one does at most.
    Queue,
}

pub(super) const KINDS: [(&str, bool); 2] = [("web", false), ("task", true)];
pub(super) const OVERLAPS: [(&str, Overlap); 3] =
    [("skip", Overlap::Skip), ("replace", Overlap::Replace), ("queue", Overlap::Queue)];

/// Keys that only a task has.
const OF_TASKS: [&str; 3] = ["schedule", "overlap", "run_timeout"];
/// Keys about requests, and about the place where they come in.
const OF_REQUESTS: [&str; 22] = [
    "deploy",
    "idle_timeout",
    "streams",
    "stream_spread",
    "warmup",
    "warmup_timeout",
    "slow_start",
    "request_start",
    "hosts",
    "path",
    "port",
    "listen",
    "node",
    "max_inflight",
    "body_bytes",
    "hold",
    "connect_timeout",
    "response_timeout",
    "keepalive",
    "proxy_protocol",
    "retry",
    "live",
];
/// Keys about workers that go on.
const OF_WORKERS: [&str; 5] = ["workers", "ready", "start_timeout", "recycle", "watch"];

/// What `kind` and the keys of tasks say.
pub(super) fn kind(table: &mut Table) -> Kind {
    let is_task = table.take("kind", |value| value::word(value, &KINDS).map_err(|fault| other_word(value, fault)));
    let schedule = table.take("schedule", recycle::schedule);
    let timeout = table.take("run_timeout", |value| value::duration(value, &defaults::RUN_TIMEOUT));
    if is_task != Some(true) {
        let _ = table.value("overlap");
        for key in OF_TASKS.into_iter().filter(|key| table.has(key)) {
            let fault =
                Fault::error(table.span_of(key), format!("`{key}` has no meaning for an app that serves requests"));
            table.report(fault.label("is for a task").help("add kind = \"task\" if no request is for this app"));
        }
        return Kind::Web { routed: !table.has("port") || table.has("hosts") || table.has("path") };
    }
    if table.has("schedule") {
        let overlap = table.take("overlap", overlap).unwrap_or(Overlap::Skip);
        // A bad schedule is recorded, and the app left out.
        return schedule
            .map_or(Kind::Task { overlaps: true }, |schedule| Kind::Job(Job { schedule, overlap, timeout }));
    }
    if table.has("run_timeout") {
        let fault = Fault::error(table.span_of("run_timeout"), "`run_timeout` has no meaning without `schedule`");
        table.report(
            fault.label("a worker goes on for ever").help("`recycle = { max_age = \"1h\" }` replaces old ones"),
        );
    }
    Kind::Task { overlaps: table.take("overlap", beside).unwrap_or(true) }
}

fn other_word(value: Value, fault: Fault) -> Fault {
    match value.str() {
        Some("worker" | "queue" | "job" | "cron" | "background" | "oneshot") => {
            fault.label("did you mean \"task\"?").help("a task with a `schedule` runs at its times, one without always")
        }
        _ => fault,
    }
}

fn overlap(value: Value) -> Result<Overlap, Fault> {
    value::word(value, &OVERLAPS).map_err(|fault| match value.str() {
        None => fault.label("is for a task without a schedule"),
        Some("Forbid" | "forbid") => fault.label("did you mean \"skip\"?"),
        Some("Allow" | "allow") => fault.label("two runs of one job are never on at once"),
        Some(_) => fault,
    })
}

fn beside(value: Value) -> Result<bool, Fault> {
    value::boolean(value).map_err(|fault| match value.str() {
        Some(_) => fault.label("such words are for a task with a `schedule`"),
        None => fault,
    })
}

/// Brings together what `kind` says and what the other keys do.
pub(super) fn settle(table: &Table, kind: &Kind, command: &mut Command, ready: Readiness, probe: &Probe) {
    for key in OF_REQUESTS.into_iter().filter(|key| table.has(key)) {
        refuse(table, key, "no request is for it", None);
    }
    if table.has("drain_timeout") {
        let help = "`kill_timeout` is its time to finish what it has in hand, from the stop signal on";
        refuse(table, "drain_timeout", "it has no requests to wait for", Some(help));
    }
    if command.recycle.max_requests.is_some() {
        let fault = Fault::error(table.span_of("recycle"), "`max_requests` has no meaning for a task");
        table.report(fault.label("no request is for it").related(table.span_of("kind"), "a task"));
    }
    command.contract.socket = Socket::Absent;
    command.live = None;
    if let Kind::Job(_) = kind {
        settle_job(table, command);
        contract::settle(table, command, Readiness::Lasting(Duration::ZERO), probe);
        return;
    }
    if !table.has("workers") {
        command.workers = Some(defaults::TASK_WORKERS);
    }
    let ready = if ready == Readiness::Probe { unasked(table) } else { ready };
    contract::settle(table, command, ready, probe);
    readiness::check_patience(table, command, probe);
}

/// There is nobody to be asked.
fn unasked(table: &Table) -> Readiness {
    if table.has("ready") {
        let fault = Fault::error(table.span_of("ready"), "a task has no port at which it could be asked");
        let fault = fault.label("asks for a connection").related(table.span_of("kind"), "a task");
        table.report(fault.help(
            "leave it out: a task is ready once it has run for 1 s; or { uptime = \"5s\" }, \"ipc\", \"notify\", { fd = 4 }",
        ));
    }
    Readiness::Lasting(defaults::READY_UPTIME.default)
}

fn settle_job(table: &Table, command: &mut Command) {
    for key in OF_WORKERS.into_iter().filter(|key| table.has(key)) {
        let fault = Fault::error(table.span_of(key), format!("`{key}` has no meaning for a task with a schedule"));
        let fault =
            fault.label("is for workers that go on").related(table.span_of("schedule"), "this one runs and ends");
        table.report(fault);
    }
    if command.bounds.memory.soft.is_some() {
        let fault = Fault::error(table.span_of("memory"), "`soft` has no meaning for a task with a schedule");
        table.report(fault.label("a run is not replaced").help("`hard` ends one that needs more"));
    }
    command.workers = Some(defaults::TASK_WORKERS);
    // Whoever says how a run is tried again wants that, and who says nothing does not.
    if command.restart.policy == RestartPolicy::Always {
        if table.says("restart", "policy", "always") {
            let fault = Fault::error(table.span_of("restart"), "a run that ends well is done until its next time");
            table.report(
                fault.label("not always").help("write \"on-failure\" to have a run tried again that has failed"),
            );
        }
        let is_told = table.has("restart");
        command.restart.policy = if is_told { RestartPolicy::OnFailure } else { RestartPolicy::Never };
    }
}

fn refuse(table: &Table, key: &str, why: &str, help: Option<&str>) {
    let fault = Fault::error(table.span_of(key), format!("`{key}` has no meaning for a task"));
    let fault = fault.label(why).related(table.span_of("kind"), "a task");
    table.report(help.into_iter().fold(fault, Fault::help));
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::super::testing::{bad, good};
    use super::*;

    fn text(lines: &str) -> String {
        format!("[app.jobs]\nkind = 'task'\ncommand = 'node jobs.js'\n{lines}\n")
    }

    fn app(lines: &str) -> (App, Command) {
        let app = good(&text(lines)).config.apps.pop_first().unwrap().1;
        let Server::Command(command) = app.server.clone() else { panic!("a command") };
        (app, *command)
    }

    #[test]
    fn a_task_has_one_worker_no_place_and_no_route() {
        let (app, command) = app("");
        assert_eq!((app.is_routed(), app.ports.len(), app.kind), (false, 0, Kind::Task { overlaps: true }));
        assert_eq!((command.workers, command.contract.socket), (Some(defaults::TASK_WORKERS), Socket::Absent));
        assert_eq!((command.contract.ready, command.live), (Readiness::Lasting(Duration::from_secs(1)), None));
        assert!(good(&text("")).config.listen.http.is_empty(), "nothing to listen for");
    }

    #[test]
    fn a_task_says_itself_that_it_is_ready_or_has_to_last() {
        for (lines, ready) in [
            ("ready = 'ipc'", Readiness::Ipc),
            ("ready = 'notify'", Readiness::Notify),
            ("ready = { fd = 3 }", Readiness::Descriptor(3)),
            ("ready = { uptime = '5s' }", Readiness::Lasting(Duration::from_secs(5))),
        ] {
            assert_eq!(app(lines).1.contract.ready, ready, "{lines}");
        }
        assert_eq!(app("overlap = false").0.kind, Kind::Task { overlaps: false });
    }

    #[test]
    fn a_schedule_makes_a_job_whose_runs_are_not_tried_again_unless_that_is_said() {
        let (app_, command) = app("schedule = '0 3 * * *'");
        let Kind::Job(job) = app_.kind else { panic!("a job") };
        assert_eq!((job.schedule.to_string().as_str(), job.overlap, job.timeout), ("0 3 * * *", Overlap::Skip, None));
        assert_eq!(command.restart.policy, RestartPolicy::Never);
        let (app_, command) =
            app("schedule = '@daily'\noverlap = 'queue'\nrun_timeout = '2h'\nrestart = { delay = '1s' }");
        let Kind::Job(job) = app_.kind else { panic!("a job") };
        assert_eq!((job.overlap, job.timeout), (Overlap::Queue, Some(Duration::from_hours(2))));
        assert_eq!(command.restart.policy, RestartPolicy::OnFailure);
    }

    #[test]
    fn what_has_no_meaning_for_a_task_is_refused() {
        for (lines, said) in [
            ("hosts = 'a.example'", "`hosts` has no meaning for a task"),
            ("port = 3000", "no request is for it"),
            ("live = 'off'", "`live` has no meaning"),
            ("idle_timeout = '5m'", "no request is for it"),
            ("drain_timeout = '5s'", "`kill_timeout` is its time"),
            ("ready = { http = '/' }", "no port at which it could be asked"),
            ("ready = 'tcp'", "{ uptime = \"5s\" }"),
            ("ready = { uptime = '2m' }", "no worker could get ready in time"),
            ("ready = { uptime = '2s', timeout = '1s' }", "`timeout` has no meaning beside `uptime`"),
            ("recycle = { max_requests = 5 }", "`max_requests` has no meaning for a task"),
            ("run_timeout = '5s'", "without `schedule`"),
            ("overlap = 'skip'", "with a `schedule`"),
            ("kind = 'cron'", "duplicate"),
            ("schedule = '99 * * * *'", "is no schedule"),
            ("schedule = '@daily'\noverlap = false", "without a schedule"),
            ("schedule = '@daily'\nworkers = 2", "is for workers that go on"),
            ("schedule = '@daily'\nrestart = 'always'", "\"on-failure\""),
            ("schedule = '@daily'\nmemory = { soft = '1GiB' }", "`hard` ends one"),
        ] {
            let problems = bad(&text(lines)).render(false);
            assert!(problems.contains(said), "{lines}: {problems}");
        }
    }

    #[test]
    fn what_is_for_a_task_is_refused_of_an_app_that_serves() {
        for (lines, said) in [
            ("schedule = '@daily'", "add kind = \"task\""),
            ("overlap = false", "`overlap` has no meaning"),
            ("ready = { uptime = '1s' }", "before it listens"),
            ("kind = 'worker'", "did you mean \"task\"?"),
        ] {
            let problems = bad(&format!("[app.web]\ncommand = 'x'\n{lines}\n")).render(false);
            assert!(problems.contains(said), "{lines}: {problems}");
        }
        let said = bad("[app.a]\nkind = 'task'\nupstream = '127.0.0.1:1'\n").render(false);
        assert!(said.contains("a task has a `command`"), "{said}");
    }
}
