//! Makes text from clients harmless within one line.
//!
//! Knows nothing of access logs. Invariant: what is appended holds no control character (C0, DEL, C1), so it can neither
//! end the line nor command a terminal.

use std::io::Write;

/// Appends the inside of a JSON string (RFC 8259, section 7). Bytes that are not UTF-8 become U+FFFD.
pub(super) fn json(out: &mut Vec<u8>, text: &[u8]) {
    // Nearly every text is this, and looking at all of it is many bytes at a time.
    let is_plain =
        text.iter().fold(true, |are, byte| are & matches!(byte, b' '..=b'~') & !matches!(byte, b'"' | b'\\'));
    if is_plain {
        return out.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        json_text(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn json_text(out: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| c.is_control() || matches!(c, '"' | '\\')) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            c => append(out, format_args!("\\u{:04x}", u32::from(c))),
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Appends the inside of a quoted field as nginx writes it: `"`, `\`, and all but printable ASCII as `\xHH`.
pub(super) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b' ' | b'!' | b'#'..=b'[' | b']'..=b'~' => out.push(byte),
            _ => append(out, format_args!("\\x{byte:02X}")),
        }
    }
}

/// Appends formatted text.
fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes all");
}
