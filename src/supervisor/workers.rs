//! Starting one worker: a port of its own, its environment, its output, and the task that waits for it.
//!
//! Says what happened and decides nothing. Invariant: a worker's port stays reserved for as long as its [`Worker`] lives.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::task::TaskTracker;

use super::channel::{self, Channel, Subject};
use super::event::{Event, Events};
use super::output::{Capture, Files, Outlet, Sink, Stream, Sweeper, Tail};
use super::process::Process;
use super::release::{self, Release};
use crate::config::{self, Command, Server, StopSignal};
use crate::id::{Address, AppName, Serial, WorkerId};
use crate::sys::listener::{self, Reservation};
use crate::sys::socket;
use crate::sys::spawn::{self, Exit, Signal, Spawn, Stdio};
use crate::telemetry::supervisor_metrics::SupervisorMetrics;

/// How long after its end a worker's output is still read before the end is told; a grandchild may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// A running worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) process: Process,
    pub(super) tail: Tail,
    pub(super) stop: StopOrder,
    channel: Option<Channel>,
    pub(super) started: Instant,
    /// As the clock on the wall has it.
    pub(super) started_at: Timestamp,
    pub(super) port: Reservation,
}

impl Worker {
    pub(super) fn address(&self) -> Address {
        Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.port())))
    }

    /// Asks it to end: by the message that PM2 sends where that can be, and by the signal if the message has not helped
    /// when half of the time is over. An app may know only one of the two, and there is no telling which; both at once
    /// would cut short what an app without a signal handler does upon the message.
    pub(super) fn stop(&self) {
        let StopOrder { signal, kill_timeout } = self.stop;
        if self.channel.as_ref().is_some_and(Channel::shut_down) {
            self.process.signal_in(kill_timeout / 2, signal);
        } else {
            self.process.signal(signal);
        }
    }
}

/// How a worker is asked to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct StopOrder {
    signal: Signal,
    /// From the order to the kill.
    kill_timeout: Duration,
}

impl StopOrder {
    fn of(command: &Command) -> Self {
        let signal = match command.stop_signal {
            StopSignal::Term => Signal::Term,
            StopSignal::Int => Signal::Int,
            StopSignal::Quit => Signal::Quit,
            StopSignal::Hup => Signal::Hup,
            StopSignal::Usr1 => Signal::Usr1,
            StopSignal::Usr2 => Signal::Usr2,
        };
        Self { signal, kill_timeout: command.timeouts.kill }
    }
}

/// What every start needs.
#[derive(Debug)]
pub(super) struct Starter {
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) events: Events,
    pub(super) metrics: SupervisorMetrics,
    pub(super) sink: Sink,
    pub(super) tasks: TaskTracker,
    pub(super) logs: Logs,
}

/// What the log files of every app need.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) metrics: SupervisorMetrics,
    pub(super) sweeper: Sweeper,
    /// Those who write.
    pub(super) writers: TaskTracker,
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

impl Starter {
    /// Starts a worker of the given release. `files` are those of its app, opened with the first worker that has any.
    ///
    /// # Errors
    /// A sentence that names the step that failed.
    pub(super) fn start(
        &self,
        serial: Serial,
        id: WorkerId,
        release: &mut Release,
        files: &mut Option<Files>,
    ) -> Result<Worker, String> {
        let app = Arc::clone(&release.app);
        let Server::Command(command) = &app.server else {
            return Err("the app has no command".to_owned());
        };
        let path = self.variable("PATH").unwrap_or_default();
        let resolved = release.resolve(command, &path)?.clone();
        let port = listener::reserve_port().map_err(|error| format!("reserve a loopback port: {error}"))?;
        let [stdout, stderr] = [pipe()?, pipe()?];
        if command.output.has_files() && files.is_none() {
            *files = Some(self.logs.open(&id.app)?);
        }
        let (ours, theirs) =
            if command.channel == config::Channel::Absent { None } else { Some(channel::pair()?) }.unzip();
        let child = spawn::spawn(Spawn {
            program: resolved.program,
            args: resolved.args,
            env: release::environment(&self.environment, command, &id, port.port(), resolved.identity.as_ref()),
            directory: Some(resolved.directory),
            identity: resolved.identity,
            stdin: Stdio::Null,
            stdout: Stdio::Fd(stdout.1),
            stderr: Stdio::Fd(stderr.1),
            descriptors: theirs.map(|end| (end, channel::DESCRIPTOR)).into_iter().collect(),
            no_new_privs: false,
        })
        .map_err(|error| error.to_string())?;
        let tail = Tail::default();
        let readers = TaskTracker::new();
        for (stream, source) in [(Stream::Stdout, stdout.0), (Stream::Stderr, stderr.0)] {
            let capture = Capture {
                worker: id.clone(),
                stream,
                tail: tail.clone(),
                sink: command.output.stdout.then(|| self.sink.clone()),
                page: files.as_ref().and_then(|files| files.page(&command.output, stream, id.slot)),
            };
            readers.spawn(self.tasks.track_future(capture.run(source)));
        }
        readers.close();
        let subject =
            || Subject { worker: id.clone(), serial, events: self.events.clone(), metrics: self.metrics.clone() };
        let channel = ours.map(|end| Channel::open(end, subject(), &self.tasks)).transpose()?;
        let (app, events) = (id.app.clone(), self.events.clone());
        let process = Process::watch(child, &self.tasks, async move |exit: Exit| {
            // A limit that passes is no loss: the readers go on, only the message about the end is shorter.
            let _ = tokio::time::timeout(LAST_WORDS, readers.wait()).await;
            let _ = events.send(Event::Exited { app, serial, exit }).await;
        });
        let (stop, started, started_at) = (StopOrder::of(command), Instant::now(), Timestamp::now());
        Ok(Worker { id, process, tail, stop, channel, started, started_at, port })
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        self.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

/// A pipe: its read end, its write end.
fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    socket::pipe().map_err(|error| format!("make a pipe for the worker's output: {error}"))
}
