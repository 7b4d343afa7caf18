//! HTTP/2 as bytes: frames and field blocks that nothing checks before they are sent, and what a server says in turn.
//!
//! Field blocks are literals without indexing (RFC 7541, section 6.2.2). Of HPACK no more is read than a status takes; the
//! client tells the server to use no table.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const PADDED: u8 = 8;
const PRIORITIES: u8 = 32;

/// Most bytes in a frame, when nothing else was agreed on.
const MOST: usize = 16_384;

/// A name and a value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// A frame of any kind.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("payloads in tests are small").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// What a client says first: the preface, and that the server is to index no field.
pub(crate) fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0])].concat()
}

/// A field block.
pub(crate) fn block(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(text.len(), &mut block);
            block.extend(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn integer(mut value: usize, block: &mut Vec<u8>) {
    if value < 127 {
        block.push(value as u8);
        return;
    }
    block.push(127);
    value -= 127;
    while value >= 128 {
        block.push((value % 128) as u8 | 128);
        value /= 128;
    }
    block.push(value as u8);
}

/// A field block in as many frames as it takes.
pub(crate) fn head(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = if block.is_empty() { vec![&[]] } else { block.chunks(MOST).collect() };
    let mut frames = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let kind = if at == 0 { HEADERS } else { CONTINUATION };
        let begin = if at == 0 { flags } else { 0 };
        let end = if at + 1 == parts.len() { END_HEADERS } else { 0 };
        frames.extend(frame(kind, begin | end, stream, part));
    }
    frames
}

/// The fields of a plain request.
pub(crate) fn plain(method: &str, path: &str) -> Vec<Field> {
    let fields = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "localhost")];
    fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec()
}

/// What a server has said so far.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    rest: Vec<u8>,
    /// What is owed to it: acknowledgements.
    pub(crate) replies: Vec<u8>,
    pub(crate) status: BTreeMap<u32, u16>,
    pub(crate) bodies: BTreeMap<u32, Vec<u8>>,
    pub(crate) ended: BTreeSet<u32>,
    /// Streams with the code of their reset.
    pub(crate) resets: BTreeMap<u32, u32>,
    /// The code of the last GOAWAY.
    pub(crate) goaway: Option<u32>,
    /// Settings and pings that were acknowledged.
    pub(crate) acknowledged: BTreeSet<u8>,
}

impl Heard {
    /// Takes what has come.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.rest.extend(bytes);
        while let Some(head) = self.rest.get(..9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let stream = number(&head[5..9]) & 0x7fff_ffff;
            let Some(payload) = self.rest.get(9..9 + length).map(<[u8]>::to_vec) else { return };
            self.rest.drain(..9 + length);
            self.take(kind, flags, stream, &payload);
        }
    }

    /// Has a stream come to an end of any kind?
    pub(crate) fn is_done(&self, stream: u32) -> bool {
        self.ended.contains(&stream) || self.resets.contains_key(&stream) || self.goaway.is_some_and(|code| code != 0)
    }

    fn take(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        match kind {
            SETTINGS | PING if flags & ACK != 0 => drop(self.acknowledged.insert(kind)),
            SETTINGS => self.replies.extend(frame(SETTINGS, ACK, 0, &[])),
            PING => self.replies.extend(frame(PING, ACK, 0, payload)),
            GOAWAY => self.goaway = Some(number(&payload[4..8])),
            RST_STREAM => drop(self.resets.insert(stream, number(payload))),
            HEADERS | DATA => self.take_message(kind, flags, stream, payload),
            _ => {}
        }
    }

    fn take_message(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let padding = if flags & PADDED == 0 { 0 } else { usize::from(payload[0]) };
        let skipped = usize::from(flags & PADDED != 0) + if kind == HEADERS && flags & PRIORITIES != 0 { 5 } else { 0 };
        let payload = &payload[skipped..payload.len() - padding];
        if kind == DATA {
            self.bodies.entry(stream).or_default().extend(payload);
        } else {
            // The first block of a stream, or the one after an interim response; trailers have no status.
            self.status.entry(stream).or_insert_with(|| status(payload));
        }
        if flags & END_STREAM != 0 {
            self.ended.insert(stream);
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// The status, which comes first in a block (RFC 9113, section 8.3); 0 when it is written in a way that is not known here.
fn status(mut block: &[u8]) -> u16 {
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest;
    }
    match block {
        [indexed @ 0x80..=0xff, ..] => {
            let known = [200, 204, 206, 304, 400, 404, 500];
            usize::from(indexed & 0x7f).checked_sub(8).and_then(|at| known.get(at)).copied().unwrap_or(0)
        }
        [_, length, rest @ ..] => {
            let text = &rest[..usize::from(length & 0x7f).min(rest.len())];
            let digits = if length & 0x80 == 0 { String::from_utf8_lossy(text).into_owned() } else { huffman(text) };
            digits.parse().unwrap_or(0)
        }
        _ => 0,
    }
}

/// Digits in HPACK's code: 0 to 2 take five bits, the others six (RFC 7541, appendix B).
fn huffman(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let value = |bits: &[u8]| bits.iter().fold(0_u8, |value, bit| value << 1 | bit);
    let (mut digits, mut rest) = (String::new(), &bits[..]);
    while rest.len() >= 5 {
        let (short, long) = (value(&rest[..5]), rest.get(..6).map(value));
        let (digit, length) = match (short, long) {
            (0..=2, _) => (short, 5),
            (_, Some(long @ 25..=31)) => (long - 22, 6),
            _ => break,
        };
        digits.push(char::from(b'0' + digit));
        rest = &rest[length..];
    }
    digits
}
