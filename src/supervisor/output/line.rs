//! How lines look: bare, with a time or a worker's name in front, or as JSON; and how bytes become lines.
//!
//! Pure but for the clock, which is read once a batch. Invariants: what is made of a line is one line, whatever was
//! printed; a line longer than [`LONGEST_LINE`] is split, between characters where it is UTF-8.

use jiff::Zoned;
use jiff::fmt::strtime;
use serde::Serialize;

use super::Stream;
use crate::id::WorkerId;

/// Bytes after which a line is split.
pub(super) const LONGEST_LINE: usize = 64 * 1024;

/// How the lines of one place look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `web 12.0 | line`.
    Named,
    /// The line, after the time in this format if there is one.
    Bare(Option<String>),
    /// An object a line.
    Json,
}

#[derive(Serialize)]
struct Record<'a> {
    time: &'a str,
    app: &'a str,
    generation: u64,
    slot: u32,
    stream: Stream,
    line: &'a str,
}

impl Shape {
    /// All lines as text, each with its line feed.
    pub(super) fn text(&self, worker: &WorkerId, stream: Stream, lines: &[String]) -> String {
        let front = match self {
            Self::Named => format!("{worker} | "),
            Self::Bare(None) => String::new(),
            // The format was tried when the configuration was read.
            Self::Bare(Some(format)) => {
                strtime::format(format, &Zoned::now()).map(|time| time + " ").unwrap_or_default()
            }
            Self::Json => return json(worker, stream, lines),
        };
        let bytes = lines.iter().map(|line| front.len() + line.len() + 1).sum();
        let mut text = String::with_capacity(bytes);
        for line in lines {
            text.push_str(&front);
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

fn json(worker: &WorkerId, stream: Stream, lines: &[String]) -> String {
    let time = jiff::Timestamp::now().to_string();
    let (app, generation, slot) = (worker.app.as_str(), worker.generation.0, worker.slot.0);
    let mut text = String::new();
    for line in lines {
        let record = Record { time: &time, app, generation, slot, stream, line };
        text.push_str(&serde_json::to_string(&record).expect("a record of plain values always serialises"));
        text.push('\n');
    }
    text
}

/// Takes whole lines out of what was read; at the end of the stream, all of it.
pub(super) fn take_lines(read: &mut Vec<u8>, ended: bool) -> Vec<String> {
    let (mut lines, mut rest) = (Vec::new(), &read[..]);
    loop {
        let window = &rest[..rest.len().min(LONGEST_LINE + 1)];
        if let Some(at) = window.iter().position(|byte| *byte == b'\n') {
            lines.push(printable(&rest[..at]));
            rest = &rest[at + 1..];
        } else if rest.len() > LONGEST_LINE {
            let (line, more) = rest.split_at(last_boundary(&rest[..LONGEST_LINE]));
            lines.push(printable(line));
            rest = more;
        } else {
            break;
        }
    }
    if ended && !rest.is_empty() {
        lines.push(printable(rest));
        rest = &[];
    }
    let taken = read.len() - rest.len();
    read.drain(..taken);
    lines
}

/// Where to split without cutting a character in two; the end, when these bytes are no UTF-8 there.
fn last_boundary(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
    if (1..4).contains(&last) && last < bytes.len() { bytes.len() - last } else { bytes.len() }
}

/// The line as text: bytes that are no UTF-8 and control characters other than tab and escape are written as escapes.
fn printable(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() && character != '\t' && character != '\u{1b}' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().flat_map(|byte| byte.escape_ascii().map(char::from)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Generation, Slot};

    fn worker() -> WorkerId {
        WorkerId { app: "web".parse().unwrap(), generation: Generation(3), slot: Slot(1) }
    }

    fn text(shape: &Shape, bytes: &[u8]) -> String {
        shape.text(&worker(), Stream::Stderr, &take_lines(&mut bytes.to_vec(), true))
    }

    #[test]
    fn a_line_is_marked_as_its_place_wants_it() {
        assert_eq!(text(&Shape::Named, b"one\r\ntwo"), "web 3.1 | one\nweb 3.1 | two\n");
        assert_eq!(text(&Shape::Bare(None), b"one\n\ntwo\n"), "one\n\ntwo\n");
        let year = jiff::Zoned::now().year().to_string();
        let dated = text(&Shape::Bare(Some("%Y:".into())), b"one\ntwo\n");
        assert_eq!(dated.replace(&year, "now"), "now: one\nnow: two\n");
    }

    #[test]
    fn a_json_line_is_json_whatever_was_printed() {
        let text = text(&Shape::Json, b"a \"quote\" \x00 \xff\n");
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["line"], "a \"quote\" \\u{0} \\xff");
        assert_eq!((record["app"].as_str(), record["stream"].as_str()), (Some("web"), Some("stderr")));
    }

    #[test]
    fn half_a_line_waits_for_its_other_half() {
        let mut read = b"one\ntw".to_vec();
        assert_eq!(take_lines(&mut read, false), ["one"]);
        read.extend(b"o\nthree");
        assert_eq!(take_lines(&mut read, false), ["two"]);
        assert_eq!(take_lines(&mut read, true), ["three"]);
        assert!(read.is_empty() && take_lines(&mut read, true).is_empty());
    }

    #[test]
    fn a_long_line_is_split_between_characters_and_no_byte_is_lost() {
        let long = "x".to_owned() + &"ä".repeat(LONGEST_LINE);
        let lines = take_lines(&mut long.clone().into_bytes(), true);
        assert_eq!((lines.len(), lines.concat()), (3, long));
        let whole = "x".repeat(LONGEST_LINE) + "\n";
        assert_eq!(take_lines(&mut whole.clone().into_bytes(), true), [whole.trim_end()]);
        let binary = vec![0xff; LONGEST_LINE * 2 + 1];
        assert_eq!(take_lines(&mut binary.clone(), true).concat(), "\\xff".repeat(binary.len()));
    }
}
