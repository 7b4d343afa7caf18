//! Header fields on their way through: what is there, and what belongs to one connection only and is taken off.
//!
//! Pure. Does not know what a request asks for. Each message is looked over once ([`Survey`]); what was not found is not
//! looked for again. Invariant: names that `Connection` nominates are removed before ours are added (RFC 9110, section 7.6.1).

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const ATTEMPT: HeaderName = HeaderName::from_static("x-portreeve-attempt");
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Fields that go no further. Those of the first group belong to one connection (RFC 9110, section 7.6.1; RFC 9113,
/// section 8.2.2); `Expect` is answered here; the others are for us to set, or to be set by nobody.
pub(super) const STRIPPED: [HeaderName; 15] = [
    header::CONNECTION,
    KEEP_ALIVE,
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    header::EXPECT,
    HeaderName::from_static("proxy"),
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-port"),
    ATTEMPT,
];

/// Words of a worker to its front, in dialects that we do not speak. They name paths that no client should learn.
const ORDERS: [&str; 3] = ["x-accel-redirect", "x-sendfile", "x-reproxy-url"];

fn is_order(name: &str) -> bool {
    name.starts_with("x-") && ORDERS.contains(&name)
}

const CONNECTION: usize = 0;
const KEPT_ALIVE: usize = 1;
const TRANSFER_ENCODING: usize = 7;
const UPGRADE: usize = 8;
const EXPECT: usize = 10;

/// Is it a field that goes no further?
pub(crate) fn is_stripped(name: &str) -> bool {
    stripped(name).is_some()
}

/// Where a name stands in [`STRIPPED`].
fn stripped(name: &str) -> Option<usize> {
    Some(match name {
        "connection" => CONNECTION,
        "keep-alive" => KEPT_ALIVE,
        "proxy-connection" => 2,
        "proxy-authenticate" => 3,
        "proxy-authorization" => 4,
        "te" => 5,
        "trailer" => 6,
        "transfer-encoding" => TRANSFER_ENCODING,
        "upgrade" => UPGRADE,
        "http2-settings" => 9,
        "expect" => EXPECT,
        "proxy" => 11,
        "forwarded" => 12,
        "x-forwarded-port" => 13,
        "x-portreeve-attempt" => 14,
        _ => return None,
    })
}

/// What one look over the fields of a message found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Bit `i`: `STRIPPED[i]` is there.
    present: u16,
    /// How many there are, up to 255.
    pub(crate) hosts: u8,
    pub(crate) cookies: u8,
    pub(crate) lengths: u8,
    /// The one `Content-Length`, if there is but one and it is in its shortest form.
    pub(crate) length: Option<u64>,
    /// Of `traceparent`.
    pub(crate) traces: u8,
    pub(crate) has_trace_state: bool,
    /// Is there one that is worth another look?
    pub(crate) is_doubtful: bool,
    /// Does a value begin or end with white space? Only in HTTP/2 can one.
    pub(crate) is_padded: bool,
}

impl Survey {
    /// Looks over the fields once; `is_doubtful` says which of them are worth another look.
    pub(crate) fn of(headers: &HeaderMap, is_doubtful: impl Fn(&str) -> bool) -> Self {
        let mut survey = Self::default();
        for (name, value) in headers {
            survey.note(name.as_str(), value.as_bytes(), &is_doubtful);
        }
        survey
    }

    /// Looks at a field of a response.
    pub(crate) fn note_answered(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.note(name.as_str(), value.as_bytes(), &is_order);
    }

    fn note(&mut self, name: &str, value: &[u8], is_doubtful: &impl Fn(&str) -> bool) {
        self.is_padded |= is_padded(value);
        match name {
            "host" => self.hosts = self.hosts.saturating_add(1),
            "cookie" => self.cookies = self.cookies.saturating_add(1),
            "content-length" => {
                self.length = if self.lengths == 0 { plain_number(value) } else { None };
                self.lengths = self.lengths.saturating_add(1);
            }
            "traceparent" => self.traces = self.traces.saturating_add(1),
            "tracestate" => self.has_trace_state = true,
            name => match stripped(name) {
                Some(index) => self.present |= 1 << index,
                None => self.is_doubtful |= is_doubtful(name),
            },
        }
    }

    fn has(self, index: usize) -> bool {
        self.present & (1 << index) != 0
    }

    /// Is there an `Expect`?
    pub(crate) fn has_expect(self) -> bool {
        self.has(EXPECT)
    }

    /// Is there a `Transfer-Encoding`?
    pub(crate) fn has_coding(self) -> bool {
        self.has(TRANSFER_ENCODING)
    }

    /// Is there a `Connection`?
    pub(crate) fn has_connection(self) -> bool {
        self.has(CONNECTION)
    }

