//! Durations and sizes as people write them: `30s`, `1m30s`, `32KiB`.
//!
//! Pure text in, number out, and back. Knows no key and no bound. Invariant: what [`format_duration`] and
//! [`format_size`] write, [`parse_duration`] and [`parse_size`] read back as the same value.

use std::time::Duration;

/// Units of time in milliseconds, the longest first.
pub(super) const TIME: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size in bytes; the binary ones first, the longest first, because those are written.
pub(super) const SIZE: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
];

/// What people write for a unit, and the one that they mean.
const SLIPS: [(&str, &str); 34] = [
    ("msec", "ms"),
    ("msecs", "ms"),
    ("millis", "ms"),
    ("milliseconds", "ms"),
    ("S", "s"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("H", "h"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("D", "d"),
    ("day", "d"),
    ("days", "d"),
    ("b", "B"),
    ("bytes", "B"),
    ("k", "KiB"),
    ("K", "KiB"),
    ("kb", "kB"),
    ("kib", "KiB"),
    ("m", "MiB"),
    ("M", "MiB"),
    ("mb", "MB"),
    ("mib", "MiB"),
    ("g", "GiB"),
    ("G", "GiB"),
    ("gb", "GB"),
    ("gib", "GiB"),
];

/// So many bytes, or such a share of what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Bytes(u64),
    Percent(u32),
}

/// Units of an amount beside those of a size: what PM2 and systemd take.
pub(super) const SHORT: [(&str, u64); 4] = [("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("k", 1 << 10)];

/// Why a text is not a number with a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadUnit {
    #[error("a number is missing")]
    NoNumber,
    #[error("the unit is missing after {0}")]
    NoUnit(u64),
    #[error("there is no unit `{0}`")]
    Unknown(String),
    #[error("did you mean `{0}{1}`?")]
    Slip(u64, &'static str),
    #[error("fractions are not read, use a smaller unit")]
    Fraction,
    #[error("the units must go from the longest to the shortest")]
    Order,
    #[error("one number with one unit is expected")]
    Several,
    #[error("the number is too large")]
    TooLarge,
}

/// Reads a duration such as `250ms` or `1m30s`: whole numbers with units, the longest unit first.
pub(super) fn parse_duration(text: &str) -> Result<Duration, BadUnit> {
    let (mut rest, mut total, mut shortest) = (text, 0_u64, u64::MAX);
    loop {
        let (number, unit, after) = part(rest)?;
        let scale = scale(unit, number, &TIME)?;
        if scale >= shortest {
            return Err(BadUnit::Order);
        }
        let add = number.checked_mul(scale).ok_or(BadUnit::TooLarge)?;
        total = total.checked_add(add).ok_or(BadUnit::TooLarge)?;
        if after.is_empty() {
            return Ok(Duration::from_millis(total));
        }
        (rest, shortest) = (after, scale);
    }
}

/// Reads a size in bytes such as `32KiB`; `kB`, `MB` and `GB` are powers of 1000.
pub(super) fn parse_size(text: &str) -> Result<u64, BadUnit> {
    let (number, unit, rest) = part(text)?;
    let scale = scale(unit, number, &SIZE)?;
    if !rest.is_empty() {
        return Err(BadUnit::Several);
    }
    number.checked_mul(scale).ok_or(BadUnit::TooLarge)
}

/// Reads `500M`, `1.5GiB` or `20%`; up to three digits may follow the point.
pub(super) fn parse_amount(text: &str) -> Result<Amount, BadUnit> {
    if let Some(percent) = text.strip_suffix('%') {
        return percent.trim_end().parse().map(Amount::Percent).map_err(|_| BadUnit::NoNumber);
    }
    let letters = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(letters);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 3 || whole.is_empty() {
        return Err(BadUnit::NoNumber);
    }
    let whole: u64 = whole.parse().map_err(|_| BadUnit::TooLarge)?;
    let thousandths: u64 = format!("{fraction:0<3}").parse().map_err(|_| BadUnit::NoNumber)?;
    let short = SHORT.iter().find(|(name, _)| *name == unit).map(|(_, scale)| Ok(*scale));
    let scale = short.unwrap_or_else(|| scale(unit, whole, &SIZE))?;
    let bytes = (u128::from(whole) * 1000 + u128::from(thousandths)) * u128::from(scale) / 1000;
    u64::try_from(bytes).map(Amount::Bytes).map_err(|_| BadUnit::TooLarge)
}

/// Writes a duration so that [`parse_duration`] reads it back; what is below a millisecond is cut off.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, scale) in TIME {
        if rest >= scale {
            text.push_str(&(rest / scale).to_string());
            text.push_str(unit);
            rest %= scale;
        }
    }
    text
}

/// Writes a size in the largest binary unit that divides it.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let fits = |(_, scale): &&(&str, u64)| bytes >= *scale && bytes.is_multiple_of(*scale);
    let (unit, scale) = SIZE.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / scale)
}

/// Takes a number and the letters after it off the front of a text.
fn part(text: &str) -> Result<(u64, &str, &str), BadUnit> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(BadUnit::NoNumber);
    }
    if rest.starts_with(['.', ',']) {
        return Err(BadUnit::Fraction);
    }
    let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    Ok((number.parse().map_err(|_| BadUnit::TooLarge)?, unit, rest))
}

