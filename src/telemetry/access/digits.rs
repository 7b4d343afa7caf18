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
    let (mut left, mut digits) = (time.subsec_micros(), *b".000000");
    for digit in digits[1..].iter_mut().rev() {
        *digit += (left % 10) as u8;
        left /= 10;
    }
    out.extend_from_slice(&digits);
}
