//! What becomes of an app's workers: when they start, serve, drain, stop, and start again.
//!
//! Pure: [`App::handle`] takes the time and one event and writes down what is to be done; nothing here has a clock,
//! a file, a socket or a task, and chance and serials come from outside (see [`Todo`]). It does not know what a probe
//! asks, how a process is started, or how many proxies there are.
//!
//! The driver promises: every `Spawn` is answered by `Spawned` or `SpawnFailed`, before anything else is said of
//! that worker; every `Probe` by `Probed`, every `Check` by `Checked` and every `WarmUp` by `Warmed`, or by nothing once its time is over; every process that was spawned ends in `Exited`; every `Publish` is answered by its `Published` or by a later one (a proxy
//! that does not acknowledge is replaced, so that this wait ends); every closed endpoint is `Idle` in the end (at once
//! when there is no proxy); `Wake` comes when [`App::deadline`] has passed. In return a worker is asked to stop only
//! when no proxy can have a request for it.

mod answers;
mod app;
mod backoff;
mod circuit;
mod generation;
mod health;
mod job;
mod liveness;
mod memory;
mod order;
mod parting;
mod place;
mod planned;
mod record;
mod recycle;
mod report;
mod restart;
mod rolling;
mod rollout;
mod sleep;
mod state;
mod todo;
mod trial;
mod word;
mod worker;

use std::time::Duration;

pub use answers::{Answers, Record};
pub use app::App;
pub use backoff::Backoff;
pub use health::Health;
pub use job::{Job, JobAction, JobEvent, Overlap, Run, RunResult, Terms};
pub use liveness::Liveness;
pub use memory::{MemoryLimits, MemoryWatch, Pressure};
pub use order::{Order, Released};
pub use parting::{Cause, Parting};
pub use record::{AppRecord, GenerationRecord};
pub use recycle::{RecycleReason, Recycles, Recycling};
pub use report::{AppState, GenerationReport, GenerationState, Report, Restarts, WorkerReport, WorkerState};
pub use restart::{ExitCodes, OnLoop, Policy, Restart};
pub use rollout::{Decision, Rollout, Room, Share, Strategy, Wishes, decide, need_of};
pub use todo::Todo;
pub use trial::{Canary, Trial};
pub use word::Word;

use crate::id::{Generation, Serial, Slot, WorkerId};

/// How one generation of an app is started and stopped; it keeps its plan to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Workers to run; 0 counts as 1.
    pub workers: u32,
    pub timeouts: Timeouts,
    pub probing: Probing,
    pub restart: Restart,
    /// `None`: whoever serves is not asked again.
    pub liveness: Option<Liveness>,
    /// Whoever serves has to say within this time, again and again, that it is well; `None`: nobody has to.
    pub watchdog: Option<Duration>,
    pub recycling: Recycling,
    /// Workers of one generation on their way to readiness at any one time; 0 counts as 1.
    pub concurrent_starts: u32,
    /// May the successor of a worker run beside it? If not, a planned replacement ends the old one first. Whoever wants
    /// that of a whole generation stops the app and starts it again.
    pub overlaps: bool,
    pub trial: Trial,
    /// How it takes the place of the generation before it.
    pub rollout: Rollout,
    /// Before it does, somebody is asked: [`Action::Clear`].
    pub gated: bool,
}

/// How many workers an app is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// 0 counts as 1.
    pub workers: u32,
    /// What is a crash loop with so many: see [`Restart::intensity`].
    pub intensity: u32,
}

/// How long the steps in the life of a worker, and of a reload, may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start of a process to its readiness.
    pub start: Duration,
    /// From the end of new claims to the stop signal, at most.
    pub drain: Duration,
    /// From the stop signal to the kill.
    pub kill: Duration,
    /// A reload in which no worker has become ready for so long is aborted.
    pub progress: Duration,
    /// From readiness to service, at most, where a worker is warmed up in between; `None`: none is.
    pub warmup: Option<Duration>,
}

/// How a worker is found to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    pub readiness: Readiness,
    /// From the answer to one probe to the next probe.
    pub interval: Duration,
    /// The same while a worker starts: an eighth of the time that it has taken so far, and no less than this. What it takes
    /// to be ready is then noticed soon after, be it short or long.
    pub soonest: Duration,
    /// Successful probes in a row that make a worker ready when it is to replace one that serves; 0 counts as 1.
    pub successes: u32,
}

impl Probing {
    /// From a probe that failed to the next one, when a worker has been starting for so long.
    fn pause(&self, so_far: Duration) -> Duration {
        (so_far / 8).max(self.soonest).min(self.interval)
    }

    fn is_lasting(&self) -> bool {
        matches!(self.readiness, Readiness::Lasting(_))
    }
}

