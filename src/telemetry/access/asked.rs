//! What was asked, put into words when a request comes, so that nothing of the request has to be kept for its line.
//!
//! Knows no files. Invariant: what is kept holds no line feed, and its quotes are in pairs.

use super::format::Format;
use super::{Request, escape};

/// Bytes that are usual.
const ROOM: usize = 256;

/// What the line of an exchange says of its request.
#[derive(Clone, Debug)]
pub struct Asked {
    text: Vec<u8>,
    /// Where the part ends that goes before the answer.
    split: usize,
}

impl Asked {
    pub(super) fn of(request: &Request<'_>, format: Format) -> Self {
        let mut text = Vec::with_capacity(ROOM);
        match format {
            Format::Json => {
                json(&mut text, request);
                Self { split: text.len(), text }
            }
            Format::Text => {
                first_line(&mut text, request);
                let split = text.len();
                sender(&mut text, request);
                Self { text, split }
            }
        }
    }

    /// In a JSON line all of it; in one of text the request's first line.
    pub(super) fn before(&self) -> &[u8] {
        &self.text[..self.split]
    }

    /// In a line of text who has sent it, and to which host.
    pub(super) fn after(&self) -> &[u8] {
        &self.text[self.split..]
    }
}

fn json(out: &mut Vec<u8>, request: &Request<'_>) {
    let mut put = |before: &str, text: &[u8]| {
        out.extend_from_slice(before.as_bytes());
        escape::json(out, text);
    };
    put(",\"protocol\":\"", request.protocol.as_bytes());
    put("\",\"method\":\"", request.method.as_bytes());
    put("\",\"host\":\"", request.host);
    put("\",\"path\":\"", request.path.as_bytes());
    if let Some(referer) = request.referer {
        put("\",\"referer\":\"", referer);
    }
    if let Some(user_agent) = request.user_agent {
        put("\",\"user_agent\":\"", user_agent);
    }
    out.push(b'"');
}

fn first_line(out: &mut Vec<u8>, request: &Request<'_>) {
    out.extend_from_slice(b" \"");
    escape::quoted(out, request.method.as_bytes());
    out.push(b' ');
    escape::quoted(out, request.path.as_bytes());
    out.push(b' ');
    escape::quoted(out, request.protocol.as_bytes());
    out.push(b'"');
}

fn sender(out: &mut Vec<u8>, request: &Request<'_>) {
    out.extend_from_slice(b" \"");
    escape::quoted(out, request.referer.unwrap_or(b"-"));
    out.extend_from_slice(b"\" \"");
    escape::quoted(out, request.user_agent.unwrap_or(b"-"));
    out.extend_from_slice(b"\" host=\"");
    escape::quoted(out, request.host);
    out.push(b'"');
}
