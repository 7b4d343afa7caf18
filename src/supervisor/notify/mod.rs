//! What one worker tells on the socket of its own, as services tell systemd (`NOTIFY_SOCKET`).
//!
//! Hears and passes on; what a word leads to is not known here. Invariants: nobody is heard but the worker, its
//! descendants, and who is in its process group or session; no more than [`MOST_MESSAGES`] are read in a [`WINDOW`], so
//! that no worker keeps the loop busy: who says more than that waits, or is not heard.

mod wire;

use std::io;
use std::os::unix::net::UnixDatagram as Socket;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::channel::Subject;
use super::event::Event;
use super::launch::Kit;
use crate::config::{Contract, Readiness};
use crate::sys::notify_socket::{self, Datagram};
use crate::sys::socket_folder::SocketFolder;
use wire::Word;

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
struct Status(Arc<Mutex<String>>);

impl Notify {
    /// Makes a socket for a worker that is to have one, in its folder, and tells the worker where it is.
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
        Some(self.status.get()).filter(|status| !status.is_empty())
    }
}

impl Status {
    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
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
        for word in wire::read(&buffer[..datagram.length]) {
            self.heed(word).await;
        }
    }

    async fn heed(&mut self, word: Word) {
        match word {
            // Once is enough.
            Word::Ready if !self.has_declared => {
                self.has_declared = true;
                let Subject { worker, serial, events, .. } = &self.subject;
                let (app, serial, by) = (worker.app.clone(), *serial, Readiness::Notify);
                let _ = events.send(Event::Declared { app, serial, by }).await;
            }
            Word::Ready => {}
            Word::Status(text) => self.status.set(text),
            Word::Garbage => self.complain("garbage"),
        }
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

fn receive(socket: &UnixDatagram, buffer: &mut [u8]) -> io::Result<Datagram> {
    notify_socket::receive(socket, buffer)
}

#[cfg(test)]
mod tests;
