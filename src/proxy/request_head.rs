//! The head of a request as a worker is sent it: what its client said and may go on, and what we say of the client.
//!
//! Pure. Written as text in one pass over the client's fields, for the map that they are in would have to grow for ours. Does not
//! know what a request asks for. Invariant: a field that we write is there once, whatever the client sent; so none can make one
//! vanish by nominating it (RFC 9110, section 7.6.1), and none can write it.

use std::io::Write as _;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::headers::{self, Framing, Survey};
use super::policy::Trace;

/// Bytes that most heads fit into.
const ROOM: usize = 1024;

/// When its request came in, as many who measure the time in queues read it: seconds since 1970 with milliseconds, as nginx's
/// `t=${msec}` (New Relic, "Request queue server configuration examples"; OpenTelemetry's and Datadog's middleware for Rack).
pub(crate) const REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

/// What a worker is told of when a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Untold,
    /// What fronts say that we trust, who saw it first.
    Said,
    At(SystemTime),
}

/// What a request carries to a worker that its client did not write.
pub(crate) struct Vouched<'a> {
    pub(crate) host: &'a HeaderValue,
    pub(crate) client: &'a ClientLines,
    /// As the client asked for it, at the first front.
    pub(crate) forwarded_host: &'a HeaderValue,
    /// The same in the words of RFC 7239, where it is wanted.
    pub(crate) forwarded: Option<HeaderValue>,
    pub(crate) id: &'a HeaderValue,
    pub(crate) trace: Trace,
    pub(crate) start: Start,
    pub(crate) framing: Framing,
    pub(crate) is_websocket: bool,
    /// Names of fields that go no further.
    pub(crate) refused: &'a [HeaderName],
}

/// The lines that say whom a request is from and how it came, up to where the host belongs that it asked for. They are the same
/// for all requests of a connection, unless it is from a front.
#[derive(Clone, Debug)]
pub(crate) struct ClientLines {
    text: Box<str>,
    /// Where the client's address is.
    address: Range<usize>,
}

impl ClientLines {
    /// `chain`: the client, and the fronts that it came through.
    pub(crate) fn new(chain: &str, client: &str, is_https: bool) -> Self {
        let before = format!("\r\nx-forwarded-for: {chain}\r\nx-real-ip: ");
        let scheme = if is_https { "https" } else { "http" };
        let text = format!("{before}{client}\r\nx-forwarded-proto: {scheme}\r\nx-forwarded-host: ");
        Self { text: text.into(), address: before.len()..before.len() + client.len() }
    }

    /// The client's address as text.
    pub(crate) fn address(&self) -> &[u8] {
        &self.text.as_bytes()[self.address.clone()]
    }
}

