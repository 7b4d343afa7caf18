//! Why an exchange failed: the only table of side, status, retry class, label and text.
//!
//! The response, the access line, the metrics, the report to the supervisor and the retry rule all read it; nobody else
//! knows a status code of a failure. Invariant: a text says nothing that came from a client or a worker.

use http::StatusCode;

use super::retry::Class;
use crate::link::FaultKind;

/// Why an exchange has no answer from a worker, or not a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No `Host`, several, one that is no host, or one that contradicts the target (RFC 9112, section 3.2).
    Host,
    /// The target is in a form or of a scheme that is not served here.
    Target,
    /// The host is of another certificate than the one that the connection was made with.
    Misdirected,
    /// `CONNECT` and `TRACE`.
    Method,
    /// A method whose name is not in capital letters, or is very long.
    MethodName,
    /// An `Expect` other than `100-continue` (RFC 9110, section 10.1.1).
    Expectation,
    /// A transfer coding other than one `chunked` (RFC 9112, section 6.1).
    Coding,
    /// More requests than one address may send.
    Often,
    /// A value of a field with white space around it (RFC 9113, section 8.2.1).
    Padding,
    /// More header fields than the limit.
    ManyHeaders,
    /// A body longer than the limit.
    LargeBody,
    /// The client was silent for too long within a body, or too slow.
    SlowBody,
    /// The body from the client broke off or was not framed right.
    BrokenBody,
    /// The client went away before its answer was complete.
    ClientGone,
    /// It was still under way when this proxy's time was up.
    Retired,
    /// No app serves this host and path.
    NoRoute,
    /// As many requests as may be held are held already.
    HoldFull,
    /// Those that are held have waited for too long already.
    Overload,
    /// Held for as long as it may be.
    HoldTimeout,
    /// No worker is there and none is expected.
    Down,
    /// Somebody has taken the app out of service for a while.
    Maintenance,
    /// We have no descriptor, port or memory left for a connection to a worker.
    Exhausted,
    /// No connection to the worker could be made.
    Connect,
    /// The connection ended before any of the request was written.
    Unsent,
    /// The request was sent, and the connection ended without a byte of response.
    Silent,
    /// The request was sent, and the worker ended without having read it.
    Unread,
    /// What came from the worker was no response, or not a whole head, or an upgrade that nobody had asked for.
    Malformed,
    /// No response in time.
    Timeout,
    /// The response broke off after its head had been passed on.
    Cut,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Us,
    /// The worker's, of which the supervisor is told in this word.
    Worker(FaultKind),
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) side: Side,
    /// What the client is told; of [`Fault::ClientGone`], [`Fault::Retired`] and [`Fault::Cut`] only what is recorded.
    pub(crate) status: u16,
    pub(crate) class: Class,
    /// For access lines and metrics.
    pub(crate) label: &'static str,
    pub(crate) text: &'static str,
    /// Seconds for `Retry-After`.
    pub(crate) retry_after: Option<&'static str>,
}

impl Fault {
    /// The row of this fault.
    pub(crate) fn row(self) -> Row {
        match self {
            Self::Host => client(400, "host", "400 Bad Request: the request names no host, or not one host\n"),
            Self::Target => client(400, "target", "400 Bad Request: the request target is not served here\n"),
            Self::Method => client(405, "method", "405 Method Not Allowed\n"),
            Self::Misdirected => client(421, "misdirected", MISDIRECTED),
            Self::MethodName => client(400, "method-name", "400 Bad Request: the method is no method in use\n"),
            Self::Expectation => client(417, "expectation", "417 Expectation Failed\n"),
            Self::Coding => client(400, "coding", "400 Bad Request: the only transfer coding served here is chunked\n"),
            Self::Padding => client(400, "padding", "400 Bad Request: there is white space around a field's value\n"),
            Self::ManyHeaders => client(431, "many-headers", "431 Request Header Fields Too Large\n"),
            Self::Often => Row { retry_after: Some("1"), ..client(429, "too-many", TOO_MANY) },
            Self::LargeBody => client(413, "large-body", "413 Content Too Large\n"),
            Self::SlowBody => client(408, "slow-body", "408 Request Timeout: the request body did not come in time\n"),
            Self::BrokenBody => client(400, "broken-body", "400 Bad Request: the request body broke off\n"),
            Self::ClientGone => client(499, "client-gone", ""),
            Self::Retired => us(503, "retired", "", Some("1")),
            Self::NoRoute => us(404, "no-route", "404 Not Found: no app serves this host and path\n", None),
            Self::HoldFull => {
                us(503, "hold-full", "503 Service Unavailable: too many requests are waiting\n", Some("1"))
            }
            Self::Overload => us(503, "overload", "503 Service Unavailable: the app is overloaded\n", Some("1")),
            Self::HoldTimeout => us(503, "hold-timeout", "503 Service Unavailable: the app is busy\n", Some("1")),
            Self::Down => us(503, "down", "503 Service Unavailable: the app is down\n", Some("5")),
            Self::Maintenance => us(503, "maintenance", "503 Service Unavailable: maintenance\n", Some("60")),
            Self::Exhausted => us(503, "exhausted", EXHAUSTED, Some("1")),
            Self::Connect => worker(FaultKind::Connect, Class::Unconnected, "connect", UNREACHABLE),
            Self::Unsent => worker(FaultKind::Broken, Class::Unsent, "unsent", NO_ANSWER),
            Self::Silent => worker(FaultKind::Broken, Class::Silent, "silent", NO_ANSWER),
            Self::Unread => worker(FaultKind::Broken, Class::Unread, "unread", NO_ANSWER),
            Self::Malformed => worker(FaultKind::Broken, Class::Never, "malformed", NONSENSE),
            Self::Timeout => worker(FaultKind::Timeout, Class::Never, "timeout", TOO_LATE),
            Self::Cut => worker(FaultKind::Broken, Class::Never, "cut", ""),
        }
    }

