//! The worker behind the proxy, and the client in front of it, in turns on one thread.
//!
//! The worker records what it is sent and answers every request with its target, or as a case says. Since one thread plays
//! both, what the worker has been sent by the time the client has its answer is known without waiting for it.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::case::Case;
use crate::harness::SOON;
use crate::wire::reader::{self, Message, Read};

/// Where a case's own answer is asked for.
pub(super) const CASE: &str = "/case";

/// The worker.
pub(super) struct Stage {
    listener: TcpListener,
    served: Vec<Served>,
    /// What it was sent since the last [`begin`](Self::begin): requests, and what is none.
    pub(super) seen: Vec<Result<Message, String>>,
    pub(super) raw: Vec<u8>,
    script: Option<Case>,
}

/// A connection of the proxy.
struct Served {
    socket: TcpStream,
    rest: Vec<u8>,
    is_over: bool,
    /// What is written when nobody has asked for it.
    later: Option<Vec<u8>>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener, served: Vec::new(), seen: Vec::new(), raw: Vec::new(), script: None }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// From now on it is another case; `script`: how [`CASE`] is answered.
    pub(super) fn begin(&mut self, script: Option<&Case>) {
        self.seen.clear();
        self.raw.clear();
        self.script = script.cloned();
    }

    /// Waits until something happens, to the worker or to a client, and does the worker's part of it.
    pub(super) fn turn(&mut self, client: Option<BorrowedFd<'_>>, limit: Duration) {
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
        fds.extend(self.served.iter().map(|served| PollFd::new(&served.socket, PollFlags::IN)));
        fds.extend(client.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let limit = Timespec::try_from(limit).unwrap();
        // Interrupted or not: what is there is looked at.
        let _ = poll(&mut fds, Some(&limit));
        while let Ok((socket, _)) = self.listener.accept() {
            socket.set_nonblocking(true).unwrap();
            self.served.push(Served { socket, rest: Vec::new(), is_over: false, later: None });
        }
        for at in 0..self.served.len() {
            self.serve(at);
        }
        self.served.retain(|served| !served.is_over);
    }

    /// Waits until no request is half there: what is under way arrives, or breaks off.
    pub(super) fn settle(&mut self) {
        let end = Instant::now() + SOON;
        while self.served.iter().any(|served| !served.rest.is_empty()) {
            assert!(
                Instant::now() < end,
                "half a request stays: {:?}",
                self.served.iter().map(|s| reader::text_of(&s.rest)).collect::<Vec<_>>()
            );
            self.turn(None, Duration::from_millis(20));
        }
    }

    /// Writes what nobody has asked for, and waits until the proxy has closed that connection.
    pub(super) fn speak_up(&mut self) {
        let end = Instant::now() + SOON;
        let Some(at) = self.served.iter().position(|served| served.later.is_some()) else { return };
        let words = self.served[at].later.take().unwrap();
        self.served[at].write(&words);
        let port = self.served[at].socket.peer_addr().unwrap();
        while self.served.iter().any(|served| served.socket.peer_addr().is_ok_and(|peer| peer == port)) {
            assert!(Instant::now() < end, "the proxy keeps a connection on which it was spoken to unasked");
            self.turn(None, Duration::from_millis(20));
        }
    }

    fn serve(&mut self, at: usize) {
        let served = &mut self.served[at];
        let before = served.rest.len();
        read_all(&mut served.socket, &mut served.rest, &mut served.is_over);
        self.raw.extend(&served.rest[before..]);
        loop {
            let served = &mut self.served[at];
            match reader::request(&served.rest) {
                Read::Part => break,
                Read::Wrong(why) => {
                    self.seen.push(Err(why));
                    served.is_over = true;
                    break;
                }
                Read::Whole(message, length) => {
                    served.rest.drain(..length);
                    self.answer(at, &message);
                    self.seen.push(Ok(message));
                }
            }
        }
    }

    fn answer(&mut self, at: usize, message: &Message) {
        let served = &mut self.served[at];
        if let Some(case) = self.script.as_ref().filter(|_| message.target() == CASE) {
            let (words, later) = case.response();
            served.write(&words);
            served.is_over |= case.answer.close;
            served.later = later;
            return;
        }
        let body = message.target();
        let shown = if message.start.starts_with("HEAD ") { "" } else { body };
        served.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{shown}", body.len()).as_bytes());
    }
}

impl Served {
    /// Writes all of it; that the proxy has gone is seen by the next read.
    fn write(&mut self, mut bytes: &[u8]) {
        let end = Instant::now() + SOON;
        while !bytes.is_empty() && Instant::now() < end {
            match self.socket.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait_to_write(self.socket.as_fd()),
                Err(_) => return,
            }
        }
    }
}

/// Reads what is there.
pub(super) fn read_all(socket: &mut impl std::io::Read, bytes: &mut Vec<u8>, is_over: &mut bool) {
    let mut buffer = [0; 16 * 1024];
    while !*is_over {
        match socket.read(&mut buffer) {
            Ok(0) => *is_over = true,
            Ok(count) => bytes.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => *is_over = true,
        }
    }
}

pub(super) fn wait_to_write(fd: BorrowedFd<'_>) {
    let limit = Timespec::try_from(Duration::from_millis(20)).unwrap();
    let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], Some(&limit));
}