/// Writes the head, its empty line included.
pub(crate) fn write(
    method: &Method,
    target: &str,
    fields: &HeaderMap,
    survey: Survey,
    vouched: &Vouched<'_>,
) -> Vec<u8> {
    let mut text = Vec::with_capacity(ROOM);
    text.extend_from_slice(method.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(target.as_bytes());
    // Each line ends where the next one begins: fewer pieces are put together.
    add(&mut text, b" HTTP/1.1\r\nhost: ", vouched.host.as_bytes());
    clients(&mut text, fields, survey, vouched);
    frame(&mut text, survey, vouched.framing);
    if vouched.is_websocket {
        text.extend_from_slice(b"\r\nconnection: upgrade\r\nupgrade: websocket");
    }
    add(&mut text, vouched.client.text.as_bytes(), vouched.forwarded_host.as_bytes());
    add(&mut text, b"\r\nx-request-id: ", vouched.id.as_bytes());
    if let Some(forwarded) = &vouched.forwarded {
        add(&mut text, b"\r\nforwarded: ", forwarded.as_bytes());
    }
    if let Trace::Start(begun) = &vouched.trace {
        add(&mut text, b"\r\ntraceparent: ", begun);
    }
    if let Start::At(time) = vouched.start {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let _ = write!(text, "\r\n{REQUEST_START}: t={}.{:03}", since.as_secs(), since.subsec_millis());
    }
    text.extend_from_slice(b"\r\n\r\n");
    text
}

/// The same head for the so many-th attempt, which its worker is told of.
pub(crate) fn numbered(head: &[u8], attempt: u32) -> Vec<u8> {
    let mut text = Vec::with_capacity(head.len() + 32);
    text.extend_from_slice(head.strip_suffix(b"\r\n").unwrap_or(head));
    let _ = write!(text, "{}: {attempt}\r\n\r\n", headers::ATTEMPT);
    text
}

/// `name` with all that stands around it.
fn add(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    text.extend_from_slice(name);
    text.extend_from_slice(value);
}

/// The client's own fields, but for those that go no further or that we write ourselves.
fn clients(text: &mut Vec<u8>, fields: &HeaderMap, survey: Survey, vouched: &Vouched<'_>) {
    let nominated = survey.nominated(fields);
    let has_crumbs = survey.cookies > 1;
    for (name, value) in fields {
        let is_left_out = is_replaced(name.as_str(), vouched)
            || nominated.contains(name)
            || vouched.refused.contains(name)
            || (has_crumbs && *name == header::COOKIE);
        if !is_left_out {
            add(text, b"\r\n", name.as_str().as_bytes());
            add(text, b": ", value.as_bytes());
        }
    }
    if has_crumbs {
        cookie(text, fields);
    }
}

/// Is it a field that only we write, or nobody? A trace that begins here, or is none, leaves nothing of what was said of another
/// (W3C Trace Context, section 3.3).
fn is_replaced(name: &str, vouched: &Vouched<'_>) -> bool {
    match name {
        "host" | "content-length" | "x-forwarded-for" | "x-real-ip" | "x-forwarded-proto" | "x-forwarded-host"
        | "x-request-id" => true,
        "traceparent" | "tracestate" => vouched.trace != Trace::Pass,
        "x-request-start" => vouched.start != Start::Said,
        name => headers::is_stripped(name),
    }
}

/// HTTP/2 clients may split `Cookie` (RFC 9113, section 8.2.3). An empty crumb would leave white space at the end of the value.
fn cookie(text: &mut Vec<u8>, fields: &HeaderMap) {
    let crumbs = fields.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).filter(|crumb| !crumb.is_empty());
    text.extend_from_slice(b"\r\ncookie: ");
    for (at, crumb) in crumbs.enumerate() {
        if at > 0 {
            text.extend_from_slice(b"; ");
        }
        text.extend_from_slice(crumb);
    }
}

/// Says in one way how the body ends, and a length in its shortest form.
fn frame(text: &mut Vec<u8>, survey: Survey, framing: Framing) {
    let length = match framing {
        Framing::Length(length) => length,
        Framing::Empty if survey.lengths > 0 => 0,
        Framing::Empty => return,
        Framing::Chunked => return text.extend_from_slice(b"\r\ntransfer-encoding: chunked"),
    };
    let _ = write!(text, "\r\ncontent-length: {length}");
}

/// Reads what was written, as a strict worker does.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read(text: &[u8]) -> http::Request<()> {
    let mut fields = vec![httparse::EMPTY_HEADER; 1000];
    let mut parsed = httparse::Request::new(&mut fields);
    assert_eq!(parsed.parse(text), Ok(httparse::Status::Complete(text.len())), "{}", text.escape_ascii());
    let mut request =
        http::Request::builder().method(parsed.method.unwrap_or_default()).uri(parsed.path.unwrap_or_default());
    for field in parsed.headers {
        request = request.header(field.name, field.value);
    }
    request.body(()).expect("what was written is a request")
}

#[cfg(test)]
#[path = "request_head_tests.rs"]
mod tests;