    /// Is it wrong to go on reading requests after it? What follows may be a part of what was wrong, to somebody.
    pub(crate) fn ends_connection(self) -> bool {
        matches!(self, Self::Coding | Self::BrokenBody)
    }

    /// The status code for the client.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).expect("every status in the table has three digits")
    }
}

const MISDIRECTED: &str = "421 Misdirected Request: this connection was made for another host\n";
const EXHAUSTED: &str = "503 Service Unavailable: too many connections are open here\n";
const TOO_MANY: &str = "429 Too Many Requests: come back a little later\n";
const UNREACHABLE: &str = "502 Bad Gateway: the app cannot be reached\n";
const NONSENSE: &str = "502 Bad Gateway: the app's answer cannot be understood\n";
const TOO_LATE: &str = "504 Gateway Timeout: the app has not answered in time\n";
const NO_ANSWER: &str = "502 Bad Gateway: the app closed the connection without an answer\n";

fn client(status: u16, label: &'static str, text: &'static str) -> Row {
    Row { side: Side::Client, status, class: Class::Never, label, text, retry_after: None }
}

fn us(status: u16, label: &'static str, text: &'static str, retry_after: Option<&'static str>) -> Row {
    Row { side: Side::Us, status, class: Class::Never, label, text, retry_after }
}

fn worker(kind: FaultKind, class: Class, label: &'static str, text: &'static str) -> Row {
    let status = if kind == FaultKind::Timeout { 504 } else { 502 };
    Row { side: Side::Worker(kind), status, class, label, text, retry_after: None }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.row().label)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Fault; 29] = [
        Fault::Host,
        Fault::Target,
        Fault::Method,
        Fault::MethodName,
        Fault::Misdirected,
        Fault::Expectation,
        Fault::Coding,
        Fault::Padding,
        Fault::ManyHeaders,
        Fault::LargeBody,
        Fault::SlowBody,
        Fault::BrokenBody,
        Fault::ClientGone,
        Fault::Retired,
        Fault::NoRoute,
        Fault::HoldFull,
        Fault::HoldTimeout,
        Fault::Overload,
        Fault::Often,
        Fault::Down,
        Fault::Maintenance,
        Fault::Exhausted,
        Fault::Connect,
        Fault::Unsent,
        Fault::Silent,
        Fault::Unread,
        Fault::Malformed,
        Fault::Timeout,
        Fault::Cut,
    ];

    #[test]
    fn the_side_agrees_with_the_status() {
        for fault in ALL {
            let row = fault.row();
            let agrees = match row.side {
                Side::Client => (400..500).contains(&row.status),
                Side::Us => row.status == 404 || row.status == 503,
                Side::Worker(_) => row.status == 502 || row.status == 504,
            };
            assert!(agrees, "{fault:?}");
            assert_eq!(fault.status().as_u16(), row.status);
        }
    }

    #[test]
    fn a_text_begins_with_its_status_and_ends_its_line() {
        for row in ALL.map(Fault::row).iter().filter(|row| !row.text.is_empty()) {
            assert!(row.text.starts_with(&row.status.to_string()) && row.text.ends_with('\n'), "{}", row.label);
        }
    }

    #[test]
    fn labels_are_distinct() {
        let mut labels = ALL.map(|fault| fault.row().label);
        labels.sort_unstable();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
    }

    #[test]
    fn only_what_a_worker_failed_is_tried_again() {
        for row in ALL.map(Fault::row) {
            assert!(row.class == Class::Never || matches!(row.side, Side::Worker(_)), "{}", row.label);
        }
    }

    #[test]
    fn whoever_comes_too_early_is_told_when_to_come_back() {
        for fault in ALL {
            assert_eq!(fault.row().retry_after.is_some(), matches!(fault.row().status, 503 | 429), "{fault:?}");
        }
    }
}
