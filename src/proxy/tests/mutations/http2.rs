//! HTTP/2 whose fields and whose bytes are changed: what arrives is strict, and says what the fields say.
//!
//! Of a connection whose frames are changed it is not known what they say: there it is enough that one reading exists.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::requests::compare_one;
use super::{BRIEF, SILENCE, Tally, long, mutate, run, start};
use crate::proxy::tests::PATIENCE;
use crate::proxy::tests::client;
use crate::proxy::tests::plain::Plain;
use crate::proxy::tests::raw_frames::{self as frames, Field, Heard};
use crate::proxy::tests::reader::{Message, text_of};
use crate::proxy::tests::rig::Rig;

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

/// Connections whose bytes are changed behind the preface. Whatever they say, what arrives is strict, and not more of
/// it than there are heads.
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
fn mutated_fields_of_http_2_arrive_as_what_they_say_or_not_at_all() {
    run(fields, BRIEF, 3);
}

#[test]
fn mutated_connections_of_http_2_bring_nothing_that_can_be_read_in_two_ways() {
    run(connections, BRIEF, 4);
}

#[test]
#[ignore = "as long as MUTATE_SECONDS says"]
fn mutations_of_http_2_for_long() {
    let (length, seed) = long();
    run(fields, length / 2, seed);
    run(connections, length / 2, seed);
}
