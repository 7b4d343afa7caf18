//! Numbers, times and addresses as text: by way of the standard library's formatting they cost more than all the rest of a
//! line.
//!
//! Knows no lines. Invariant: what is appended is ASCII.

use std::io::Write as _;
use std::net::IpAddr;
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
    out.push(b'.');
    padded(out, time.subsec_micros(), 6);
}

/// Appends an address.
pub(super) fn address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(four) = address else {
        return write!(out, "{address}").expect("a Vec takes all");
    };
    for (at, part) in four.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        number(out, part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tell: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"|".to_vec();
        tell(&mut out);
        String::from_utf8(out.split_off(1)).unwrap()
    }

    #[test]
    fn numbers_are_told_as_the_library_tells_them() {
        for value in [0, 1, 9, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert_eq!(told(|out| number(out, value)), value.to_string());
            assert_eq!(told(|out| padded(out, value, 3)), format!("{value:03}"));
            assert_eq!(told(|out| padded(out, value, 20)), format!("{value:020}"));
        }
    }

    #[test]
    fn seconds_have_six_decimals() {
        for (nanos, text) in [(0, "0.000000"), (1_999, "0.000001"), (1_012_345_678, "1.012345")] {
            assert_eq!(told(|out| seconds(out, Duration::from_nanos(nanos))), text);
        }
    }

    #[test]
    fn addresses_are_told_as_the_library_tells_them() {
        for text in ["0.0.0.0", "192.0.2.7", "255.255.255.255", "::1", "2001:db8::a"] {
            assert_eq!(told(|out| address(out, text.parse().unwrap())), text);
        }
    }
}
