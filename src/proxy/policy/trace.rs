//! Which trace a request belongs to: `traceparent` of W3C Trace Context, level 1.
//!
//! Pure, but for the dice. We record nothing ourselves. Invariant: a worker that gets the field gets one, and it is valid.

use std::ops::Range;

use http::header::{HeaderMap, HeaderValue};

use super::super::headers::{Survey, TRACE_PARENT};

/// A trace that begins, but for its name and that of its first span. Whether the one that begins it recorded it is not known; said
/// is that it may have (`01`, section 3.2.2.5.1), or apps that go by it would record nothing.
const BEGUN: [u8; 55] = *b"00-00000000000000000000000000000000-0000000000000000-01";

const TRACE: Range<usize> = 3..35;
const PARENT: Range<usize> = 36..52;

/// Each byte as two hexadecimal digits.
const DIGITS: [[u8; 2]; 256] = {
    let (digits, mut table, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while byte < table.len() {
        table[byte] = [digits[byte >> 4], digits[byte & 0xf]];
        byte += 1;
    }
    table
};

/// What becomes of a request's trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// What the request says is passed on, be it nothing.
    Pass,
    /// What it says is no trace, and taken off.
    Drop,
    /// This one begins.
    Start([u8; BEGUN.len()]),
}

impl Trace {
    /// `starts`: is one to begin where there is none? `id` is the exchange's name, and that of the trace, if it can be, as one
    /// that is made here always can (`is_ours`).
    pub(crate) fn of(headers: &HeaderMap, survey: Survey, starts: bool, id: &HeaderValue, is_ours: bool) -> Self {
        if survey.traces == 1 && headers.get(TRACE_PARENT).is_some_and(|value| is_trace(value.as_bytes())) {
            return Self::Pass;
        }
        if starts {
            Self::Start(begin(id, is_ours))
        } else if survey.traces > 0 || survey.has_trace_state {
            Self::Drop
        } else {
            Self::Pass
        }
    }
}

/// Is it `version-trace-parent-flags` (section 3.2)? A later version may say more behind a further hyphen.
fn is_trace(value: &[u8]) -> bool {
    let Some((known, rest)) = value.split_at_checked(BEGUN.len()) else { return false };
    let (version, flags) = (&known[..2], &known[53..]);
    let is_split = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    let is_whole = rest.is_empty() || (version != b"00" && rest[0] == b'-');
    let are_ids = is_id(&known[TRACE]) && is_id(&known[PARENT]);
    is_split && is_whole && is_hex(version) && version != b"ff" && are_ids && is_hex(flags)
}

fn is_hex(part: &[u8]) -> bool {
    // To the end in any case, which is many at a time.
    part.iter().fold(true, |are, byte| are & matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_id(part: &[u8]) -> bool {
    is_hex(part) && part.iter().any(|byte| *byte != b'0')
}

fn begin(id: &HeaderValue, is_ours: bool) -> [u8; BEGUN.len()] {
    let (mut begun, id) = (BEGUN, id.as_bytes());
    if id.len() == TRACE.len() && (is_ours || is_id(id)) {
        begun[TRACE].copy_from_slice(id);
    } else {
        write_digits(fastrand::u128(1..).to_be_bytes(), &mut begun[TRACE]);
    }
    write_digits(fastrand::u64(1..).to_be_bytes(), &mut begun[PARENT]);
    begun
}

/// Writes bytes as hexadecimal digits, two for each.
pub(crate) fn write_digits<const N: usize>(bytes: [u8; N], into: &mut [u8]) {
    for (pair, byte) in into[..2 * N].as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = DIGITS[usize::from(byte)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn decided(lines: &[(&'static str, &str)], starts: bool, id: &str) -> Trace {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        Trace::of(&headers, Survey::of(&headers, |_| false), starts, &id.parse().unwrap(), false)
    }

    #[test]
    fn what_is_valid_is_passed_on() {
        for value in [GOOD, &GOOD.replace("00-4", "01-4"), &format!("{}-more", GOOD.replace("00-4", "cc-4"))] {
            assert_eq!(decided(&[("traceparent", value)], true, ID), Trace::Pass, "{value}");
            assert_eq!(decided(&[("traceparent", value)], false, ID), Trace::Pass, "{value}");
        }
    }

    #[test]
    fn what_is_not_is_replaced_or_taken_off() {
        for value in [
            "",
            "00-a-b-01",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &format!("{GOOD}x"),
            &GOOD.replace("4bf", "4BF"),
            &GOOD.replace("00-4", "ff-4"),
            &GOOD.replace("-01", "-0x"),
            &GOOD.replace('-', "_"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert!(matches!(decided(&[("traceparent", value)], true, ID), Trace::Start(_)), "{value}");
            assert_eq!(decided(&[("traceparent", value)], false, ID), Trace::Drop, "{value}");
        }
        assert_eq!(decided(&[("traceparent", GOOD), ("traceparent", GOOD)], false, ID), Trace::Drop);
        assert_eq!(decided(&[("tracestate", "a=1")], false, ID), Trace::Drop);
        assert_eq!(decided(&[], false, ID), Trace::Pass);
    }

    #[test]
    fn a_trace_that_begins_is_named_as_the_exchange_is_if_it_can_be() {
        for (id, is_taken) in [(ID, true), ("edge-1", false), ("00000000000000000000000000000000", false)] {
            let Trace::Start(begun) = decided(&[], true, id) else { panic!("it begins") };
            let begun = std::str::from_utf8(&begun).unwrap();
            assert!(is_trace(begun.as_bytes()), "{begun}");
            assert_eq!(begun.contains(&format!("-{id}-")), is_taken, "{begun}");
        }
    }
}
