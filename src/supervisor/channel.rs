//! Node's IPC channel to one worker: a socket pair whose other end is a descriptor of the worker.
//!
//! Says what the worker declared and carries the order to end; what either leads to is not known here. Invariants:
//! everything is read and thrown away in time, so that no app waits for us, but never faster than [`MOST_BYTES`] and
//! [`MOST_MESSAGES`] in a [`WINDOW`], so that no app keeps the loop busy; we write nothing but whole JSON lines, for any
//! other makes Node end; our end stays open for as long as the [`Channel`] lives, for an app that sends on a channel that was
//! closed on it ends too.

pub(super) mod cluster;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::event::{Event, Events};
use super::launch::Kit;
use crate::config::{self, Contract, Readiness};
use crate::id::{AppName, Serial, WorkerId};
use crate::sys::{handout, socket};
use crate::telemetry::supervisor_metrics::SupervisorMetrics;
use cluster::{Errno, Query, Said};
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use wire::Lines as AnyLines;
use wire::{Lines, Message};

/// The variables that tell Node about its end: its number, and how messages are written on it.
pub(super) const VARIABLES: [&str; 2] = ["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"];

const WINDOW: Duration = Duration::from_millis(100);

/// Read in one window, give or take one read: 40 MiB a second.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Taken in one window, give or take one read.
const MOST_MESSAGES: usize = 2000;

/// So many messages does one weigh that the loop has to hear of: 500 a second.
const WEIGHT_OF_CLUSTER: usize = 40;

/// Sockets on their way to one worker that are remembered, in case they do not arrive.
const MOST_SENT: usize = 256;

/// EMFILE: what keeps a socket from arriving.
const NOT_ARRIVED: Errno = Errno(24);

/// Bytes taken at once.
const CHUNK: usize = 16 * 1024;

/// Our end of a worker's channel; nobody reads any more once it is dropped.
#[derive(Debug)]
pub(super) struct Channel {
    line: Arc<Line>,
    is_to_be_left: AtomicBool,
    /// Ends with the channel.
    #[expect(dead_code, reason = "held for its drop")]
    reader: AbortOnDropHandle<()>,
}

/// Whose channel it is, and who is told.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) worker: WorkerId,
    pub(super) serial: Serial,
    pub(super) events: Events,
    pub(super) metrics: SupervisorMetrics,
}

impl Channel {
    /// Makes a channel for a worker that is to have one and lets it have its end; gives ours.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn offer(contract: Contract, kit: &mut Kit) -> Result<Option<OwnedFd>, String> {
        let is_in_cluster = contract.node.mode == config::NodeMode::Cluster;
        if contract.channel == config::Channel::Absent && !is_in_cluster {
            return Ok(None);
        }
        let (ours, theirs) = socket::pair().map_err(|error| format!("make a channel: {error}"))?;
        let number = kit.place(theirs);
        for (name, value) in VARIABLES.into_iter().zip([number.to_string(), "json".to_owned()]) {
            kit.set(name, value);
        }
        Ok(Some(ours))
    }

    /// Takes our end and reads it until the worker closes its own, or the channel is dropped.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn open(end: OwnedFd, subject: Subject, tasks: &TaskTracker) -> Result<Self, String> {
        let stream = stream(end).map_err(|error| format!("open a channel: {error}"))?;
        let line = Arc::new(Line { stream, is_mute: AtomicBool::new(false), sent: Mutex::default() });
        let reader = Reader {
            line: Arc::clone(&line),
            subject,
            lines: Lines::default(),
            window: Window::new(Instant::now()),
            has_declared: false,
            has_complained: false,
        };
        Ok(Self {
            line,
            is_to_be_left: AtomicBool::new(false),
            reader: AbortOnDropHandle::new(tasks.spawn(reader.run())),
        })
    }

    /// Sends the message that asks a PM2 app to end; false when nobody can get it.
    pub(super) fn shut_down(&self) -> bool {
        self.line.say(wire::SHUTDOWN)
    }

    /// Asks a worker of a cluster to finish and to leave the channel; false when nobody can get it.
    pub(super) fn disconnect(&self) -> bool {
        self.is_to_be_left.store(true, Ordering::Relaxed);
        self.line.say(cluster::DISCONNECT)
    }

    /// Was it asked to leave?
    pub(super) fn is_to_be_left(&self) -> bool {
        self.is_to_be_left.load(Ordering::Relaxed)
    }

    /// Answers a worker of a cluster; false when nobody can get it.
    pub(super) fn answer(&self, text: &[u8]) -> bool {
        self.line.say(text)
    }

    /// Gives a worker of a cluster the socket that it asked for; false when nobody can get it.
    pub(super) fn grant(&self, query: &Query, key: u64, socket: &OwnedFd) -> bool {
        let text = query.grant(key);
        let send =
            |stream: &UnixStream| stream.try_io(Interest::WRITABLE, || handout::send(stream, &text, socket.as_fd()));
        let is_sent = self.line.write(text.len(), send);
        if is_sent {
            let mut way = self.line.sent();
            way.push_back(Sent { key, refusal: query.refuse(key, NOT_ARRIVED) });
            let surplus = way.len().saturating_sub(MOST_SENT);
            way.drain(..surplus);
        }
        is_sent
    }
}