/// What a unit stands for.
fn scale(unit: &str, number: u64, units: &[(&'static str, u64)]) -> Result<u64, BadUnit> {
    let known = |unit: &str| units.iter().find(|(name, _)| *name == unit);
    if unit.is_empty() {
        return Err(BadUnit::NoUnit(number));
    }
    if let Some((_, scale)) = known(unit) {
        return Ok(*scale);
    }
    let plain = unit.trim();
    let meant = SLIPS.iter().filter(|(slip, _)| *slip == plain).find_map(|(_, meant)| known(meant));
    match meant.or_else(|| known(plain)) {
        Some((meant, _)) => Err(BadUnit::Slip(number, meant)),
        None => Err(BadUnit::Unknown(unit.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        let read = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(read("250ms"), Ok(250));
        assert_eq!(read("0s"), Ok(0));
        assert_eq!(read("1m30s"), Ok(90_000));
        assert_eq!(read("1d2h3m4s5ms"), Ok(93_784_005));
        assert_eq!(read(""), Err(BadUnit::NoNumber));
        assert_eq!(read("s"), Err(BadUnit::NoNumber));
        assert_eq!(read("-1s"), Err(BadUnit::NoNumber));
        assert_eq!(read("30"), Err(BadUnit::NoUnit(30)));
        assert_eq!(read("1m30"), Err(BadUnit::NoUnit(30)));
        assert_eq!(read("30x"), Err(BadUnit::Unknown("x".into())));
        assert_eq!(read("30sec"), Err(BadUnit::Slip(30, "s")));
        assert_eq!(read("30 s"), Err(BadUnit::Slip(30, "s")));
        assert_eq!(read("5M"), Err(BadUnit::Unknown("M".into())), "a unit of size");
        assert_eq!(read("1.5s"), Err(BadUnit::Fraction));
        assert_eq!(read("30s1m"), Err(BadUnit::Order));
        assert_eq!(read("0s0s"), Err(BadUnit::Order));
        assert_eq!(read("99999999999999999999s"), Err(BadUnit::TooLarge));
        assert_eq!(read("18446744073709551615s"), Err(BadUnit::TooLarge));
    }

    #[test]
    fn sizes_are_one_whole_number_with_a_unit() {
        assert_eq!(parse_size("32KiB"), Ok(32_768));
        assert_eq!(parse_size("10MB"), Ok(10_000_000));
        assert_eq!(parse_size("0B"), Ok(0));
        assert_eq!(parse_size("10M"), Err(BadUnit::Slip(10, "MiB")));
        assert_eq!(parse_size("10m"), Err(BadUnit::Slip(10, "MiB")));
        assert_eq!(parse_size("10s"), Err(BadUnit::Unknown("s".into())));
        assert_eq!(parse_size("1MiB1B"), Err(BadUnit::Several));
        assert_eq!(parse_size("1024"), Err(BadUnit::NoUnit(1024)));
        assert_eq!(parse_size("18446744073709551615GiB"), Err(BadUnit::TooLarge));
    }

    #[test]
    fn amounts_may_have_a_fraction_and_may_be_shares() {
        for (text, bytes) in
            [("500M", 500 << 20), ("1.5GiB", 3 << 29), ("1.125k", 1152), ("10MB", 10_000_000), ("0.5K", 512)]
        {
            assert_eq!(parse_amount(text), Ok(Amount::Bytes(bytes)), "{text}");
        }
        assert_eq!(parse_amount("20%"), Ok(Amount::Percent(20)));
        for bad in ["", "M", ".5M", "1.M", "1.2345M", "1.2.3M", "%", "1.5%", "-1M"] {
            assert_eq!(parse_amount(bad), Err(BadUnit::NoNumber), "{bad}");
        }
        assert_eq!(parse_amount("500"), Err(BadUnit::NoUnit(500)));
        assert_eq!(parse_amount("500mb"), Err(BadUnit::Slip(500, "MB")));
        assert_eq!(parse_amount("99999999999999999G"), Err(BadUnit::TooLarge));
    }

    #[test]
    fn every_slip_leads_to_a_unit_that_is_read() {
        for (slip, meant) in SLIPS {
            let text = format!("7{meant}");
            assert!(parse_duration(&text).is_ok() || parse_size(&text).is_ok(), "{slip}");
        }
    }

    #[test]
    fn the_shortest_form_is_written() {
        assert_eq!(format_duration(Duration::from_secs(90)), "1m30s");
        assert_eq!(format_duration(Duration::ZERO), "0s");
        assert_eq!(format_size(32_768), "32KiB");
        assert_eq!(format_size(1_000), "1000B");
        assert_eq!(format_size(0), "0B");
    }

    proptest! {
        #[test]
        fn a_written_duration_is_read_back(millis in any::<u64>()) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_written_size_is_read_back(bytes in any::<u64>()) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_reading_panic(text in "[0-9a-zA-Z. é]{0,24}") {
            let _ = (parse_duration(&text), parse_size(&text), parse_amount(&text));
        }
    }
}
