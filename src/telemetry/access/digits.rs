//! Numbers, times and addresses as text, digit by digit: by way of the standard library's formatting they cost more than all
//! the rest of a line.
//!
//! Knows no lines. Invariant: what is appended is ASCII.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

/// Digits of the greatest number.
const MOST: usize = 20;

/// Appends a number.
pub(super) fn number(out: &mut String, value: impl Into<u64>) {
    padded(out, value, 1);
}

/// Appends a number with zeros in front, so that it has this many digits at least.
pub(super) fn padded(out: &mut String, value: impl Into<u64>, width: usize) {
    let (mut value, mut digits, mut first) = (value.into(), [b'0'; MOST], MOST);
    while value > 0 {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    first = first.min(MOST - width);
    out.push_str(std::str::from_utf8(&digits[first..]).unwrap_or_default());
}

/// Appends seconds with six decimals, without the rounding of a float.
pub(super) fn seconds(out: &mut String, time: Duration) {
    number(out, time.as_secs());
    out.push('.');
    padded(out, time.subsec_micros(), 6);
}

/// Appends an address.
pub(super) fn address(out: &mut String, address: IpAddr) {
    let IpAddr::V4(four) = address else {
        let _ = write!(out, "{address}");
        return;
    };
    for (at, part) in four.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        number(out, part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tell: impl FnOnce(&mut String)) -> String {
        let mut out = String::from("|");
        tell(&mut out);
        out.split_off(1)
    }

    #[test]
    fn numbers_are_told_as_the_library_tells_them() {
        for value in [0, 1, 9, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert_eq!(told(|out| number(out, value)), value.to_string());
            assert_eq!(told(|out| padded(out, value, 3)), format!("{value:03}"));
            assert_eq!(told(|out| padded(out, value, MOST)), format!("{value:020}"));
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