/// How it is known that a worker can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is asked, by [`Action::Probe`].
    Probed,
    /// It says so itself, by [`Event::Declared`]; nobody asks.
    Declared,
    /// It has run for so long, which is less than it may take to start; nobody asks, and nothing need be said.
    Lasting(Duration),
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Run the app. Ignored while it runs; while it stops, a new generation starts beside the leaving one.
    Start(Plan),
    /// Replace the running generation; answered by exactly one [`Action::Finish`]. A newer reload supersedes.
    Reload { ticket: Ticket, plan: Plan },
    /// Have another number of workers, in the generations that serve or are to. New slots are filled as any other; surplus
    /// ones are emptied, the highest first, and never so that fewer serve than are wanted. Ignored while it does not run.
    Resize(Size),
    /// Replace this worker, which serves in the running generation: once another one is ready in its slot, requests go
    /// there, and it leaves. Waits for its turn and while a reload is under way; one that is wished for already is no news.
    Recycle { serial: Serial, reason: RecycleReason },
    /// So many exchanges has this worker finished in all.
    Served { serial: Serial, exchanges: u64 },
    /// If this worker is on its way out with work in flight, it gets no more time for that.
    Hasten { serial: Serial },
    /// Let the retained generation serve again in place of the one that does; answered by exactly one [`Action::Finish`].
    GoBack { ticket: Ticket },
    /// The generation that is tried on a few is good: it takes over as soon as it can.
    Promote,
    /// What this generation answers is bad. Counts only while it is on trial; `reason` is for people.
    Condemn { generation: Generation, reason: String },
    /// The retained generation, if there is one, is not worth its memory any more.
    Discard,
    /// Nobody has asked for anything for as long as it takes; ignored unless [`App::may_doze`].
    Doze,
    /// A request waits for it. Ignored unless [`App::is_dormant`].
    Rouse,
    /// Programs wait for memory, or do not any more: while they do, a reload starts nobody beside those who are there.
    Pressure { is_short: bool },
    /// Stop all workers; answered by [`Action::Stopped`], unless a `Start` comes first.
    Stop,
    /// The process of this worker runs.
    Spawned { serial: Serial },
    /// The process of this worker could not be started.
    SpawnFailed { serial: Serial, reason: String },
    /// The answer to [`Action::Probe`].
    Probed { serial: Serial, outcome: Result<(), String> },
    /// The answer to [`Action::Check`], and how long the worker's oldest request waits for the head of its response.
    Checked { serial: Serial, outcome: Result<(), String>, oldest: Option<Duration> },
    /// The answer to [`Action::WarmUp`]: whatever could be done for it is done.
    Warmed { serial: Serial },
    /// The worker says that it can serve. Counts only where that is what its plan waits for.
    Declared { serial: Serial },
    /// The worker says something else of itself.
    Told { serial: Serial, word: Word },
    /// The process has ended and was reaped; `how` reads as in "exit code 1" or "signal 9 (SIGKILL)"; `code` is its
    /// exit code, if no signal has ended it.
    Exited { serial: Serial, how: String, code: Option<i32> },
    /// The answer to [`Action::Clear`]: why it may not take over, if it may not.
    Cleared { generation: Generation, outcome: Result<(), String> },
    /// Every proxy acts on this version or a later one.
    Published { version: Version },
    /// No proxy has an exchange in flight on this closed endpoint.
    Idle { serial: Serial },
    /// The deadline has passed.
    Wake,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process for this worker.
    Spawn { serial: Serial, worker: WorkerId },
    /// Ask the worker whether it is ready.
    Probe { serial: Serial },
    /// Warm the worker up, which is ready. Nobody waits for the answer for longer than its plan says.
    WarmUp { serial: Serial },
    /// For the records: the worker is to serve although it was not warm in time.
    Cold { serial: Serial },
    /// Ask the worker, which serves, whether it still would.
    Check { serial: Serial },
    /// Ask the worker, which is hung, to write down what it does.
    Dump { serial: Serial },
    /// Give all proxies [`App::endpoints`] and [`App::is_expected`] as they are now.
    Publish { version: Version },
    /// Ask the process to end.
    Stop { serial: Serial },
    /// End the process and its group. May be said again when the process turns out to have started after the first.
    Kill { serial: Serial },
    /// For the records: the worker is taken away with work in flight.
    Forced { serial: Serial },
    /// Find out whether this generation may take over: it is ready to. Nobody waits for the answer once its reload is over.
    Clear { generation: Generation },
    /// All proxies send requests to this generation, which has come of a reload.
    Promoted { generation: Generation },
    /// The reload with this ticket is over.
    Finish { ticket: Ticket, outcome: Outcome },
    /// The retained generation serves again; this one, which had taken over from it, leaves.
    RolledBack { generation: Generation, to: Generation, reason: String },
    /// Nothing is left of this generation.
    Retired { generation: Generation },
    /// Nothing is left of the app, as [`Event::Stop`] had asked.
    Stopped,
}

/// How a reload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The new generation serves, and every proxy knows.
    Live { generation: Generation },
    /// The new generation is given up, the old one was not touched. `reason` is for people; `worker` is whose fault
    /// it was, if it was one worker's.
    Aborted { generation: Generation, reason: String, worker: Option<Serial> },
    /// The new generation had served, and was bad: the one before it serves again. `reason` is for people, `worker` as above.
    RolledBack { generation: Generation, to: Generation, reason: String, worker: Option<Serial> },
    /// A newer reload took its place.
    Superseded,
}

/// Names one reload, so that its caller can be answered; chosen by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Counts what was published of one app; a later version replaces an earlier one entirely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One endpoint as the proxies are to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointView {
    pub serial: Serial,
    pub slot: Slot,
    pub generation: Generation,
    /// May it be claimed?
    pub open: bool,
}

#[cfg(test)]
mod tests;
