//! How an access line looks: a JSON object, or text that readers of the "combined" format understand.
//!
//! Knows no files. Invariant: what is appended ends with the only line feed in it.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::{Line, escape};

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
    escape::append(out, format_args!("{} - - ", line.client.address));
    common_time(out, line.time);
    out.push_str(" \"");
    escape::quoted(out, request.method.as_bytes());
    out.push(' ');
    escape::quoted(out, request.path.as_bytes());
    escape::append(out, format_args!(" {}\" {} {} \"", request.protocol, line.status, line.sent));
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
    match service.app {
        Some(app) => escape::append(out, format_args!(" app={app}")),
        None => out.push_str(" app=-"),
    }
    match service.worker {
        Some((generation, slot)) => escape::append(out, format_args!(" worker={generation}.{slot}")),
        None => out.push_str(" worker=-"),
    }
    escape::append(out, format_args!(" in={} seconds={}", line.received, Seconds(line.took)));
    escape::append(out, format_args!(" queued={} attempts={}", Seconds(service.queued), service.attempts));
    let tls = if line.client.tls { "yes" } else { "no" };
    escape::append(out, format_args!(" fault={} tls={tls} id={}", line.fault.unwrap_or("-"), line.request.id));
}

fn json(out: &mut String, line: &Line<'_>) {
    out.push_str("{\"time\":\"");
    rfc3339_time(out, line.time);
    escape::append(out, format_args!("\",\"id\":\"{}\"", line.request.id));
    json_client_and_request(out, line);
    escape::append(out, format_args!(",\"status\":{}", line.status));
    escape::append(out, format_args!(",\"bytes_in\":{},\"bytes_out\":{}", line.received, line.sent));
    escape::append(out, format_args!(",\"seconds\":{}", Seconds(line.took)));
    json_service(out, line);
    if let Some(fault) = line.fault {
        json_field(out, "fault", fault.as_bytes());
    }
    out.push_str("}\n");
}

fn json_client_and_request(out: &mut String, line: &Line<'_>) {
    let request = &line.request;
    escape::append(out, format_args!(",\"peer\":\"{}\",\"tls\":{}", line.client.address, line.client.tls));
    json_field(out, "protocol", request.protocol.as_bytes());
    json_field(out, "method", request.method.as_bytes());
    json_field(out, "host", request.host.as_bytes());
    json_field(out, "path", request.path.as_bytes());
    if let Some(referer) = request.referer {
        json_field(out, "referer", referer);
    }
    if let Some(user_agent) = request.user_agent {
        json_field(out, "user_agent", user_agent);
    }
}

fn json_service(out: &mut String, line: &Line<'_>) {
    let service = &line.service;
    if let Some(app) = service.app {
        json_field(out, "app", app.as_str().as_bytes());
    }
    if let Some((generation, slot)) = service.worker {
        escape::append(out, format_args!(",\"worker\":\"{generation}.{slot}\""));
    }
    escape::append(out, format_args!(",\"queued\":{},\"attempts\":{}", Seconds(service.queued), service.attempts));
}

fn json_field(out: &mut String, name: &str, value: &[u8]) {
    escape::append(out, format_args!(",\"{name}\":\""));
    escape::json(out, value);
    out.push('"');
}

/// `[23/Nov/2026:04:12:59 +0000]`.
fn common_time(out: &mut String, time: SystemTime) {
    let t = utc(time);
    let month = MONTHS[usize::from(t.month().unsigned_abs()) - 1];
    escape::append(out, format_args!("[{:02}/{month}/{:04}:", t.day(), t.year()));
    escape::append(out, format_args!("{:02}:{:02}:{:02} +0000]", t.hour(), t.minute(), t.second()));
}

/// `2026-11-23T04:12:59.007Z`.
fn rfc3339_time(out: &mut String, time: SystemTime) {
    let t = utc(time);
    escape::append(out, format_args!("{:04}-{:02}-{:02}T", t.year(), t.month(), t.day()));
    escape::append(out, format_args!("{:02}:{:02}:{:02}.{:03}Z", t.hour(), t.minute(), t.second(), t.millisecond()));
}

/// A clock so wrong that it leaves the calendar shows the epoch.
fn utc(time: SystemTime) -> DateTime {
    Offset::UTC.to_datetime(Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Seconds with six decimals, without the rounding of a float.
struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}
