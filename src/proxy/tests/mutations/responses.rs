//! Responses whose bytes are changed: a client is given a whole answer only if the worker's was whole.
//!
//! A reset or an answer of the proxy itself is as good; which of them comes is not looked at.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{BRIEF, Tally, long, mutate, run, start};
use crate::proxy::tests::PATIENCE;
use crate::proxy::tests::plain::{self, Said};
use crate::proxy::tests::reader::{self, Asked, Read, bytes_of, text_of};

/// Good responses, behind each of which the worker closes.
const RESPONSES: [&str; 6] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-One: 1\r\n\r\nhello world",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nhello world",
    "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\na;b=c\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
];

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

#[test]
fn mutated_responses_are_whole_to_a_client_only_if_they_were() {
    run(responses, BRIEF, 2);
}

#[test]
#[ignore = "as long as MUTATE_SECONDS says"]
fn mutations_of_responses_for_long() {
    let (length, seed) = long();
    run(responses, length, seed);
}
