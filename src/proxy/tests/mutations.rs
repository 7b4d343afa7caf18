//! Differential tests: messages that are good, changed at random, through the proxy.
//!
//! A worker must have seen nothing, or requests that a strict reader takes and that say what the client's bytes say to a reader
//! of its own; and a client is given a whole answer only if the worker's was whole. Seeded: a failure names its seed and
//! shows its bytes. In CI for a bounded time; `MUTATE_SECONDS=3600 cargo nextest run --run-ignored only mutations` goes on for
//! an hour with a seed of its own.

mod http2;
mod requests;
mod responses;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::reader::{self, Message, Read, bytes_of};
use super::rig::{self, Rig};
use crate::id::{Address, Serial};

/// How long each of them goes on in CI.
const BRIEF: Duration = Duration::from_secs(2);

/// After this a request that gets no answer is taken for one whose end the proxy waits for.
const SILENCE: Duration = Duration::from_millis(300);

/// What is put in: what readers differ about.
const PIECES: [&str; 36] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "\0",
    "\u{ff}",
    "\u{80}",
    "0",
    "1",
    "+",
    "-",
    "_",
    "0x",
    "%2e",
    "%00",
    "%",
    "/../",
    "//",
    "\\",
    "#",
    "?",
    "*",
    "chunked",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: b\r\n",
    "Connection: host\r\n",
    "GET /inner HTTP/1.1\r\nHost: b\r\n\r\n",
    "HTTP/1.0",
    "X_Y: z\r\n",
    "0\r\n\r\n",
];

/// Changes bytes in one to three places.
fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    for _ in 0..random.usize(1..=3) {
        let at = random.usize(0..=bytes.len());
        let end = (at + random.usize(0..8)).min(bytes.len());
        match random.u8(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            1 if at < bytes.len() => bytes[at] = random.u8(..),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at.max(1)),
            _ => {
                let piece = bytes_of(PIECES[random.usize(0..PIECES.len())]);
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// A worker that records, and answers what it is told to or with the target.
#[derive(Default)]
struct Recorder {
    seen: VecDeque<Result<Message, String>>,
    /// What is answered to everything, and then the connection is closed.
    script: Option<Vec<u8>>,
}

type Shared = Rc<RefCell<Recorder>>;

async fn record(listener: TcpListener, recorder: Shared) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let recorder = Rc::clone(&recorder);
        tokio::task::spawn_local(record_one(socket, recorder));
    }
}

async fn record_one(mut socket: TcpStream, recorder: Shared) {
    let mut bytes = Vec::new();
    loop {
        match reader::request(&bytes) {
            Read::Part => match socket.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            Read::Wrong(why) => return recorder.borrow_mut().seen.push_back(Err(why)),
            Read::Whole(message, length) => {
                bytes.drain(..length);
                let script = recorder.borrow().script.clone();
                let body = message.target().to_owned();
                let is_head = message.start.starts_with("HEAD ");
                recorder.borrow_mut().seen.push_back(Ok(message));
                if let Some(script) = script {
                    let _ = socket.write_all(&script).await;
                    return;
                }
                let shown = if is_head { "" } else { &body };
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{shown}", body.len());
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        }
    }
}

/// A proxy, and the recorder behind it.
async fn start() -> (Rig, Shared) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let recorder = Shared::default();
    tokio::task::spawn_local(record(listener, Rc::clone(&recorder)));
    let mut rig = Rig::start().await;
    let endpoint = rig::endpoint_at(Serial(1), address);
    rig.web().endpoints = vec![endpoint];
    // There is no other worker that could come.
    rig.web().hold.time = Duration::from_secs(1);
    rig.publish().await;
    (rig, recorder)
}

/// Runs one of them to its end, for so long and with this seed.
fn run<F: Future<Output = Tally>>(test: impl FnOnce(Instant, fastrand::Rng, u64) -> F, length: Duration, seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tally = LocalSet::new().block_on(&runtime, test(Instant::now() + length, fastrand::Rng::with_seed(seed), seed));
    println!("seed {seed}: {} tried, {} arrived", tally.tried, tally.arrived);
    assert!(tally.arrived > 0 && tally.arrived < tally.tried, "some arrive and some do not");
}

/// For how long, and with which seed, when somebody asks for a long run.
fn long() -> (Duration, u64) {
    let seconds = std::env::var("MUTATE_SECONDS").ok().and_then(|it| it.parse().ok()).unwrap_or(60);
    let seed = std::env::var("MUTATE_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    (Duration::from_secs(seconds), seed)
}

#[derive(Default)]
struct Tally {
    tried: u64,
    arrived: u64,
}
