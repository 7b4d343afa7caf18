//! The readers of what others send, each with what it promises of any bytes: what `fuzz/` runs for hours, and a test here for
//! a moment, each time.
//!
//! A target takes bytes and panics when a promise is broken; its seeds are what is changed to get more. Built for tests and with
//! the feature `fuzzing` only.

use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config;
use crate::link::{FromProxy, ToProxy, codec};

pub use crate::proxy::fuzzing::{
    event_stream, forwarded_parser, path_normaliser, proxy_header, request_policy, response_policy, websocket_frames,
};
pub use crate::supervisor::fuzzing::{node_channel, notify};

/// A reader with what it promises.
pub struct Target {
    pub name: &'static str,
    pub body: fn(&[u8]),
    pub seeds: &'static [&'static [u8]],
}

/// All of them; `fuzz/fuzz_targets` has a file for each.
pub const TARGETS: [Target; 11] = [
    Target { name: "request_policy", body: request_policy, seeds: REQUESTS },
    Target { name: "response_policy", body: response_policy, seeds: RESPONSES },
    Target {
        name: "path_normaliser",
        body: path_normaliser,
        seeds: &[b"/a/%2e%2e/b;x?c=%zz", b"http://a/x/../%79?z#f", b"*", b"/%41\xc3\xa9//./..;/%2F%5c", b"a:1"],
    },
    Target {
        name: "forwarded_parser",
        body: forwarded_parser,
        seeds: &[b"192.0.2.1, 10.0.0.2\n10.1.1.1", b"[2001:db8::1]:80, unknown , 10.0.0.9:1", b"::ffff:10.0.0.3,_x"],
    },
    Target {
        name: "proxy_header",
        body: proxy_header,
        seeds: &[
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\nGET /",
            b"PROXY TCP6 2001:db8::1 ::1 4660 80\r\n",
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc0\0\x02\x01\x0a\0\0\x01\x12\x34\0\x50\x04\0\x01\x2aGET",
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        ],
    },
    Target {
        name: "websocket_frames",
        body: websocket_frames,
        seeds: &[
            b"\x03\x81\x05hello\x01\x01a\x89\0\x80\x7e\0\x03abc\x88\x02\x03\xe8",
            b"\x07\x82\x7f\0\0\0\0\0\0\0\x01x\x81\x85\x01\x02\x03\x04hello\x82\x7f\x80\0\0\0\0\0\0\0y",
        ],
    },
    Target {
        name: "event_stream",
        body: event_stream,
        seeds: &[b"\x02id: 1\ndata: a\n\n: still\r\n\r\ndata: b\r\rdata: c\n\r", b"\x01\n\n\r\n"],
    },
    Target { name: "config", body: config, seeds: &[include_bytes!("../config/portreeve.toml"), SMALL_CONFIG] },
    Target { name: "link_codec", body: link_codec, seeds: MESSAGES },
    Target {
        name: "node_channel",
        body: node_channel,
        seeds: &[
            b"\x05\"ready\"\n{\"cmd\":\"NODE_HANDLE\",\"msg\":{}}\n",
            b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"port\":80,\"addressType\":4,\"address\":null,\"fd\":null}\n",
            b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"seq\":1,\"key\":\"x\",\"port\":0,\"index\":0}\n[1]\n",
        ],
    },
    Target {
        name: "notify",
        body: notify,
        seeds: &[
            b"READY=1\nSTATUS=up \xff\x1b[31m\nWATCHDOG=1",
            b"WATCHDOG_USEC=20000000\nEXTEND_TIMEOUT_USEC=1\nSTOPPING=1\nRELOADING=1\nMAINPID=7",
        ],
    },
];

