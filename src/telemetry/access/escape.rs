//! Makes text from clients harmless within one line.
//!
//! Knows nothing of access logs. Invariant: what is appended holds no control character (C0, DEL, C1), so it can neither
//! end the line nor command a terminal.

use std::fmt::Write;

/// Appends the inside of a JSON string (RFC 8259, section 7). Bytes that are not UTF-8 become U+FFFD.
pub(super) fn json(out: &mut String, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if c.is_control() => append(out, format_args!("\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
        }
        if !chunk.invalid().is_empty() {
            out.push('\u{fffd}');
        }
    }
}

/// Appends the inside of a quoted field as nginx writes it: `"`, `\`, and all but printable ASCII as `\xHH`.
pub(super) fn quoted(out: &mut String, text: &[u8]) {
    for &byte in text {
        match byte {
            b' '..=b'~' if byte != b'"' && byte != b'\\' => out.push(char::from(byte)),
            _ => append(out, format_args!("\\x{byte:02X}")),
        }
    }
}

/// Appends formatted text.
pub(super) fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes all");
}
