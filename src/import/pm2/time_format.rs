//! A format of time as dayjs has it, which PM2 uses, as strftime(3) has it.
//!
//! Pure. Letters that are no token stand for themselves, as they do there, and so does text in square brackets.

/// Tokens, the longest of each letter first.
const TOKENS: &[(&str, &str)] = &[
    ("YYYY", "%Y"),
    ("YY", "%y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("M", "%-m"),
    ("DD", "%d"),
    ("D", "%-d"),
    ("dddd", "%A"),
    ("ddd", "%a"),
    ("dd", "%a"),
    ("d", "%w"),
    ("HH", "%H"),
    ("H", "%-H"),
    ("hh", "%I"),
    ("h", "%-I"),
    ("mm", "%M"),
    ("m", "%-M"),
    ("SSS", "%3f"),
    ("ss", "%S"),
    ("s", "%-S"),
    ("ZZ", "%z"),
    ("Z", "%:z"),
    ("A", "%p"),
    ("a", "%P"),
];

/// `None` when nothing in the format stands for a time.
pub(super) fn strftime(format: &str) -> Option<String> {
    let (mut rest, mut out, mut has_time) = (format, String::new(), false);
    while let Some(first) = rest.chars().next() {
        let literal = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'));
        if let Some((text, after)) = literal.filter(|(text, _)| !text.is_empty()) {
            text.chars().for_each(|c| push(&mut out, c));
            rest = after;
        } else if let Some((token, ours)) = TOKENS.iter().find(|(token, _)| rest.starts_with(token)) {
            out.push_str(ours);
            rest = &rest[token.len()..];
            has_time = true;
        } else {
            push(&mut out, first);
            rest = &rest[first.len_utf8()..];
        }
    }
    has_time.then_some(out)
}

fn push(out: &mut String, c: char) {
    match c {
        '%' => out.push_str("%%"),
        c if c.is_control() => out.push(' '),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::fmt::strtime;
    use jiff::tz::{TimeZone, offset};

    use super::*;

    #[test]
    fn a_format_gives_what_dayjs_gives() {
        let time: Timestamp = "2026-01-31T14:05:09.087Z".parse().unwrap();
        let time = time.to_zoned(TimeZone::fixed(offset(1)));
        for (theirs, meant) in [
            ("YYYY-MM-DD HH:mm:ss Z", "2026-01-31 15:05:09 +01:00"),
            ("YYYY-MM-DDTHH:mm:ss.SSSZZ", "2026-01-31T15:05:09.087+0100"),
            ("D/M/YY h:m:s A [at] 100%", "31/1/26 3:5:9 PM at 100%"),
            ("dddd DD MMMM", "Saturday 31 January"),
            ("[YYYY] ddd MMM hh a", "YYYY Sat Jan 03 pm"),
        ] {
            let ours = strftime(theirs).unwrap();
            assert_eq!(strtime::format(&ours, &time).unwrap(), meant, "{theirs} is {ours}");
        }
        assert_eq!(strftime("[none]"), None);
        assert_eq!(strftime(""), None);
    }
}