const REQUESTS: &[&[u8]] = &[
    b"\0GET /a/../b?c HTTP\nhost:a\nx_y:1\nconnection:close, x-a\nx-a:1",
    b"\0GET /a/../b?c\nhost:a\nx_y:1\nconnection:close, x-a\nx-a:1",
    b"\x09POST http://A.example:80/%7e\nhost:a.example:80\ncontent-length:7\nexpect:100-continue\ncookie:a\ncookie:b",
    b"\x0dPUT /\nhost:a\ntransfer-encoding:chunked\ntrailer:x\nte:trailers\nforwarded:for=1",
    b"\x10GET /\nhost:a\nx-forwarded-for:1.1.1.1, 10.0.0.2\nx-forwarded-proto:https\nx-forwarded-host:b\nx-request-id:e-1",
    b"\0GET /ws\nhost:a\nconnection:upgrade\nupgrade:websocket\nsec-websocket-version:13\n\
      sec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==",
    b"\x01OPTIONS *\nhost:[::1]:8080\ntraceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\ntracestate:a",
];

const RESPONSES: &[&[u8]] = &[
    b"200content-length:3\nconnection:x-a, close\nx-a:1\nkeep-alive:timeout=5\nx-accel-redirect:/x",
    b"204content-length:1\ntransfer-encoding:chunked\nset-cookie:a\nset-cookie:b",
    b"101upgrade:websocket\nconnection:upgrade\nsec-websocket-accept:x",
    b"200content-length:3, 3\ncontent-length:003",
];

const SMALL_CONFIG: &[u8] = b"[app.web]\ncommand = \"node server.js\"\nhosts = [\"a.example\"]\nproxy_protocol = true\n\
    ready = { http = \"/up\" }\n[app.web.env]\nA = \"b\"\n[limits]\nbody_bytes = \"1MiB\"\nrequests_per_ip = \"10/s\"\n";

const MESSAGES: &[&[u8]] = &[
    b"\"reopen\"",
    b"{\"retire\":{\"within\":{\"secs\":1,\"nanos\":0}}}",
    b"{\"scrape\":{\"ticket\":7}}",
    b"\"ready\"",
    b"{\"published\":{\"epoch\":7}}",
    b"{\"fault\":{\"app\":\"web\",\"serial\":3,\"kind\":\"connect\"}}",
    b"{\"load\":[{\"serial\":1,\"in_flight\":2,\"finished\":3,\"failed\":4,\"oldest\":null}]}",
    b"{\"manifest\":{\"threads\":1,\"listeners\":[{\"descriptor\":4,\"address\":\"127.0.0.1:80\",\"tls\":false,\"cookie\":1}],\
      \"access_log\":null,\"access_json\":false}}",
];

/// A text has a meaning, or problems with places in it; in its usual form it means the same.
///
/// # Panics
/// When that does not hold.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parse = |text: &str| config::parse(text, Path::new("/x/portreeve.toml"));
    let meant = match parse(&text) {
        Ok(loaded) => loaded,
        Err(problems) => {
            assert!(problems.has_errors());
            let places = problems.problems().iter().flat_map(|problem| problem.place.iter().chain(&problem.related));
            for place in places {
                assert!(text.get(place.span.clone()).is_some_and(|part| !part.contains('\n')), "{place:?} in {text:?}");
            }
            assert!(problems.render(false).contains("portreeve.toml"));
            return;
        }
    };
    let formed = config::format(&text).expect("what has a meaning has a form");
    assert_eq!(config::format(&formed).as_deref(), Ok(&*formed), "the form of a form is itself");
    let again = parse(&formed).unwrap_or_else(|problems| unreachable!("{problems} in {formed}"));
    assert!(again.config == meant.config, "{formed}");
    config::shown(&meant).iter().for_each(drop);
}

/// What is read is what would be written; what is cut short is no message.
///
/// # Panics
/// When that does not hold.
pub fn link_codec(data: &[u8]) {
    let framed = [&u32::try_from(data.len()).expect("no input is that long").to_be_bytes(), data].concat();
    codec_of::<ToProxy>(&framed);
    codec_of::<FromProxy>(&framed);
    // A length that lies is an end in the middle, or too long; not so long that much is made ready for it.
    if let Some(lie) = data.get(..4).filter(|lie| lie[0] == 0 && lie[1] == 0) {
        let _ = now(codec::read::<FromProxy>(&mut &[lie, &data[4..]].concat()[..]));
    }
}

