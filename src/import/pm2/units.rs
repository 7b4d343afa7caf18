//! Times and sizes as PM2 writes them, and as portreeve does.
//!
//! Pure. A text that is neither gives `None`, as it has no meaning for PM2 either.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::record::{number, text};
use crate::config::{format_duration, format_size};

/// Milliseconds as a number, or digits with `h`, `m` or `s`.
pub(super) fn time(value: &Value) -> Option<Duration> {
    if let Some(millis) = number(value) {
        return u64::try_from(millis).ok().map(Duration::from_millis);
    }
    let text = text(value);
    let (digits, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let count: u64 = digits.trim().parse().ok()?;
    let seconds = match unit {
        "s" => count,
        "m" => count.checked_mul(60)?,
        "h" => count.checked_mul(3600)?,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// Bytes as a number, or digits with `K`, `M` or `G`, which are powers of 1024 for PM2.
pub(super) fn size(value: &Value) -> Option<u64> {
    if let Some(bytes) = number(value) {
        return u64::try_from(bytes).ok();
    }
    let text = text(value).trim().trim_end_matches(['b', 'B', 'i']).to_owned();
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.trim().parse().ok()?;
    let factor: u64 = match unit.to_ascii_uppercase().as_str() {
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    count.checked_mul(factor)
}

/// A time as a text, moved into the bounds of its key; whether it had to be.
pub(super) fn bounded(time: Duration, range: &RangeInclusive<Duration>) -> (String, bool) {
    let within = time.clamp(*range.start(), *range.end());
    (format_duration(within), within != time)
}

pub(super) fn bytes(size: u64) -> String {
    format_size(size)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_milliseconds_or_have_a_unit() {
        for (typed, millis) in [
            (json!(1600), Some(1600)),
            (json!("1600"), Some(1600)),
            (json!("10s"), Some(10_000)),
            (json!("2m"), Some(120_000)),
            (json!("1h"), Some(3_600_000)),
            (json!(0), Some(0)),
            (json!(-1), None),
            (json!("s"), None),
            (json!(""), None),
            (json!("10é"), None),
            (json!(["10s"]), None),
        ] {
            assert_eq!(time(&typed), millis.map(Duration::from_millis), "{typed}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        for (typed, bytes) in [
            (json!("500M"), Some(500 << 20)),
            (json!("1G"), Some(1 << 30)),
            (json!("300MB"), Some(300 << 20)),
            (json!("64K"), Some(64 << 10)),
            (json!(1000), Some(1000)),
            (json!("99999999999999999G"), None),
            (json!("M"), None),
            (json!("x"), None),
        ] {
            assert_eq!(size(&typed), bytes, "{typed}");
        }
    }
}
