//! A reader of HTTP/1.1 as RFC 9112 has it: what a message says, if it says one thing.
//!
//! The other side of the differential tests: written on its own, so that it errs on its own. Where the RFC lets a reader
//! choose, it takes what hyper takes. Text is Latin-1.

use super::reader::{bytes_of, text_of};

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) start: Vec<String>,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What bytes are to a reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A message, and its length.
    Whole(Plain, usize),
    /// The beginning of one.
    Part,
    /// Nothing that says one thing.
    Nothing,
}

impl Plain {
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(of, _)| of == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Reads one message; `is_request`, or a response whose connection ends behind the bytes.
pub(super) fn read(bytes: &[u8], is_request: bool) -> Said {
    let skipped = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let text = text_of(&bytes[skipped..]);
    let Some(length) = head_length(&text) else { return Said::Part };
    let Some((mut message, head)) = read_head(&text[..length]) else { return Said::Nothing };
    let rest = &bytes[skipped + head..];
    let lengths = message.values("content-length");
    // A list of equal ones may be taken for one (RFC 9112, section 6.3); of a client's, hyper takes none.
    let separator = if is_request { '\0' } else { ',' };
    let members = lengths.iter().flat_map(|length| length.split(separator));
    let lengths: Vec<&str> = members.map(|length| length.trim_matches([' ', '\t'])).collect();
    let codings = message.values("transfer-encoding");
    let body = match (&lengths[..], &codings[..]) {
        (_, [coding]) if coding.eq_ignore_ascii_case("chunked") && !message.start.contains(&"HTTP/1.0".into()) => {
            read_chunks(rest)
        }
        (_, [_, ..]) => Body::Wrong,
        ([], []) if is_request => Body::Whole(Vec::new(), 0),
        ([], []) => Body::Whole(rest.to_vec(), rest.len()),
        ([length, others @ ..], []) => match length.parse::<usize>() {
            Ok(count)
                if length.bytes().all(|b| b.is_ascii_digit()) && others.iter().all(|it| it.parse() == Ok(count)) =>
            {
                rest.get(..count).map_or(Body::Part, |body| Body::Whole(body.to_vec(), count))
            }
            _ => Body::Wrong,
        },
    };
    match body {
        Body::Whole(body, taken) => {
            message.body = body;
            Said::Whole(message, skipped + head + taken)
        }
        Body::Part => Said::Part,
        Body::Wrong => Said::Nothing,
    }
}

/// How many messages there are one behind the other, at most.
pub(super) fn count(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Said::Whole(_, length) = read(bytes, true) {
        count += 1;
        bytes = &bytes[length..];
    }
    count
}

enum Body {
    Whole(Vec<u8>, usize),
    Part,
    Wrong,
}

/// Where the empty line ends, in bytes of the text.
fn head_length(text: &str) -> Option<usize> {
    let ends = ["\n\r\n", "\n\n"].into_iter().filter_map(|end| Some(text.find(end)? + end.len()));
    ends.min()
}

/// Lines end with a line feed, before which a carriage return may stand (RFC 9112, section 2.2).
fn read_head(text: &str) -> Option<(Plain, usize)> {
    let mut lines = Vec::new();
    let mut at = 0;
    loop {
        let end = at + text.get(at..)?.find('\n')?;
        let line = text[at..end].strip_suffix('\r').unwrap_or(&text[at..end]);
        at = end + 1;
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let start = lines.first()?.split(' ').map(str::to_owned).collect();
    let mut fields = Vec::new();
    for line in &lines[1..] {
        let (name, value) = line.split_once(':')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let is_value = |c: char| c == '\t' || (c >= ' ' && c != '\u{7f}');
        if name.is_empty() || !name.chars().all(is_name) || !value.chars().all(is_value) {
            return None;
        }
        fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    // Every character is a byte.
    Some((Plain { start, fields, body: Vec::new() }, bytes_of(&text[..at]).len()))
}

fn read_chunks(bytes: &[u8]) -> Body {
    let (mut body, mut rest) = (Vec::new(), bytes);
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Body::Part };
        let Some(line) = rest[..end].strip_suffix(b"\r") else { return Body::Wrong };
        let line = text_of(line);
        let digits = line.split(';').next().unwrap_or_default().trim_end_matches([' ', '\t']);
        let Some(size) = usize::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')) else {
            return Body::Wrong;
        };
        rest = &rest[end + 1..];
        if size == 0 {
            break;
        }
        let Some(chunk) = rest.get(..size.saturating_add(2)) else { return Body::Part };
        if !chunk.ends_with(b"\r\n") {
            return Body::Wrong;
        }
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[size + 2..];
    }
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Body::Part };
        let line = &rest[..end];
        rest = &rest[end + 1..];
        match line {
            b"" | b"\r" => return Body::Whole(body, bytes.len() - rest.len()),
            _ => {}
        }
    }
}
