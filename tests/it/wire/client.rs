//! Clients that write what a case says, then ask on where they may, and tell what they have heard.

use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::stage::{CASE, Stage, read_all, wait_to_write};
use crate::harness::SOON;
use crate::wire::frames::{self, Heard};
use crate::wire::reader::{self, Asked, Message, Read};

/// What is asked behind every case: if the proxy and its worker disagree on where the case has ended, this shows it.
pub(super) const END: &str = "/end";

/// What a client has heard.
#[derive(Debug, Default)]
pub(super) struct Heard1 {
    pub(super) answers: Vec<Message>,
    /// The connection was closed before what was asked behind the case was answered.
    pub(super) is_closed: bool,
    /// What was heard is no answer.
    pub(super) wrong: Option<String>,
    pub(super) raw: Vec<u8>,
}

struct Client<S> {
    io: S,
    fresh: Vec<u8>,
    is_over: bool,
}

trait Io: std::io::Read + std::io::Write {
    fn socket(&self) -> BorrowedFd<'_>;
}

impl Io for TcpStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Io for StreamOwned<ClientConnection, TcpStream> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.sock.as_fd()
    }
}

/// Writes a case on an HTTP/1.1 connection, and reads so many answers.
pub(super) fn http1(stage: &mut Stage, address: SocketAddr, bytes: &[u8], count: usize, hangs_up: bool) -> Heard1 {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut client = Client { io: socket, fresh: Vec::new(), is_over: false };
    client.write(stage, bytes);
    if hangs_up {
        // The proxy may have closed already.
        let _ = client.io.shutdown(Shutdown::Write);
    }
    let mut heard = Heard1::default();
    let is_head = bytes.starts_with(b"HEAD ");
    client.read_answers(stage, count, is_head, &mut heard);
    stage.speak_up();
    if !client.is_over && !hangs_up && heard.wrong.is_none() {
        client.write(stage, format!("GET {END} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes());
        client.read_answers(stage, count + 1, is_head, &mut heard);
    }
    heard.is_closed = heard.answers.len() <= count;
    heard
}

/// Asks for the answer of a case.
pub(super) fn http1_case(stage: &mut Stage, address: SocketAddr, method: &str) -> Heard1 {
    let bytes = format!("{method} {CASE} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http1(stage, address, bytes.as_bytes(), 1, false)
}

/// Writes frames on an HTTP/2 connection, hears what comes of stream 1, and asks behind it on stream `0x101`.
pub(super) fn http2(stage: &mut Stage, address: SocketAddr, config: &Arc<ClientConfig>, bytes: &[u8]) -> Heard {
    let name = ServerName::try_from("localhost").unwrap();
    let mut io = StreamOwned::new(
        ClientConnection::new(Arc::clone(config), name).unwrap(),
        TcpStream::connect(address).unwrap(),
    );
    while io.conn.is_handshaking() {
        io.conn.complete_io(&mut io.sock).unwrap();
    }
    io.sock.set_nonblocking(true).unwrap();
    let mut client = Client { io, fresh: Vec::new(), is_over: false };
    let mut heard = Heard::default();
    client.write(stage, &[&frames::hello(), bytes].concat());
    client.hear(stage, 1, &mut heard);
    stage.speak_up();
    if !client.is_over && heard.goaway.is_none() {
        let end = frames::block(&frames::plain("GET", END));
        client.write(stage, &frames::head(BEHIND, frames::END_STREAM, &end));
        client.hear(stage, BEHIND, &mut heard);
    }
    heard
}

/// The stream on which [`END`] is asked for.
pub(super) const BEHIND: u32 = 0x101;

impl<S: Io> Client<S> {
    /// Writes all of it, unless the proxy closes before.
    fn write(&mut self, stage: &mut Stage, mut bytes: &[u8]) {
        let end = Instant::now() + SOON;
        while !bytes.is_empty() && !self.is_over {
            assert!(Instant::now() < end, "the proxy reads no more");
            match self.io.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait_to_write(self.io.socket());
                    stage.turn(None, Duration::ZERO);
                }
                Err(_) => return,
            }
        }
        // TLS keeps what the socket would not take; what cannot be sent is seen by the next read.
        let _ = self.io.flush();
    }

    /// Lets things go on until something has come.
    fn listen(&mut self, stage: &mut Stage) {
        stage.turn(Some(self.io.socket()), Duration::from_millis(20));
        read_all(&mut self.io, &mut self.fresh, &mut self.is_over);
    }

    fn read_answers(&mut self, stage: &mut Stage, count: usize, is_head: bool, heard: &mut Heard1) {
        let end = Instant::now() + SOON;
        while heard.answers.len() < count {
            let asked = Asked { is_head: is_head && heard.answers.is_empty(), is_over: self.is_over };
            match reader::response(&self.fresh, asked) {
                Read::Whole(message, length) => {
                    heard.raw.extend(self.fresh.drain(..length));
                    let is_interim = matches!(message.status(), 100 | 102..=199);
                    heard.answers.extend((!is_interim).then_some(message));
                }
                Read::Wrong(why) => {
                    heard.wrong = Some(why);
                    return;
                }
                Read::Part if self.is_over => {
                    heard.raw.append(&mut self.fresh);
                    return;
                }
                Read::Part => {
                    assert!(Instant::now() < end, "no answer comes");
                    self.listen(stage);
                }
            }
        }
    }

    fn hear(&mut self, stage: &mut Stage, stream: u32, heard: &mut Heard) {
        let end = Instant::now() + SOON;
        loop {
            heard.feed(&std::mem::take(&mut self.fresh));
            let replies = std::mem::take(&mut heard.replies);
            self.write(stage, &replies);
            if heard.is_done(stream) || self.is_over {
                return;
            }
            assert!(Instant::now() < end, "no answer comes: {heard:?}");
            self.listen(stage);
        }
    }
}
