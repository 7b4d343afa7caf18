//! Differential tests: messages that are good, changed at random, through the proxy.
//!
//! A worker must have seen nothing, or requests that a strict reader takes and that say what the client's bytes say to a reader
//! of its own; and a client is given a whole answer only if the worker's was whole. Seeded: a failure names its seed and
//! shows its bytes. In CI for a bounded time; `MUTATE_SECONDS=3600 cargo nextest run --run-ignored only mutations` goes on for
//! an hour with a seed of its own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;
use super::client;
use super::plain::{self, Plain, Said};
use super::raw_frames::{self as frames, Field, Heard};
use super::reader::{self, Asked, Message, Read, bytes_of, text_of};
use super::rig::{self, Rig};
use crate::id::{Address, Serial};

/// How long each of them goes on in CI.
const BRIEF: Duration = Duration::from_secs(2);

/// After this a request that gets no answer is taken for one whose end the proxy waits for.
const SILENCE: Duration = Duration::from_millis(300);

/// Good requests.
const REQUESTS: [&str; 9] = [
    "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: example.com:80\r\nContent-Length: 11\r\nX-One: 1\r\n\r\nhello world",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;e=f\r\n world\r\n0\r\n\r\n",
    "PUT /%7Ea/./b/../c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    "GET http://a.b/x HTTP/1.1\r\nHost: a.b\r\nConnection: x-one, close\r\nX-One: 1\r\nX-Two: 2\r\n\r\n",
    "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nokGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nCookie: a=b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\n\r\nGET /inner HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyy\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
];

/// Good responses, behind each of which the worker closes.
const RESPONSES: [&str; 6] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-One: 1\r\n\r\nhello world",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nhello world",
    "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\na;b=c\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
];

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

// ------------------------------------------------------------------ requests of HTTP/1.1

async fn requests(end: Instant, mut random: fastrand::Rng, seed: u64) -> Tally {
    let (rig, recorder) = start().await;
    let (mut tally, mut before) = (Tally::default(), Vec::new());
    while Instant::now() < end {
        let mut bytes = bytes_of(REQUESTS[random.usize(0..REQUESTS.len())]);
        mutate(&mut random, &mut bytes);
        ask(rig.http, &bytes).await;
        let arrived: Vec<_> = recorder.borrow_mut().seen.drain(..).collect();
        tally.tried += 1;
        tally.arrived += u64::from(!arrived.is_empty());
        if let Err(why) = compare_late(&before, &bytes, &arrived) {
            panic!("seed {seed}, number {}: {why}\nsent {:?}\nseen {arrived:?}", tally.tried, text_of(&bytes));
        }
        before = bytes;
    }
    rig.stop().await;
    tally
}

/// The same as [`compare`], where some may be of what was sent before: its client had gone when they arrived.
fn compare_late(before: &[u8], bytes: &[u8], seen: &[Result<Message, String>]) -> Result<(), String> {
    let outcome = compare(bytes, seen);
    let is_late = |count: usize| compare(before, &seen[..count]).is_ok() && compare(bytes, &seen[count..]).is_ok();
    if (1..=seen.len()).any(is_late) { Ok(()) } else { outcome }
}

/// Writes the bytes and reads until as many answers have come as there are requests, or nothing more comes.
async fn ask(address: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let _ = socket.write_all(bytes).await;
    let wanted = plain::count(bytes);
    let (mut heard, mut answers) = (Vec::new(), 0);
    let mut limit = SILENCE;
    if wanted == 0 && plain::read(bytes, true) == Said::Part {
        // The proxy waits for what will never come.
        let _ = socket.shutdown().await;
    }
    loop {
        while let Read::Whole(_, length) = reader::response(&heard, Asked::default()) {
            heard.drain(..length);
            answers += 1;
        }
        if answers > 0 && answers >= wanted {
            return;
        }
        match tokio::time::timeout(limit, socket.read_buf(&mut heard)).await {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => {}
            Err(_) => {
                let _ = socket.shutdown().await;
                limit = Duration::from_secs(10);
            }
        }
    }
}

/// Is what a worker saw what the bytes say, one behind the other? Some of them may have been refused.
fn compare(mut bytes: &[u8], seen: &[Result<Message, String>]) -> Result<(), String> {
    for message in seen {
        let message = message.as_ref().map_err(Clone::clone)?;
        let mut other = None;
        loop {
            let Said::Whole(said, length) = plain::read(bytes, true) else {
                return Err(other.unwrap_or_else(|| "a request arrived of which there is no whole one".into()));
            };
            bytes = &bytes[length..];
            match compare_one(&said, message) {
                Ok(()) => break,
                Err(why) => drop(other.get_or_insert(why)),
            }
        }
    }
    Ok(())
}