fn stream(end: OwnedFd) -> io::Result<UnixStream> {
    let socket = Socket::from(end);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// The socket, and whether it may still be written to.
#[derive(Debug)]
struct Line {
    stream: UnixStream,
    /// Half a line was written, or the other end is gone.
    is_mute: AtomicBool,
    /// Sockets on their way, oldest first.
    sent: Mutex<VecDeque<Sent>>,
}

/// A socket that the worker has not said to have.
#[derive(Debug)]
struct Sent {
    key: u64,
    /// What it is told if it has not arrived.
    refusal: Vec<u8>,
}

impl Line {
    /// Writes a whole line at once or not at all: who does not read does not get it, and nobody waits.
    fn say(&self, text: &[u8]) -> bool {
        self.write(text.len(), |stream| stream.try_write(text))
    }

    fn write(&self, length: usize, attempt: impl FnOnce(&UnixStream) -> io::Result<usize>) -> bool {
        if self.is_mute.load(Ordering::Relaxed) {
            return false;
        }
        match attempt(&self.stream) {
            Ok(written) if written == length => return true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => self.hang_up(),
        }
        false
    }

    fn sent(&self) -> MutexGuard<'_, VecDeque<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang_up(&self) {
        self.is_mute.store(true, Ordering::Relaxed);
    }

    /// Bytes from the worker; 0 at the end. Cancellation safe.
    async fn hear(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                heard => return heard,
            }
        }
    }
}

/// The task that reads.
struct Reader {
    line: Arc<Line>,
    subject: Subject,
    lines: Lines,
    window: Window,
    has_declared: bool,
    has_complained: bool,
}

impl Reader {
    async fn run(mut self) {
        let mut buffer = vec![0; CHUNK];
        // A reset is an end like any other.
        while let Ok(length @ 1..) = self.line.hear(&mut buffer).await {
            let messages = self.lines.feed(&buffer[..length]);
            let weight = messages.iter().map(weight).sum();
            let resume = self.window.spend(length, weight, Instant::now());
            for message in messages {
                self.heed(message).await;
            }
            if let Some(resume) = resume {
                tokio::time::sleep_until(resume).await;
            }
        }
        self.line.hang_up();
        if self.lines.is_within_a_line() {
            self.complain("garbage");
        }
        let (app, serial) = (self.subject.app().clone(), self.subject.serial);
        let _ = self.subject.events.send(Event::LeftChannel { app, serial }).await;
    }

    async fn heed(&mut self, message: Message) {
        match message {
            // Once is enough: a flood of it is not passed on.
            Message::Ready if !self.has_declared => {
                self.has_declared = true;
                let (app, serial) = (self.subject.app().clone(), self.subject.serial);
                let _ = self.subject.events.send(Event::Declared { app, serial, by: Readiness::Ipc }).await;
            }
            Message::Ready | Message::Other => {}
            Message::Taken => drop(self.line.sent().pop_front()),
            Message::NotTaken => self.take_back().await,
            Message::Cluster(said) => self.pass_on(said).await,
            // A plain read leaves the handle itself to the kernel, which closes it.
            Message::Handle => drop(self.line.say(wire::HANDLE_REFUSED)),
            Message::Garbage => self.complain("garbage"),
            Message::TooLong => self.complain("too_long"),
        }
    }

    /// A socket of ours was lost on its way: the worker is told, and has it no longer.
    async fn take_back(&mut self) {
        let lost = self.line.sent().pop_front();
        if let Some(Sent { key, refusal }) = lost {
            self.line.say(&refusal);
            self.complain("handle_lost");
            self.pass_on(Said::Close { key }).await;
        }
    }

    async fn pass_on(&self, said: Said) {
        let (app, serial) = (self.subject.app().clone(), self.subject.serial);
        let _ = self.subject.events.send(Event::Cluster { app, serial, said }).await;
    }

    /// Counts every fault and logs the first.
    fn complain(&mut self, kind: &'static str) {
        let Subject { worker, metrics, .. } = &self.subject;
        metrics.channel_fault(&worker.app, kind);
        if !self.has_complained {
            self.has_complained = true;
            tracing::warn!(%worker, kind, "a worker's channel carries what is no message; from now on this is only counted");
        }
    }
}

impl Subject {
    fn app(&self) -> &AppName {
        &self.worker.app
    }
}

/// How much of a window a message takes: what is passed on takes time of the loop.
fn weight(message: &Message) -> usize {
    if matches!(message, Message::Cluster(_)) { WEIGHT_OF_CLUSTER } else { 1 }
}

/// What may still be read before a pause.
#[derive(Debug)]
struct Window {
    began: Instant,
    bytes: usize,
    messages: usize,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { began: now, bytes: 0, messages: 0 }
    }

    /// Books what was read; gives the time before which no more is to be, if that was enough.
    fn spend(&mut self, bytes: usize, messages: usize, now: Instant) -> Option<Instant> {
        if now >= self.began + WINDOW {
            *self = Self::new(now);
        }
        self.bytes += bytes;
        self.messages += messages;
        (self.bytes >= MOST_BYTES || self.messages >= MOST_MESSAGES).then(|| self.began + WINDOW)
    }
}

#[cfg(test)]
mod tests;