    /// The names in all `Connection` lines that are to be removed with it. Those that a message cannot do without stay: a client
    /// that nominates them wants to make the worker see another request than we did.
    pub(crate) fn nominated(self, headers: &HeaderMap) -> Vec<HeaderName> {
        if self.has(CONNECTION) { nominated(headers) } else { Vec::new() }
    }

    /// Does the message ask to switch to a WebSocket, in both fields that this takes (RFC 6455, section 4.1)?
    pub(crate) fn wants_websocket(self, headers: &HeaderMap) -> bool {
        self.has(CONNECTION)
            && self.has(UPGRADE)
            && headers.get_all(header::CONNECTION).iter().any(|value| tokens(value).any(is("upgrade")))
            && is_websocket(headers)
    }
}

/// A number in its shortest form; `None` also for one that is too large.
fn plain_number(text: &[u8]) -> Option<u64> {
    let value = |number: u64, byte: &u8| {
        let digit = Some(byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    let is_shortest = text.len() == 1 || matches!(text.first(), Some(first) if *first != b'0');
    is_shortest.then(|| text.iter().try_fold(0, value))?
}

fn is_padded(value: &[u8]) -> bool {
    let is_white = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_white(value.first()) || is_white(value.last())
}

/// Is `websocket` the one protocol in `Upgrade`?
pub(crate) fn is_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(header::UPGRADE).iter();
    let first = upgrades.next().and_then(|value| value.to_str().ok());
    first.is_some_and(is("websocket")) && upgrades.next().is_none()
}

/// How the body of a message is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    Length(u64),
    /// Its length is known at its end.
    Chunked,
}

/// Makes the fields of a worker's response fit for a client; returns for how long its connection may lie idle, if the worker
/// says how long it keeps one.
///
/// `Content-Length` goes when `Transfer-Encoding` was there too (RFC 9112, section 6.3) and from a 204 (RFC 9110, section
/// 8.6); one that is repeated has been checked to say the same each time when the head was read, and is said once, in its
/// shortest form.
pub(crate) fn toward_client(
    headers: &mut HeaderMap,
    survey: Survey,
    is_204: bool,
    id: &HeaderValue,
) -> Option<Duration> {
    if survey.is_doubtful {
        for name in ORDERS {
            headers.remove(name);
        }
    }
    let kept = if survey.has(KEPT_ALIVE) { headers.get(KEEP_ALIVE).and_then(idle_limit) } else { None };
    strip(headers, survey);
    if survey.lengths > 0 && (survey.has(TRANSFER_ENCODING) || is_204) {
        headers.remove(header::CONTENT_LENGTH);
    } else if survey.lengths > 0
        && survey.length.is_none()
        && let Some(length) = headers.get(header::CONTENT_LENGTH).and_then(length)
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    headers.insert(REQUEST_ID, id.clone());
    kept
}

/// The length, of which there may be a list of equal ones (RFC 9112, section 6.3).
fn length(value: &HeaderValue) -> Option<u64> {
    tokens(value).next()?.parse().ok()
}

/// Removes what goes no further: first what `Connection` nominates, then what is there of [`STRIPPED`].
fn strip(headers: &mut HeaderMap, survey: Survey) {
    for name in survey.nominated(headers) {
        headers.remove(name);
    }
    let mut left = survey.present;
    while left != 0 {
        headers.remove(&STRIPPED[left.trailing_zeros() as usize]);
        left &= left - 1;
    }
}

fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let is_protected = |name: &HeaderName| {
        matches!(*name, header::HOST | header::CONTENT_LENGTH | header::AUTHORIZATION | header::COOKIE)
    };
    let is_option = |token: &&str| !["close", "keep-alive", "upgrade"].iter().any(|option| is(option)(token));
    let lines = headers.get_all(header::CONNECTION).iter();
    let names = lines.flat_map(tokens).filter(is_option).filter_map(|token| token.parse().ok());
    names.filter(|name| !is_protected(name)).collect()
}

/// For how long a connection may lie idle by the `timeout` of a `Keep-Alive` field: a second less, so that it is never
/// used at the moment at which the worker closes it.
fn idle_limit(value: &HeaderValue) -> Option<Duration> {
    let timeout = tokens(value).find_map(|token| {
        let (name, seconds) = token.split_once('=')?;
        is("timeout")(name.trim()).then(|| seconds.trim().trim_matches('"').parse::<u32>().ok())?
    })?;
    Some(Duration::from_secs(timeout.saturating_sub(1).into()))
}

/// The non-empty members of a list (RFC 9110, section 5.6.1); none when it is not text.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// Is a token this one? Case does not matter.
fn is(word: &str) -> impl Fn(&str) -> bool {
    move |token| token.eq_ignore_ascii_case(word)
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
