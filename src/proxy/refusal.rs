//! The answer to a client whose request never becomes whole: 408, and a line about it.
//!
//! There is no request and so no exchange; what can be told is who it was and how long it took. Does not know sockets or
//! timers. Invariant: it is counted and logged once, as a failed exchange would be.

use std::time::SystemTime;

use tokio::time::Instant;

use super::peer::Peer;
use super::record::random_id;
use crate::telemetry::access;

/// All that is sent.
pub(crate) const TEXT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\n\
content-length: 66\r\nconnection: close\r\n\r\n408 Request Timeout: the head of the request did not come in time\n";

const STATUS: u16 = 408;

/// Counts and logs that a head which began at `since` was given up.
pub(crate) fn note(peer: &Peer, since: Instant) {
    let took = since.elapsed();
    peer.proxy.no_app.finish(STATUS, took);
    let Some(log) = &peer.proxy.access else { return };
    let id = random_id();
    let nothing =
        access::Request { method: "-", host: b"", path: "-", protocol: "HTTP/1.1", referer: None, user_agent: None };
    let line = access::Line {
        time: SystemTime::now(),
        client: access::Client { address: peer.lines.address(), tls: peer.is_tls },
        id: id.as_bytes(),
        service: access::Service::default(),
        status: STATUS,
        received: 0,
        sent: body().len() as u64,
        took,
        fault: Some("slow-head"),
    };
    log.write(&log.asked(&nothing), &line);
}

fn body() -> &'static [u8] {
    let end = TEXT.windows(4).position(|window| window == b"\r\n\r\n").map_or(TEXT.len(), |at| at + 4);
    &TEXT[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_body() {
        let text = std::str::from_utf8(TEXT).unwrap();
        assert!(text.contains(&format!("content-length: {}\r\n", body().len())), "{}", body().len());
        assert!(text.ends_with('\n') && text.starts_with("HTTP/1.1 408 "));
    }
}
