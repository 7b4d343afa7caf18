//! How an access line looks: a JSON object, or text that readers of the "combined" format understand.
//!
//! Knows no files. Invariant: what is appended ends with the only line feed in it.

use std::cell::RefCell;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::{Line, digits, escape};
use crate::id::AppName;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How access lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The combined format of Apache httpd and nginx, followed by `name=value` fields.
    Text,
    /// One JSON object per line. What is not there is left out.
    Json,
}

impl Format {
    /// Appends one line.
    pub(super) fn append(self, out: &mut Vec<u8>, line: &Line<'_>) {
        match self {
            Self::Text => text(out, line),
            Self::Json => json(out, line),
        }
    }
}

fn text(out: &mut Vec<u8>, line: &Line<'_>) {
    let request = &line.request;
    digits::address(out, line.client.address);
    put(out, " - - ");
    common_time(out, line.time);
    put(out, " \"");
    escape::quoted(out, request.method.as_bytes());
    out.push(b' ');
    escape::quoted(out, request.path.as_bytes());
    out.push(b' ');
    put(out, request.protocol);
    number(out, "\" ", line.status);
    number(out, " ", line.sent);
    put(out, " \"");
    escape::quoted(out, request.referer.unwrap_or(b"-"));
    put(out, "\" \"");
    escape::quoted(out, request.user_agent.unwrap_or(b"-"));
    put(out, "\" host=\"");
    escape::quoted(out, request.host.as_bytes());
    out.push(b'"');
    text_fields(out, line);
    out.push(b'\n');
}

fn text_fields(out: &mut Vec<u8>, line: &Line<'_>) {
    let service = &line.service;
    put(out, " app=");
    put(out, service.app.map_or("-", AppName::as_str));
    match service.worker {
        Some((generation, slot)) => {
            number(out, " worker=", generation.0);
            number(out, ".", slot.0);
        }
        None => put(out, " worker=-"),
    }
    number(out, " in=", line.received);
    put(out, " seconds=");
    digits::seconds(out, line.took);
    put(out, " queued=");
    digits::seconds(out, service.queued);
    number(out, " attempts=", service.attempts);
    put(out, " fault=");
    put(out, line.fault.unwrap_or("-"));
    put(out, if line.client.tls { " tls=yes id=" } else { " tls=no id=" });
    put(out, line.request.id);
}

fn json(out: &mut Vec<u8>, line: &Line<'_>) {
    put(out, "{\"time\":\"");
    rfc3339_time(out, line.time);
    put(out, "\",\"id\":\"");
    put(out, line.request.id);
    put(out, "\",\"peer\":\"");
    digits::address(out, line.client.address);
    put(out, if line.client.tls { "\",\"tls\":true" } else { "\",\"tls\":false" });
    json_request(out, line);
    number(out, ",\"status\":", line.status);
    number(out, ",\"bytes_in\":", line.received);
    number(out, ",\"bytes_out\":", line.sent);
    put(out, ",\"seconds\":");
    digits::seconds(out, line.took);
    json_service(out, line);
    if let Some(fault) = line.fault {
        json_text(out, ",\"fault\":\"", fault.as_bytes());
    }
    put(out, "}\n");
}

fn json_request(out: &mut Vec<u8>, line: &Line<'_>) {
    let request = &line.request;
    json_text(out, ",\"protocol\":\"", request.protocol.as_bytes());
    json_text(out, ",\"method\":\"", request.method.as_bytes());
    json_text(out, ",\"host\":\"", request.host.as_bytes());
    json_text(out, ",\"path\":\"", request.path.as_bytes());
    if let Some(referer) = request.referer {
        json_text(out, ",\"referer\":\"", referer);
    }
    if let Some(user_agent) = request.user_agent {
        json_text(out, ",\"user_agent\":\"", user_agent);
    }
}

fn json_service(out: &mut Vec<u8>, line: &Line<'_>) {
    let service = &line.service;
    if let Some(app) = service.app {
        json_text(out, ",\"app\":\"", app.as_str().as_bytes());
    }
    if let Some((generation, slot)) = service.worker {
        number(out, ",\"worker\":\"", generation.0);
        number(out, ".", slot.0);
        out.push(b'"');
    }
    put(out, ",\"queued\":");
    digits::seconds(out, service.queued);
    number(out, ",\"attempts\":", service.attempts);
}

/// `before` ends with the quote that opens the text.
fn json_text(out: &mut Vec<u8>, before: &str, text: &[u8]) {
    put(out, before);
    escape::json(out, text);
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, before: &str, value: impl Into<u64>) {
    put(out, before);
    digits::number(out, value);
}

/// `[23/Nov/2026:04:12:59 +0000]`.
fn common_time(out: &mut Vec<u8>, time: SystemTime) {
    let t = utc(time);
    out.push(b'[');
    two(out, t.day());
    out.push(b'/');
    put(out, MONTHS[usize::from(t.month().unsigned_abs()) - 1]);
    out.push(b'/');
    digits::padded(out, t.year().unsigned_abs(), 4);
    for part in [t.hour(), t.minute(), t.second()] {
        out.push(b':');
        two(out, part);
    }
    put(out, " +0000]");
}

thread_local! {
    /// The last second that a line of this thread was of, and how it looks: many lines are of one.
    static SECOND: RefCell<(i64, Vec<u8>)> = const { RefCell::new((i64::MIN, Vec::new())) };
}

/// `2026-11-23T04:12:59.007Z`.
fn rfc3339_time(out: &mut Vec<u8>, time: SystemTime) {
    let millis = timestamp(time).as_millisecond();
    let (whole, fraction) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != whole {
            text.clear();
            whole_second(text, Offset::UTC.to_datetime(Timestamp::from_second(whole).unwrap_or_default()));
            *second = whole;
        }
        out.extend_from_slice(text);
    });
    out.push(b'.');
    digits::padded(out, fraction.unsigned_abs(), 3);
    out.push(b'Z');
}

/// `2026-11-23T04:12:59`.
fn whole_second(out: &mut Vec<u8>, t: DateTime) {
    digits::padded(out, t.year().unsigned_abs(), 4);
    for (before, part) in [(b'-', t.month()), (b'-', t.day()), (b'T', t.hour()), (b':', t.minute()), (b':', t.second())]
    {
        out.push(before);
        two(out, part);
    }
}

fn two(out: &mut Vec<u8>, part: i8) {
    digits::padded(out, part.unsigned_abs(), 2);
}

fn utc(time: SystemTime) -> DateTime {
    Offset::UTC.to_datetime(timestamp(time))
}

/// A clock so wrong that it leaves the calendar shows the epoch.
fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}
