//! Numbers and times as text: by way of the standard library's formatting they cost more than all the rest of a
//! line.
//!
//! Knows no lines. Invariant: what is appended is ASCII.

use std::time::Duration;

/// Appends a number.
pub(super) fn number(out: &mut Vec<u8>, value: impl Into<u64>) {
    out.extend_from_slice(itoa::Buffer::new().format(value.into()).as_bytes());
}

/// Appends a number with zeros in front, so that it has this many digits at least.
pub(super) fn padded(out: &mut Vec<u8>, value: impl Into<u64>, width: usize) {
    let mut room = itoa::Buffer::new();
    let digits = room.format(value.into());
    out.resize(out.len() + width.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(digits.as_bytes());
}

/// Appends seconds with six decimals, without the rounding of a float.
pub(super) fn seconds(out: &mut Vec<u8>, time: Duration) {
    number(out, time.as_secs());
    // The leading one keeps the zeros behind it, and becomes the point.
    let mut room = itoa::Buffer::new();
    let digits = room.format(1_000_000 + time.subsec_micros());
    out.push(b'.');
    out.extend_from_slice(&digits.as_bytes()[1..]);
}
