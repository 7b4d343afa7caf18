//! Requests of HTTP/1.1 whose bytes are changed: a worker has seen what they say, or nothing.
//!
//! The client's bytes are read by a plain reader of its own, which knows nothing of the proxy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{BRIEF, SILENCE, Tally, long, mutate, run, start};
use crate::proxy::tests::plain::{self, Plain, Said};
use crate::proxy::tests::reader::{self, Asked, Message, Read, bytes_of, text_of};

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

pub(super) fn compare_one(said: &Plain, message: &Message) -> Result<(), String> {
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

#[test]
fn mutated_requests_arrive_as_what_they_say_or_not_at_all() {
    run(requests, BRIEF, 1);
}

#[test]
#[ignore = "as long as MUTATE_SECONDS says"]
fn mutations_of_requests_for_long() {
    let (length, seed) = long();
    run(requests, length, seed);
}
