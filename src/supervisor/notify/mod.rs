//! What one worker tells on the socket of its own, as services tell systemd (`NOTIFY_SOCKET`).
//!
//! Hears and passes on; what a word leads to is not known here. Invariants: nobody is heard but the worker, its
//! descendants, and who is in its process group or session; no more than [`MOST_MESSAGES`] are read in a [`WINDOW`], so
//! that no worker keeps the loop busy: who says more than that waits, or is not heard.

mod wire;

use std::collections::HashSet;
use std::io;
use std::mem;
use std::os::unix::net::UnixDatagram as Socket;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::Supervisor;
use super::channel::Subject;
use super::event::Event;
use super::launch::Kit;
use super::site::Site;
use crate::config::{Contract, Readiness};
use crate::id::{AppName, Serial};
use crate::lifecycle;
use crate::sys::notify_socket::{self, Datagram};
use crate::sys::socket_folder::SocketFolder;
use wire::Word;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use wire::{Word as AnyWord, read as read_any};

/// The socket's name in the worker's folder.
const SOCKET: &str = "notify";

/// Bytes of a message; longer ones are not heard. The service manager takes as many.
const LONGEST_MESSAGE: usize = 4096;

const WINDOW: Duration = Duration::from_millis(100);

/// Read in one window.
const MOST_MESSAGES: u32 = 100;

/// Our end of a worker's socket; nobody is heard any more once it is dropped.
#[derive(Debug)]
pub(super) struct Notify {
    status: Status,
    /// Ends with it.
    #[expect(dead_code, reason = "held for its drop")]
    reader: AbortOnDropHandle<()>,
}

/// What a worker says of itself, for people.
#[derive(Clone, Debug, Default)]
struct Status(Arc<Mutex<Report>>);

#[derive(Clone, Debug, Default)]
struct Report {
    text: String,
    phase: Option<Phase>,
}

/// What it is at besides serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until it is ready again.
    Reloading,
    Stopping,
}

impl Report {
    fn told(&self) -> Option<String> {
        let phase = self.phase.map(|phase| match phase {
            Phase::Reloading => "reloading",
            Phase::Stopping => "stopping",
        });
        match (phase, self.text.as_str()) {
            (None, "") => None,
            (None, text) => Some(text.to_owned()),
            (Some(phase), "") => Some(phase.to_owned()),
            (Some(phase), text) => Some(format!("{phase}: {text}")),
        }
    }
}

impl Notify {
    /// Makes a socket for a worker that is to have one, in its folder, and tells the worker where it is, and how often it has
    /// to say that it is well.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn offer(
        contract: Contract,
        folder: Option<&SocketFolder>,
        kit: &mut Kit,
    ) -> Result<Option<Socket>, String> {
        let Some(folder) = folder.filter(|_| contract.notify) else { return Ok(None) };
        let failed = |error: io::Error| format!("make a socket for what the worker tells: {error}");
        let path = folder.socket(SOCKET).map_err(failed)?;
        let socket = notify_socket::bind(&path).map_err(failed)?;
        folder.open_up(SOCKET).map_err(failed)?;
        kit.set("NOTIFY_SOCKET", path);
        if let Some(period) = contract.watchdog {
            kit.set("WATCHDOG_USEC", period.as_micros().to_string());
            kit.set_to_pid("WATCHDOG_PID");
        }
        Ok(Some(socket))
    }

    /// Hears what comes from the program that was started as `leader`, until dropped.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn open(socket: Socket, leader: u32, subject: Subject, tasks: &TaskTracker) -> Result<Self, String> {
        let socket = UnixDatagram::from_std(socket).map_err(|error| format!("hear what the worker tells: {error}"))?;
        let status = Status::default();
        let reader = Reader { leader, subject, status: status.clone(), has_declared: false, has_complained: false };
        Ok(Self { status, reader: AbortOnDropHandle::new(tasks.spawn(reader.run(socket))) })
    }

    /// What it said last of itself, if anything.
    pub(super) fn status(&self) -> Option<String> {
        self.status.get().told()
    }

    /// Has it said that it stops?
    pub(super) fn is_leaving(&self) -> bool {
        self.status.get().phase == Some(Phase::Stopping)
    }
}

