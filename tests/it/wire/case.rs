//! The wire cases as data: read from `tests/wire/*.toml`, where each file explains its keys.

use std::path::Path;

use serde::Deserialize;

use crate::wire::frames::{self, Field};
use crate::wire::reader::{self, Message};

/// A case of any of the files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Case {
    pub(super) class: u32,
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) sent: Sent,
    #[serde(flatten)]
    pub(super) expected: Expected,
    #[serde(flatten)]
    pub(super) answer: Answer,
}

/// What a client writes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sent {
    send: String,
    /// Does it close its side behind that?
    pub(super) hang_up: bool,
    head: Vec<(String, String)>,
    trailers: Vec<(String, String)>,
    frames: Vec<String>,
    pub(super) method: Option<String>,
}

/// What must come of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Expected {
    refuse: Option<Refusal>,
    pub(super) broken: bool,
    worker: Vec<String>,
    pub(super) closes: Option<bool>,
    never: Vec<String>,
    pub(super) reset: bool,
    pub(super) code: Option<u32>,
    /// Kinds of frames whose acknowledgement must have come.
    pub(super) acknowledged: Vec<u8>,
}

/// What a worker writes, and what its client is to see. `body` is what a client sends where it is no answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    respond: String,
    later: Option<String>,
    pub(super) close: bool,
    pub(super) status: u16,
    body: Option<String>,
    pub(super) cut: bool,
    pub(super) over: Option<String>,
    /// Of RFC 9113; for people.
    #[serde(rename = "section")]
    _section: Option<String>,
}

/// The status of a refusal, or several that it may have.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Refusal {
    One(u16),
    Any(Vec<u16>),
}

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

/// A kind of trouble.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Class {
    pub(super) number: u32,
    pub(super) title: String,
    #[serde(default)]
    pub(super) tests: Vec<String>,
    pub(super) reason: Option<String>,
}

#[derive(Deserialize)]
struct Classes {
    class: Vec<Class>,
}

impl Case {
    /// All cases of a file.
    pub(super) fn load(file: &str) -> Vec<Self> {
        let cases: Cases = toml::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        cases.case
    }

    /// The bytes of an HTTP/1.1 client.
    pub(super) fn request(&self) -> Vec<u8> {
        expand(&self.sent.send)
    }

    /// The frames of an HTTP/2 client, on stream 1.
    pub(super) fn frames(&self) -> Vec<u8> {
        if !self.sent.frames.is_empty() {
            return self.sent.frames.iter().flat_map(|line| named(line)).collect();
        }
        let (body, trailers) = (self.body(), fields(&self.sent.trailers));
        let is_all = body.is_none() && trailers.is_empty();
        let flags = |is_last: bool| if is_last { frames::END_STREAM } else { 0 };
        let mut all = frames::head(1, flags(is_all), &frames::block(&fields(&self.sent.head)));
        if let Some(body) = body {
            all.extend(frames::frame(frames::DATA, flags(trailers.is_empty()), 1, &body));
        }
        if !trailers.is_empty() {
            all.extend(frames::head(1, flags(true), &frames::block(&trailers)));
        }
        all
    }

    /// The body of a client's request, or that of the answer which a client is to see.
    pub(super) fn body(&self) -> Option<Vec<u8>> {
        self.answer.body.as_deref().map(expand)
    }

    /// The bytes of a worker, and those that it writes when nobody has asked for any.
    pub(super) fn response(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        (expand(&self.answer.respond), self.answer.later.as_deref().map(expand))
    }

    /// May a refusal have this status?
    pub(super) fn may_refuse_with(&self, status: u16) -> bool {
        match &self.expected.refuse {
            None => true,
            Some(Refusal::One(one)) => *one == status,
            Some(Refusal::Any(any)) => any.contains(&status),
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.expected.refuse.is_some()
    }

    /// The requests that a worker must get, in the form in which they are compared.
    pub(super) fn worker(&self) -> Vec<Message> {
        let parse = |text: &String| {
            let bytes = expand(text);
            let end = reader::find(&bytes, b"\r\n\r\n").expect("a request in a case has a whole head");
            let head = reader::text_of(&bytes[..end]);
            let mut lines = head.split("\r\n").map(str::to_owned);
            let start = lines.next().unwrap_or_default();
            let split = |line: String| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
            let mut fields: Vec<_> = lines.map(|line| split(line).expect("a field in a case has a colon")).collect();
            fields.sort();
            Message { start, fields, body: bytes[end + 4..].to_vec() }
        };
        self.expected.worker.iter().map(parse).collect()
    }

    pub(super) fn never(&self) -> Vec<Vec<u8>> {
        self.expected.never.iter().map(|text| expand(text)).collect()
    }
}

/// All kinds of trouble.
pub(super) fn classes() -> Vec<Class> {
    toml::from_str::<Classes>(&text("classes")).unwrap_or_else(|error| panic!("{error}")).class
}

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(format!("{file}.toml"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn fields(pairs: &[(String, String)]) -> Vec<Field> {
    pairs.iter().map(|(name, value)| (expand(name), expand(value))).collect()
}

/// Latin-1, with `<<x*3>>` for `xxx`.
fn expand(text: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<<") {
        let (inner, behind) = after.split_once(">>").expect("a repetition ends");
        let (what, times) = inner.rsplit_once('*').expect("a repetition says how often");
        all.extend(reader::bytes_of(before));
        all.extend(reader::bytes_of(what).repeat(times.parse().expect("how often is a number")));
        rest = behind;
    }
    all.extend(reader::bytes_of(rest));
    all
}

/// `TYPE flags stream payload`, as `http2.toml` explains it.
fn named(line: &str) -> Vec<u8> {
    let mut words = line.split_whitespace();
    let kinds = [
        "DATA",
        "HEADERS",
        "PRIORITY",
        "RST_STREAM",
        "SETTINGS",
        "PUSH_PROMISE",
        "PING",
        "GOAWAY",
        "WINDOW_UPDATE",
        "CONTINUATION",
    ];
    let hexadecimal = |word: &str| u32::from_str_radix(word, 16).unwrap_or_else(|_| panic!("{word} in {line}"));
    let mut next = || words.next().unwrap_or_else(|| panic!("a frame has three words at least: {line}"));
    let (kind, flags, stream) = (next(), hexadecimal(next()), hexadecimal(next()));
    let kind = kinds.iter().position(|name| *name == kind).unwrap_or_else(|| hexadecimal(kind) as usize);
    let mut payload = Vec::new();
    for word in words {
        match word {
            "@get" => payload.extend(frames::block(&frames::plain("GET", "/"))),
            "@post" => payload.extend(frames::block(&frames::plain("POST", "/"))),
            "@trailers" => payload.extend(frames::block(&[(b"x".to_vec(), b"y".to_vec())])),
            digits => payload.extend(octets(&reader::text_of(&expand(digits)))),
        }
    }
    frames::frame(kind as u8, flags as u8, stream, &payload)
}

fn octets(digits: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_else(|_| panic!("{digits}"));
    (0..digits.len()).step_by(2).map(pair).collect()
}