fn compare_one(said: &Plain, message: &Message) -> Result<(), String> {
    let [method, target, _] = &said.start[..] else { return Err("the first line has not three words".into()) };
    let (host, target) = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with(['/', '*']) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            (rest[..end].to_owned(), rest[end..].to_owned())
        }
        _ => (said.values("host").first().copied().unwrap_or_default().to_owned(), target.clone()),
    };
    let arrived: Vec<&str> = message.start.split(' ').collect();
    if arrived[0] != method || resolve(arrived[1]) != resolve(&target) {
        return Err(format!("{method} {target} arrived as {}", message.start));
    }
    if message.only("host") != Some(&one_host(&host)) {
        return Err(format!("the host {host:?} arrived as {:?}", message.only("host")));
    }
    if message.body != said.body {
        return Err("the body is another one".into());
    }
    compare_fields(&said.fields, message)
}

/// Of what a client said, what arrived must be what it said; but for what the proxy says itself.
fn compare_fields(said: &[(String, String)], message: &Message) -> Result<(), String> {
    let ours = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "cookie", "x-request-id"];
    let vouched = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "x-portreeve-attempt"];
    for field in &message.fields {
        let name = field.0.as_str();
        if !ours.contains(&name) && !vouched.contains(&name) && !said.contains(field) {
            return Err(format!("nobody said {field:?}"));
        }
    }
    Ok(())
}

/// A target with all its escapes taken off and its dots resolved: equal ones mean the same.
fn resolve(target: &str) -> (Vec<Vec<u8>>, Vec<u8>) {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = if path.is_empty() { "/" } else { path };
    let mut segments: Vec<Vec<u8>> = Vec::new();
    let mut ends_in_dots = false;
    for segment in path.strip_prefix('/').unwrap_or(path).split('/').map(unescape) {
        ends_in_dots = segment == b"." || segment == b"..";
        match &segment[..] {
            b".." => drop(segments.pop()),
            b"." => {}
            _ => segments.push(segment),
        }
    }
    if ends_in_dots {
        segments.push(Vec::new());
    }
    (segments, unescape(query))
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = bytes_of(text);
    let (mut plain, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| bytes[at] == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    plain
}

fn one_host(host: &str) -> String {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if port.is_empty() { name } else { format!("{name}:{port}") }
}

// ------------------------------------------------------------------ responses

async fn responses(end: Instant, mut random: fastrand::Rng, seed: u64) -> Tally {
    let (rig, recorder) = start().await;
    let mut tally = Tally::default();
    while Instant::now() < end {
        let mut bytes = bytes_of(RESPONSES[random.usize(0..RESPONSES.len())]);
        mutate(&mut random, &mut bytes);
        recorder.borrow_mut().script = Some(bytes.clone());
        let mut socket = TcpStream::connect(rig.http).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut heard = Vec::new();
        // A reset is an end like any other.
        let ended = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut heard)).await;
        assert!(ended.is_ok(), "seed {seed}: no end of {:?}", text_of(&bytes));
        recorder.borrow_mut().seen.clear();
        tally.tried += 1;
        match answer(&bytes, &heard) {
            Ok(is_whole) => tally.arrived += u64::from(is_whole),
            Err(why) => panic!(
                "seed {seed}, number {}: {why}\nanswered {:?}\nheard {:?}",
                tally.tried,
                text_of(&bytes),
                text_of(&heard)
            ),
        }
    }
    rig.stop().await;
    tally
}

/// Has the client got the worker's whole answer? An error if it has got something that looks like it and is not.
fn answer(sent: &[u8], heard: &[u8]) -> Result<bool, String> {
    // An answer without a length would end with the connection, however that ends; the proxy has a better way.
    let message = match reader::response(heard, Asked::default()) {
        Read::Whole(message, length) if length == heard.len() => message,
        Read::Whole(..) => return Err("there is more than an answer".into()),
        Read::Wrong(why) => return Err(why),
        Read::Part => return Ok(false),
    };
    if matches!(message.status(), 502 | 503) && message.only("content-type") == Some("text/plain; charset=utf-8") {
        return Ok(false);
    }
    let mut rest = sent;
    loop {
        let status = text_of(rest).split(' ').nth(1).and_then(|it| it.get(..3)?.parse::<u16>().ok()).unwrap_or(0);
        let has_no_body = matches!(status, 100..=199 | 204 | 304);
        if has_no_body && message.status() == status {
            return if message.body.is_empty() { Ok(true) } else { Err("a body where there is none".into()) };
        }
        if has_no_body {
            // Whichever empty line comes first.
            let ends = [&b"\n\r\n"[..], b"\n\n"].map(|end| Some(reader::find(rest, end)? + end.len()));
            let Some(end) = ends.into_iter().flatten().min() else {
                return Err("an answer of which there is none".into());
            };
            rest = &rest[end..];
            continue;
        }
        let Said::Whole(said, _) = plain::read(rest, false) else { return Err("a whole answer of a part".into()) };
        return if said.body == message.body && status == message.status() {
            Ok(true)
        } else {
            Err(format!("another answer than {said:?}"))
        };
    }
}