impl Status {
    fn get(&self) -> Report {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever stops comes back to nothing else.
    fn enter(&self, phase: Option<Phase>) {
        let mut report = self.lock();
        if report.phase != Some(Phase::Stopping) {
            report.phase = phase;
        }
    }
}

/// The task that hears.
struct Reader {
    leader: u32,
    subject: Subject,
    status: Status,
    has_declared: bool,
    has_complained: bool,
}

impl Reader {
    async fn run(mut self, socket: UnixDatagram) {
        let mut buffer = vec![0; LONGEST_MESSAGE];
        let mut window = (Instant::now(), 0);
        // A datagram socket has no end; an error is one.
        while let Ok(datagram) = socket.async_io(Interest::READABLE, || receive(&socket, &mut buffer)).await {
            self.take(datagram, &buffer).await;
            if window.0.elapsed() >= WINDOW {
                window = (Instant::now(), 0);
            }
            window.1 += 1;
            if window.1 >= MOST_MESSAGES {
                tokio::time::sleep_until(window.0 + WINDOW).await;
            }
        }
    }

    async fn take(&mut self, datagram: Datagram, buffer: &[u8]) {
        if !datagram.sender.is_some_and(|sender| notify_socket::belongs(sender, self.leader)) {
            return self.complain("stranger");
        }
        if datagram.is_cut {
            return self.complain("too_long");
        }
        let mut heard = HashSet::new();
        for word in wire::read(&buffer[..datagram.length]) {
            // A word counts once in a message.
            if heard.insert(mem::discriminant(&word)) {
                self.heed(word).await;
            }
        }
    }

    async fn heed(&mut self, word: Word) {
        match word {
            // Once is enough.
            Word::Ready if !self.has_declared => {
                self.has_declared = true;
                self.status.enter(None);
                let Subject { worker, serial, events, .. } = &self.subject;
                let (app, serial, by) = (worker.app.clone(), *serial, Readiness::Notify);
                let _ = events.send(Event::Declared { app, serial, by }).await;
            }
            Word::Ready => self.status.enter(None),
            Word::Reloading => self.status.enter(Some(Phase::Reloading)),
            Word::Stopping => {
                self.status.enter(Some(Phase::Stopping));
                self.pass_on(lifecycle::Word::Leaves).await;
            }
            Word::Status(text) => self.status.lock().text = text,
            Word::Well => self.pass_on(lifecycle::Word::Well).await,
            Word::Ill => self.pass_on(lifecycle::Word::Ill).await,
            Word::Watchdog(period) => self.pass_on(lifecycle::Word::Watchdog(period)).await,
            Word::Extend(time) => self.pass_on(lifecycle::Word::Extend(time)).await,
            Word::Garbage => self.complain("garbage"),
        }
    }

    async fn pass_on(&self, word: lifecycle::Word) {
        let Subject { worker, serial, events, .. } = &self.subject;
        let _ = events.send(Event::Told { app: worker.app.clone(), serial: *serial, word }).await;
    }

    /// Counts every fault and logs the first.
    fn complain(&mut self, kind: &'static str) {
        let Subject { worker, metrics, .. } = &self.subject;
        metrics.notify_fault(&worker.app, kind);
        if !self.has_complained {
            self.has_complained = true;
            tracing::warn!(%worker, kind, "what came on a worker's notify socket is not heard; from now on this is only counted");
        }
    }
}

impl Supervisor {
    /// Takes in what a worker says of itself.
    pub(super) fn told(&mut self, app: AppName, serial: Serial, word: lifecycle::Word) {
        let Some(Site::Supervised(site)) = self.sites.get(&app) else { return };
        let Some(worker) = site.workers.get(&serial) else { return };
        if word == lifecycle::Word::Leaves {
            tracing::info!(worker = %worker.id, pid = worker.process.pid(), "worker says that it stops");
        }
        self.machines.queue.push_back((app, lifecycle::Event::Told { serial, word }));
    }
}

fn receive(socket: &UnixDatagram, buffer: &mut [u8]) -> io::Result<Datagram> {
    notify_socket::receive(socket, buffer)
}

#[cfg(test)]
mod tests;
