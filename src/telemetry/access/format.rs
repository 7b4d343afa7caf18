//! How an access line looks: a JSON object, or text that readers of the "combined" format understand.
//!
//! Knows no files. Invariant: what is appended ends with the only line feed in it.

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
    pub(super) fn append(self, out: &mut String, line: &Line<'_>) {
        match self {
            Self::Text => text(out, line),
            Self::Json => json(out, line),
        }
    }
}

fn text(out: &mut String, line: &Line<'_>) {
    let request = &line.request;
    digits::address(out, line.client.address);
    out.push_str(" - - ");
    common_time(out, line.time);
    out.push_str(" \"");
    escape::quoted(out, request.method.as_bytes());
    out.push(' ');
    escape::quoted(out, request.path.as_bytes());
    out.push(' ');
    out.push_str(request.protocol);
    number(out, "\" ", line.status);
    number(out, " ", line.sent);
    out.push_str(" \"");
    escape::quoted(out, request.referer.unwrap_or(b"-"));
    out.push_str("\" \"");
    escape::quoted(out, request.user_agent.unwrap_or(b"-"));
    out.push_str("\" host=\"");
    escape::quoted(out, request.host.as_bytes());
    out.push('"');
    text_fields(out, line);
    out.push('\n');
}

fn text_fields(out: &mut String, line: &Line<'_>) {
    let service = &line.service;
    out.push_str(" app=");
    out.push_str(service.app.map_or("-", AppName::as_str));
    match service.worker {
        Some((generation, slot)) => {
            number(out, " worker=", generation.0);
            number(out, ".", slot.0);
        }
        None => out.push_str(" worker=-"),
    }
    number(out, " in=", line.received);
    out.push_str(" seconds=");
    digits::seconds(out, line.took);
    out.push_str(" queued=");
    digits::seconds(out, service.queued);
    number(out, " attempts=", service.attempts);
    out.push_str(" fault=");
    out.push_str(line.fault.unwrap_or("-"));
    out.push_str(if line.client.tls { " tls=yes id=" } else { " tls=no id=" });
    out.push_str(line.request.id);
}

fn json(out: &mut String, line: &Line<'_>) {
    out.push_str("{\"time\":\"");
    rfc3339_time(out, line.time);
    out.push_str("\",\"id\":\"");
    out.push_str(line.request.id);
    out.push_str("\",\"peer\":\"");
    digits::address(out, line.client.address);
    out.push_str(if line.client.tls { "\",\"tls\":true" } else { "\",\"tls\":false" });
    json_request(out, line);
    number(out, ",\"status\":", line.status);
    number(out, ",\"bytes_in\":", line.received);
    number(out, ",\"bytes_out\":", line.sent);
    out.push_str(",\"seconds\":");
    digits::seconds(out, line.took);
    json_service(out, line);
    if let Some(fault) = line.fault {
        json_text(out, ",\"fault\":\"", fault.as_bytes());
    }
    out.push_str("}\n");
}

fn json_request(out: &mut String, line: &Line<'_>) {
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

fn json_service(out: &mut String, line: &Line<'_>) {
    let service = &line.service;
    if let Some(app) = service.app {
        json_text(out, ",\"app\":\"", app.as_str().as_bytes());
    }
    if let Some((generation, slot)) = service.worker {
        number(out, ",\"worker\":\"", generation.0);
        number(out, ".", slot.0);
        out.push('"');
    }
    out.push_str(",\"queued\":");
    digits::seconds(out, service.queued);
    number(out, ",\"attempts\":", service.attempts);
}

/// `before` ends with the quote that opens the text.
fn json_text(out: &mut String, before: &str, text: &[u8]) {
    out.push_str(before);
    escape::json(out, text);
    out.push('"');
}

fn number(out: &mut String, before: &str, value: impl Into<u64>) {
    out.push_str(before);
    digits::number(out, value);
}

/// `[23/Nov/2026:04:12:59 +0000]`.
fn common_time(out: &mut String, time: SystemTime) {
    let t = utc(time);
    out.push('[');
    two(out, t.day());
    out.push('/');
    out.push_str(MONTHS[usize::from(t.month().unsigned_abs()) - 1]);
    out.push('/');
    digits::padded(out, t.year().unsigned_abs(), 4);
    for part in [t.hour(), t.minute(), t.second()] {
        out.push(':');
        two(out, part);
    }
    out.push_str(" +0000]");
}

/// `2026-11-23T04:12:59.007Z`.
fn rfc3339_time(out: &mut String, time: SystemTime) {
    let t = utc(time);
    digits::padded(out, t.year().unsigned_abs(), 4);
    for (before, part) in [('-', t.month()), ('-', t.day()), ('T', t.hour()), (':', t.minute()), (':', t.second())] {
        out.push(before);
        two(out, part);
    }
    out.push('.');
    digits::padded(out, t.millisecond().unsigned_abs(), 3);
    out.push('Z');
}

fn two(out: &mut String, part: i8) {
    digits::padded(out, part.unsigned_abs(), 2);
}

/// A clock so wrong that it leaves the calendar shows the epoch.
fn utc(time: SystemTime) -> DateTime {
    Offset::UTC.to_datetime(Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
}