// ------------------------------------------------------------------ HTTP/2

/// Good heads, and their bodies.
fn heads() -> Vec<(Vec<Field>, Option<&'static [u8]>)> {
    let with = |method, path, more: &[(&str, &str)]| {
        let mut fields = frames::plain(method, path);
        fields.extend(more.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())));
        fields
    };
    vec![
        (with("GET", "/a/b?c=d", &[("accept", "*/*"), ("x-one", "1")]), None),
        (with("POST", "/x", &[("content-length", "5")]), Some(b"hello")),
        (with("PUT", "/%7Ea/../b", &[("te", "trailers"), ("host", "localhost")]), Some(b"hello")),
        (with("GET", "/", &[("cookie", "a=b"), ("cookie", "c=d"), ("x-two", "2")]), None),
    ]
}

/// An HTTP/2 connection on which anything may be said.
struct Http2 {
    socket: TlsStream<TcpStream>,
    heard: Heard,
    stream: u32,
    is_over: bool,
}

impl Http2 {
    async fn connect(rig: &Rig) -> Self {
        let mut socket = client::tls(rig, b"h2").await;
        socket.write_all(&frames::hello()).await.unwrap();
        Self { socket, heard: Heard::default(), stream: 1, is_over: false }
    }

    /// Says it, and hears what comes of the stream; whether anything does.
    async fn say(&mut self, bytes: &[u8], stream: u32, patience: Duration) -> bool {
        let mut bytes = bytes.to_vec();
        let mut buffer = Vec::new();
        while !self.heard.is_done(stream) && !self.is_over {
            bytes.append(&mut self.heard.replies);
            self.is_over |= self.socket.write_all(&bytes).await.is_err() || self.socket.flush().await.is_err();
            bytes.clear();
            match tokio::time::timeout(patience, self.socket.read_buf(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => self.is_over = true,
                Ok(Ok(_)) => self.heard.feed(&std::mem::take(&mut buffer)),
                Err(_) => return false,
            }
        }
        self.is_over |= self.heard.goaway.is_some();
        true
    }
}

/// Requests whose fields are changed, on connections that are kept while they last.
async fn fields(end: Instant, mut random: fastrand::Rng, seed: u64) -> Tally {
    let (rig, recorder) = start().await;
    let (mut tally, heads) = (Tally::default(), heads());
    let mut http2 = Http2::connect(&rig).await;
    while Instant::now() < end {
        if http2.is_over || http2.stream > 2001 {
            http2 = Http2::connect(&rig).await;
        }
        let (mut fields, body) = heads[random.usize(0..heads.len())].clone();
        mutate_fields(&mut random, &mut fields);
        let stream = http2.stream;
        http2.stream += 2;
        let flags = |is_last| if is_last { frames::END_STREAM } else { 0 };
        let mut bytes = frames::head(stream, flags(body.is_none()), &frames::block(&fields));
        bytes.extend(body.map(|body| frames::frame(frames::DATA, flags(true), stream, body)).unwrap_or_default());
        assert!(http2.say(&bytes, stream, PATIENCE).await, "seed {seed}: no word on {fields:?}");
        let arrived: Vec<_> = recorder.borrow_mut().seen.drain(..).collect();
        tally.tried += 1;
        tally.arrived += u64::from(!arrived.is_empty());
        if let Err(why) = compare_http2(&fields, body.unwrap_or_default(), &arrived) {
            let shown: Vec<_> = fields.iter().map(|(name, value)| (text_of(name), text_of(value))).collect();
            panic!("seed {seed}, number {}: {why}\nsaid {shown:?}\nseen {arrived:?}", tally.tried);
        }
    }
    rig.stop().await;
    tally
}

fn mutate_fields(random: &mut fastrand::Rng, fields: &mut Vec<Field>) {
    for _ in 0..random.usize(1..=2) {
        let at = random.usize(0..fields.len());
        match random.u8(0..6) {
            0 if fields.len() > 1 => drop(fields.remove(at)),
            1 => fields.insert(random.usize(0..=fields.len()), fields[at].clone()),
            2 => {
                let other = random.usize(0..fields.len());
                fields.swap(at, other);
            }
            3 => mutate(random, &mut fields[at].0),
            _ => mutate(random, &mut fields[at].1),
        }
    }
}

fn compare_http2(fields: &[Field], body: &[u8], seen: &[Result<Message, String>]) -> Result<(), String> {
    let message = match seen {
        [] => return Ok(()),
        [one] => one.as_ref().map_err(Clone::clone)?,
        _ => return Err("several requests arrived".into()),
    };
    let texts: Vec<_> = fields.iter().map(|(name, value)| (text_of(name), text_of(value))).collect();
    let only = |name: &str| {
        let mut values = texts.iter().filter(|(of, _)| of == name).map(|(_, value)| value.clone());
        let first = values.next();
        if values.next().is_some() { Err(format!("several {name} arrived as one")) } else { Ok(first) }
    };
    let (Some(method), Some(path)) = (only(":method")?, only(":path")?) else {
        return Err("a request arrived that has no method or path".into());
    };
    let host = only(":authority")?.or(only("host")?).unwrap_or_default();
    // What stands in the place of `Host`, before any other.
    let host = [("host".to_owned(), host)];
    let said = Plain {
        start: vec![method, path, "HTTP/1.1".into()],
        fields: host.into_iter().chain(texts.iter().filter(|(name, _)| !name.starts_with(':')).cloned()).collect(),
        body: body.to_vec(),
    };
    compare_one(&said, message)
}

/// Connections whose bytes are changed behind the preface. Whatever they say, what arrives is strict, and not more of it than there
/// are heads.
async fn connections(end: Instant, mut random: fastrand::Rng, seed: u64) -> Tally {
    let (rig, recorder) = start().await;
    let (mut tally, heads) = (Tally::default(), heads());
    while Instant::now() < end {
        let mut http2 = Http2::connect(&rig).await;
        let mut bytes = Vec::new();
        for stream in [1, 3] {
            let (fields, body) = heads[random.usize(0..heads.len())].clone();
            let flags = |is_last| if is_last { frames::END_STREAM } else { 0 };
            bytes.extend(frames::head(stream, flags(body.is_none()), &frames::block(&fields)));
            bytes.extend(body.map(|body| frames::frame(frames::DATA, flags(true), stream, body)).unwrap_or_default());
        }
        mutate(&mut random, &mut bytes);
        // Without a word in time the proxy waits for the rest of a frame, which is right.
        let _ = http2.say(&bytes, 3, SILENCE / 8).await;
        drop(http2);
        let arrived: Vec<_> = recorder.borrow_mut().seen.drain(..).collect();
        tally.tried += 1;
        tally.arrived += u64::from(!arrived.is_empty());
        let is_strict = arrived.iter().all(Result::is_ok) && arrived.len() <= 4;
        assert!(is_strict, "seed {seed}, number {}\nsaid {:?}\nseen {arrived:?}", tally.tried, text_of(&bytes));
    }
    rig.stop().await;
    tally
}

#[test]
fn mutated_requests_arrive_as_what_they_say_or_not_at_all() {
    run(requests, BRIEF, 1);
}

#[test]
fn mutated_responses_are_whole_to_a_client_only_if_they_were() {
    run(responses, BRIEF, 2);
}

#[test]
fn mutated_fields_of_http_2_arrive_as_what_they_say_or_not_at_all() {
    run(fields, BRIEF, 3);
}

#[test]
fn mutated_connections_of_http_2_bring_nothing_that_can_be_read_in_two_ways() {
    run(connections, BRIEF, 4);
}

#[test]
#[ignore = "as long as MUTATE_SECONDS says"]
fn mutations_of_requests_for_long() {
    let (length, seed) = long();
    run(requests, length, seed);
}

#[test]
#[ignore = "as long as MUTATE_SECONDS says"]
fn mutations_of_responses_for_long() {
    let (length, seed) = long();
    run(responses, length, seed);
}

#[test]
#[ignore = "as long as MUTATE_SECONDS says"]
fn mutations_of_http_2_for_long() {
    let (length, seed) = long();
    run(fields, length / 2, seed);
    run(connections, length / 2, seed);
}
