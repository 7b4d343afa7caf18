//! Starting one worker: where it listens, what else it is given, its process, and the tasks that watch it.
//!
//! One story, [`Starter::start`], each step in a file of its own; what a step hands to the worker it lays into the
//! [`Kit`]. Says what happened and decides nothing. Invariant: what the steps made before one failed is undone by being
//! dropped.

mod adopt;
mod berth;
mod bounds;
mod environment;
mod hook;
mod kit;
mod node;
mod sockets;
mod starting_line;
mod streams;

use std::ffi::OsString;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::TaskTracker;

use super::channel::{Channel, Subject};
use super::clock;
use super::effects::{Birth, Effects};
use super::event::{Event, Events};
use super::lookout::Lookout;
use super::notify::Notify;
use super::output::{Feed, Files, HalfLines, Halt, Outlet, Sink, Sweeper, Tail, history};
use super::process::Process;
use super::release::Resolved;
use super::workers::{Ends, StopOrder, Worker, signal};
use crate::config::{Command, OnDeath, Server};
use crate::id::{AppName, Serial, WorkerId};
use crate::sys::cgroup::Realm;
use crate::sys::spawn::{self, Bounds, Child, Exit, Signal, Spawn, Stdio};
use crate::telemetry::supervisor_metrics::SupervisorMetrics;
use environment::Sources;
use streams::{Reading, Streams};

pub(super) use adopt::Found;
pub(super) use berth::Berth;
pub(super) use bounds::{MARK, limit, mark};
pub(super) use kit::Kit;
pub(super) use node::Preload;
pub(super) use sockets::Sockets;
pub(super) use starting_line::StartingLine;

/// How long after its end a worker's output is still read before the end is told; a grandchild may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// What every start needs.
#[derive(Debug)]
pub(super) struct Starter {
    /// What carries it out.
    pub(super) effects: Box<dyn Effects>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) events: Events,
    pub(super) metrics: SupervisorMetrics,
    pub(super) sink: Sink,
    pub(super) feed: Feed,
    pub(super) tasks: TaskTracker,
    pub(super) logs: Logs,
    pub(super) preload: Preload,
    pub(super) sockets: Sockets,
    /// Where workers get control groups of their own.
    pub(super) realm: Option<Realm>,
    /// The process ID of the first supervisor of those that took over from each other.
    pub(super) line: u32,
}

impl Starter {
    /// Starts a worker of the given release.
    ///
    /// # Errors
    /// A sentence that names the step that failed.
    pub(super) fn start(&self, newcomer: Birth<'_>) -> Result<Worker, String> {
        let Birth { serial, id, release, files } = newcomer;
        let app = Arc::clone(&release.app);
        let Server::Command(command) = &app.server else {
            return Err("the app has no command".to_owned());
        };
        let resolved = release.resolve(command, &self.environment)?.clone();
        if command.output.has_files() && files.is_none() {
            *files = Some(self.logs.open(&id.app)?);
            self.remember(&id.app, command);
        }
        let mut kit = Kit::default();
        let contract = command.contract;
        let folder = self.sockets.folder(serial, contract, resolved.identity.as_ref())?;
        let notify = Notify::offer(contract, folder.as_ref(), &mut kit)?;
        let berth = Berth::take(contract, folder, &mut kit)?;
        let line = StartingLine::offer(contract, &mut kit)?;
        let channel = Channel::offer(contract, &mut kit)?;
        self.preload.equip(contract.node, serial, &mut kit)?;
        let (streams, [stdout, stderr]) = Streams::open()?;
        let copies = copies(&streams, channel.as_ref(), notify.as_ref(), line.as_ref())
            .map_err(|error| format!("copy a descriptor: {error}"))?;
        kit.bounds = bounds::of(&command.bounds, (self.realm.as_ref(), self.line), serial, &id, &mut kit);
        let program = self.program(command, resolved, &id, kit)?;
        let child = spawn::spawn(Spawn { stdout: Stdio::Fd(stdout), stderr: Stdio::Fd(stderr), ..program })
            .map_err(|error| error.to_string())?;
        let subject =
            || Subject { worker: id.clone(), serial, events: self.events.clone(), metrics: self.metrics.clone() };
        let tail = Tail::default();
        let reading = self.reading((&id, serial), command, &tail, files.as_ref());
        let readers = streams.read(reading, &self.tasks);
        let channel = channel.map(|end| Channel::open(end, subject(), &self.tasks)).transpose()?;
        let notify = notify.map(|end| Notify::open(end, child.pid(), subject(), &self.tasks)).transpose()?;
        let starting_line =
            line.map(|end| StartingLine::open(end, contract.ready, child.pid(), subject(), &self.tasks)).transpose()?;
        let tree = child.tree().clone();
        let process = self.watch(child, subject(), readers);
        let lookout = Lookout::post(&tree, berth.address().as_ref(), subject(), command.timeouts.start);
        let (stop, started, started_at) = (StopOrder::of(command), clock::now(), Timestamp::now());
        Ok(Worker {
            id,
            process,
            tree,
            tail,
            stop,
            channel,
            notify,
            ends: Ends { starting_line, copies },
            started,
            started_at,
            berth,
            lookout,
        })
    }

