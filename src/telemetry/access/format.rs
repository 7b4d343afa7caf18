//! How an access line looks: a JSON object, or text that readers of the "combined" format understand.
//!
//! Knows no files. Invariant: what is appended ends with the only line feed in it.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::{Asked, Line, digits};
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
    pub(super) fn append(self, out: &mut Vec<u8>, asked: &Asked, line: &Line<'_>) {
        match self {
            Self::Text => text(out, asked, line),
            Self::Json => json(out, asked, line),
        }
    }

    /// `23/Nov/2026:04:12:59`, or `2026-11-23T04:12:59`.
    fn append_second(self, out: &mut Vec<u8>, t: DateTime) {
        let (year, month) = (t.year().unsigned_abs(), t.month());
        match self {
            Self::Text => {
                two(out, t.day());
                out.push(b'/');
                put(out, MONTHS[usize::from(month.unsigned_abs()) - 1]);
                out.push(b'/');
                digits::padded(out, year, 4);
            }
            Self::Json => {
                digits::padded(out, year, 4);
                out.push(b'-');
                two(out, month);
                out.push(b'-');
                two(out, t.day());
            }
        }
        let before_hour = if self == Self::Text { b':' } else { b'T' };
        for (before, part) in [(before_hour, t.hour()), (b':', t.minute()), (b':', t.second())] {
            out.push(before);
            two(out, part);
        }
    }
}

fn text(out: &mut Vec<u8>, asked: &Asked, line: &Line<'_>) {
    out.extend_from_slice(line.client.address);
    put(out, " - - [");
    second(out, Format::Text, line.time);
    put(out, " +0000]");
    out.extend_from_slice(asked.before());
    number(out, " ", line.status);
    number(out, " ", line.sent);
    out.extend_from_slice(asked.after());
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
    out.extend_from_slice(line.id);
}

fn json(out: &mut Vec<u8>, asked: &Asked, line: &Line<'_>) {
    put(out, "{\"time\":\"");
    let millis = second(out, Format::Json, line.time);
    out.push(b'.');
    digits::padded(out, millis, 3);
    put(out, "Z\",\"id\":\"");
    out.extend_from_slice(line.id);
    put(out, "\",\"peer\":\"");
    out.extend_from_slice(line.client.address);
    put(out, if line.client.tls { "\",\"tls\":true" } else { "\",\"tls\":false" });
    out.extend_from_slice(asked.before());
    number(out, ",\"status\":", line.status);
    number(out, ",\"bytes_in\":", line.received);
    number(out, ",\"bytes_out\":", line.sent);
    put(out, ",\"seconds\":");
    digits::seconds(out, line.took);
    json_service(out, line);
    if let Some(fault) = line.fault {
        put(out, ",\"fault\":\"");
        put(out, fault);
        out.push(b'"');
    }
    put(out, "}\n");
}

fn json_service(out: &mut Vec<u8>, line: &Line<'_>) {
    let service = &line.service;
    if let Some(app) = service.app {
        put(out, ",\"app\":\"");
        put(out, app.as_str());
        out.push(b'"');
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

fn number(out: &mut Vec<u8>, before: &str, value: impl Into<u64>) {
    put(out, before);
    digits::number(out, value);
}

thread_local! {
    /// The last second that a line of this thread was of, and how it looks in each format: many lines are of one.
    static SECONDS: RefCell<[(u64, Vec<u8>); 2]> = const { RefCell::new([(u64::MAX, Vec::new()), (u64::MAX, Vec::new())]) };
}

/// Appends a time up to its second, and returns the milliseconds that are left. A clock so wrong that it leaves the calendar
/// shows the epoch.
fn second(out: &mut Vec<u8>, format: Format, time: SystemTime) -> u32 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECONDS.with_borrow_mut(|seconds| {
        let (second, text) = &mut seconds[format as usize];
        if *second != since.as_secs() {
            *second = since.as_secs();
            text.clear();
            let told = i64::try_from(*second).ok().and_then(|second| Timestamp::from_second(second).ok());
            format.append_second(text, Offset::UTC.to_datetime(told.unwrap_or(Timestamp::UNIX_EPOCH)));
        }
        out.extend_from_slice(text);
    });
    since.subsec_millis()
}

fn two(out: &mut Vec<u8>, part: i8) {
    digits::padded(out, part.unsigned_abs(), 2);
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}