fn codec_of<M: Serialize + DeserializeOwned + PartialEq + Sync>(framed: &[u8]) {
    let Ok(Some(message)) = now(codec::read::<M>(&mut &framed[..])) else { return };
    assert!(now(codec::read::<M>(&mut &framed[..framed.len() - 1])).is_err(), "cut short");
    let mut written = Vec::new();
    now(codec::write(&mut written, &message)).expect("what was read can be written");
    let again = now(codec::read::<M>(&mut &written[..])).ok().flatten().expect("what was written can be read");
    assert!(again == message, "it means the same");
}

/// What a future that has nothing to wait for comes to.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("bytes in memory are not waited for"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// What mutations put in: what means something to any of the readers.
    const WORDS: [&[u8]; 26] = [
        b"\n",
        b"\r\n",
        b" ",
        b":",
        b"\0",
        b"%",
        b"%2e",
        b"..",
        b"/",
        b"\\",
        b"host:",
        b"content-length:0\n",
        b"transfer-encoding:chunked\n",
        b"connection:host\n",
        b"_",
        b"[",
        b"]",
        b"=",
        b"\"",
        b"{",
        b"}",
        b"10.0.0.1",
        b"::",
        b"\xff",
        b"\xc3\xa9",
        b"99999999999999999999",
    ];

    fn mutated(random: &mut fastrand::Rng, seeds: &[&[u8]]) -> Vec<u8> {
        let mut bytes = seeds[random.usize(..seeds.len())].to_vec();
        for _ in 0..random.usize(..6) {
            let at = random.usize(..=bytes.len());
            let end = (at + random.usize(..24)).min(bytes.len());
            match random.u8(..6) {
                0 if at < bytes.len() => bytes[at] = random.u8(..),
                0 | 1 => drop(bytes.splice(at..at, WORDS[random.usize(..WORDS.len())].iter().copied())),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                4 => bytes.truncate(at),
                _ => {
                    let other = seeds[random.usize(..seeds.len())];
                    let from = random.usize(..=other.len());
                    let part = &other[from..(from + 64).min(other.len())];
                    bytes.splice(at..at, part.iter().copied());
                }
            }
        }
        bytes
    }

    /// Long enough to find what is broken outright; `FUZZ_SECONDS` for each target, and `FUZZ_SEED`, for more.
    #[test]
    fn every_reader_keeps_its_promises_whatever_it_is_given() {
        let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
        let length = number("FUZZ_SECONDS").map_or(Duration::from_millis(300), Duration::from_secs);
        let only = std::env::var("FUZZ_TARGET").ok();
        for target in TARGETS.iter().filter(|target| only.as_deref().is_none_or(|only| only == target.name)) {
            let mut random = fastrand::Rng::with_seed(number("FUZZ_SEED").unwrap_or(7));
            target.seeds.iter().for_each(|seed| (target.body)(seed));
            let (began, mut executions) = (Instant::now(), 0_u64);
            while began.elapsed() < length {
                let bytes = mutated(&mut random, target.seeds);
                let ran = std::panic::catch_unwind(|| (target.body)(&bytes));
                assert!(ran.is_ok(), "{} breaks its promise with \"{}\"", target.name, bytes.escape_ascii());
                executions += 1;
            }
            println!("{:<20} {executions:>9} executions", target.name);
        }
    }

    #[test]
    fn every_target_can_be_fuzzed_for_long() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for Target { name, .. } in TARGETS {
            let file = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(file.contains(&format!("portreeve::fuzzing::{name}(data)")), "{name}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
        let count = std::fs::read_dir(folder.join("fuzz_targets")).unwrap().count();
        assert_eq!(count, TARGETS.len());
    }
}