    /// Where its lines go.
    fn reading<'a>(
        &'a self,
        (worker, serial): (&'a WorkerId, Serial),
        command: &'a Command,
        tail: &'a Tail,
        files: Option<&'a Files>,
    ) -> Reading<'a> {
        let sink = command.output.stdout.then(|| self.sink.clone());
        let (halt, half_lines) = (&self.logs.halt, HalfLines::default());
        Reading { worker, serial, halt, half_lines, output: &command.output, tail, feed: &self.feed, sink, files }
    }

    /// What is executed, as whom, where, and with what.
    fn program(&self, command: &Command, resolved: Resolved, id: &WorkerId, kit: Kit) -> Result<Spawn, String> {
        let sources = Sources {
            inherited: &self.environment,
            environment: &command.environment,
            values: &resolved.values,
            identity: resolved.identity.as_ref(),
        };
        Ok(Spawn {
            args: kit.fill(resolved.args),
            env: environment::of(&sources, id, kit.variables)?,
            directory: Some(resolved.directory),
            identity: resolved.identity,
            pid_variables: kit.pid_variables,
            descriptors: kit.descriptors,
            no_new_privs: command.bounds.no_new_privs,
            bounds: Bounds { death_signal: death_signal(command), ..kit.bounds },
            ..Spawn::new(resolved.program)
        })
    }

    /// Waits for its end, and a while for the readers of its output, then tells of it.
    fn watch(&self, child: Child, subject: Subject, readers: TaskTracker) -> Process {
        Process::watch(child, &self.tasks, async move |exit: Exit| {
            // A limit that passes is no loss: the readers go on, only the message about the end is shorter.
            let _ = tokio::time::timeout(LAST_WORDS, readers.wait()).await;
            let Subject { worker, serial, events, .. } = subject;
            let _ = events.send(Event::Exited { app: worker.app, serial, exit }).await;
        })
    }

    /// Lets those who ask for the last lines of an app have those that are in its files already.
    fn remember(&self, app: &AppName, command: &Command) {
        let (app, feed, output) = (app.clone(), self.feed.clone(), command.output.clone());
        let workers = command.workers.map_or(1, NonZeroU32::get);
        self.tasks.spawn_blocking(move || feed.remember(&app, history(&output, workers)));
    }
}

/// What a worker gets that is not to outlive us.
fn death_signal(command: &Command) -> Option<Signal> {
    (command.bounds.on_supervisor_death == OnDeath::Stop).then(|| signal(command.contract.stop_signal))
}

/// Copies of our ends, by what they are.
fn copies(
    streams: &Streams,
    channel: Option<&OwnedFd>,
    notify: Option<&UnixDatagram>,
    line: Option<&OwnedFd>,
) -> io::Result<Vec<(&'static str, OwnedFd)>> {
    let mut copies: Vec<_> = streams::NAMES.into_iter().zip(streams.copies()?).collect();
    let notify = notify.map(|socket| ("notify", socket.as_fd()));
    let others = channel.map(|end| ("channel", end.as_fd())).into_iter().chain(notify);
    for (name, end) in others.chain(line.map(|end| ("ready", end.as_fd()))) {
        copies.push((name, end.try_clone_to_owned()?));
    }
    Ok(copies)
}

/// What the log files of every app need.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) metrics: SupervisorMetrics,
    pub(super) sweeper: Sweeper,
    /// Those who write.
    pub(super) writers: TaskTracker,
    /// Ends all reading.
    pub(super) halt: Halt,
}

impl Logs {
    /// # Errors
    /// A sentence, when no thread can be started.
    fn open(&self, app: &AppName) -> Result<Files, String> {
        let failed = self.metrics.log_failed(app);
        let outlet = Outlet { failed, sweeper: self.sweeper.clone(), _token: self.writers.token() };
        Files::open(app.clone(), outlet).map_err(|error| format!("start a thread for the log files: {error}"))
    }
}
