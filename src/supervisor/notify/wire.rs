//! What a worker tells in one message: lines of `NAME=value`, as `sd_notify(3)` has them.
//!
//! Pure: bytes in, words out. Knows what concerns us; what follows from a word is decided elsewhere. Invariants: no byte
//! sequence is an error here, at worst a line is [`Word::Garbage`]; a status is one short line that any terminal can show.

use std::time::Duration;

use crate::config::defaults;

/// Characters of a status that are kept.
const LONGEST_STATUS: usize = 256;

/// One line, as far as it concerns us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Word {
    /// `READY=1`.
    Ready,
    /// `STATUS=`.
    Status(String),
    /// `RELOADING=1`.
    Reloading,
    /// `STOPPING=1`.
    Stopping,
    /// `WATCHDOG=1`.
    Well,
    /// `WATCHDOG=trigger`.
    Ill,
    /// `WATCHDOG_USEC=`; `None` is 0, which switches it off.
    Watchdog(Option<Duration>),
    /// `EXTEND_TIMEOUT_USEC=`.
    Extend(Duration),
    /// No `NAME=value`, or a value that the name cannot have.
    Garbage,
}

/// Reads a message; names that do not concern us (`MAINPID`, `FDSTORE`, those of the app's own) are passed over.
pub(in crate::supervisor) fn read(message: &[u8]) -> Vec<Word> {
    message.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).filter_map(word).collect()
}

fn word(line: &[u8]) -> Option<Word> {
    let at = line.iter().position(|byte| *byte == b'=');
    let Some((name, value)) = at.map(|at| (&line[..at], &line[at + 1..])) else { return Some(Word::Garbage) };
    match (name, value) {
        (b"READY", b"1") => Some(Word::Ready),
        (b"STATUS", value) => Some(Word::Status(shown(value))),
        (b"RELOADING", b"1") => Some(Word::Reloading),
        (b"STOPPING", b"1") => Some(Word::Stopping),
        (b"WATCHDOG", b"1") => Some(Word::Well),
        (b"WATCHDOG", b"trigger") => Some(Word::Ill),
        (b"WATCHDOG_USEC", value) => Some(time(value).map_or(Word::Garbage, |time| Word::Watchdog(period(time)))),
        (b"EXTEND_TIMEOUT_USEC", value) => Some(time(value).map_or(Word::Garbage, Word::Extend)),
        (name, _) if is_name(name) => None,
        _ => Some(Word::Garbage),
    }
}

/// Microseconds, in digits.
fn time(value: &[u8]) -> Option<Duration> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().map(Duration::from_micros)
}

/// As the file may have it, at the least.
fn period(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then(|| time.clamp(*defaults::WATCHDOG.start(), *defaults::WATCHDOG.end()))
}

fn is_name(name: &[u8]) -> bool {
    let begins_well = name.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_');
    begins_well && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_line_is_a_word_and_only_what_concerns_us_counts() {
        let status = |text: &str| Word::Status(text.to_owned());
        for (message, words) in [
            ("READY=1", vec![Word::Ready]),
            ("READY=1\nSTATUS=Serving \u{e9}\n", vec![Word::Ready, status("Serving \u{e9}")]),
            ("STATUS=", vec![status("")]),
            ("STATUS=a\tb\u{1b}[31m", vec![status("a b [31m")]),
            ("MAINPID=7\nFDSTORE=1\nFDNAME=x\nERRNO=2\nX_OWN=1\nBARRIER=1\nMONOTONIC_USEC=5", vec![]),
            ("READY=0\nSTOPPING=\nWATCHDOG=maybe", vec![]),
            ("RELOADING=1\nSTOPPING=1", vec![Word::Reloading, Word::Stopping]),
            ("WATCHDOG=1\nWATCHDOG=trigger", vec![Word::Well, Word::Ill]),
            ("WATCHDOG_USEC=20000000", vec![Word::Watchdog(Some(Duration::from_secs(20)))]),
            ("WATCHDOG_USEC=5", vec![Word::Watchdog(Some(Duration::from_millis(100)))]),
            ("WATCHDOG_USEC=0", vec![Word::Watchdog(None)]),
            ("EXTEND_TIMEOUT_USEC=1500000", vec![Word::Extend(Duration::from_millis(1500))]),
            ("EXTEND_TIMEOUT_USEC=\nEXTEND_TIMEOUT_USEC=+1\nWATCHDOG_USEC=1s", vec![Word::Garbage; 3]),
            ("EXTEND_TIMEOUT_USEC=99999999999999999999", vec![Word::Garbage]),
            ("", vec![]),
            ("READY", vec![Word::Garbage]),
            ("=1\n1A=x\nA B=x", vec![Word::Garbage; 3]),
        ] {
            assert_eq!(read(message.as_bytes()), words, "{message}");
        }
        assert_eq!(read(b"\xff\xfe\0"), [Word::Garbage]);
        assert_eq!(read(b"STATUS=\xff"), [status("\u{fffd}")]);
        assert_eq!(read(format!("STATUS={}", "\u{e9}".repeat(9000)).as_bytes()), [status(&"\u{e9}".repeat(256))]);
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        let known = prop_oneof![
            Just(&b"READY=1"[..]),
            Just(&b"WATCHDOG=1"[..]),
            Just(&b"EXTEND_TIMEOUT_USEC="[..]),
            Just(&b"WATCHDOG_USEC="[..]),
            Just(&b"STATUS="[..]),
            Just(&b""[..]),
        ];
        let bytes = vec(any::<u8>().prop_filter("ends a line", |byte| *byte != b'\n'), 0..24);
        (known, bytes).prop_map(|(known, bytes)| [known, &bytes].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn a_line_means_the_same_among_any_others(lines in vec(line(), 0..8)) {
            let expected: Vec<Word> = lines.iter().flat_map(|line| read(line)).collect();
            prop_assert_eq!(read(&lines.join(&b'\n')), expected);
        }

        #[test]
        fn no_status_is_long_or_moves_the_cursor(bytes in vec(any::<u8>(), 0..2000)) {
            for word in read(&[&b"STATUS="[..], &bytes].concat()) {
                if let Word::Status(text) = word {
                    prop_assert!(text.chars().count() <= LONGEST_STATUS && !text.chars().any(char::is_control));
                }
            }
        }
    }
}
