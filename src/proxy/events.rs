//! Where the events of an event stream end: at an empty line (WHATWG HTML, section 9.2.6).
//!
//! Pure. It keeps the last bytes that have passed and looks for an end only when it is asked. A line may end with LF, CR LF or
//! CR. Invariant: however bytes are cut into pieces, the same ends are found.

/// The last bytes that have passed of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Events {
    last: [u8; 3],
}

impl Default for Events {
    /// Before the first event, where nothing is lost either.
    fn default() -> Self {
        Self { last: [b'\n'; 3] }
    }
}

impl Events {
    /// Takes note of what has passed.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        let kept = self.last.len().saturating_sub(bytes.len());
        self.last.copy_within(3 - kept.., 0);
        self.last[kept..].copy_from_slice(&bytes[bytes.len() - (3 - kept)..]);
    }

    /// Is what has passed the end of an event?
    pub(crate) fn is_between(&self) -> bool {
        is_end(self.last)
    }

    /// How many of these bytes, which are to pass next, belong to events that end within them.
    pub(crate) fn whole(&self, bytes: &[u8]) -> Option<usize> {
        let at = |index: usize| if index < 3 { self.last[index] } else { bytes[index - 3] };
        (1..=bytes.len()).rev().find(|end| is_end([at(*end), at(end + 1), at(end + 2)]))
    }
}

/// Of CR LF at the end of an empty line both are waited for.
fn is_end(last: [u8; 3]) -> bool {
    matches!(last, [_, b'\n', b'\n'] | [b'\n', b'\r', b'\n'] | [_, b'\r', b'\r'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_ends_at_an_empty_line() {
        for (text, whole) in [
            ("data: a\n\n", Some(9)),
            ("data: a\n\ndata: b\n", Some(9)),
            ("data: a\n\ndata: b\n\n", Some(18)),
            ("data: a\r\n\r\ndata", Some(11)),
            ("data: a\r\n\r", None),
            ("data: a\r\rdata: b", Some(9)),
            ("data: a\n", None),
            (": still there\n\n", Some(15)),
            ("", None),
        ] {
            assert_eq!(Events::default().whole(text.as_bytes()), whole, "{text:?}");
        }
        assert!(Events::default().is_between());
    }

    proptest! {
        #[test]
        fn any_cut_of_the_bytes_gives_the_same_ends(text in "[a\r\n]{0,40}", cuts in proptest::collection::vec(1_usize..5, 1..40)) {
            let text = text.as_bytes();
            let ends = |pieces: &[usize]| {
                let (mut events, mut at, mut ends) = (Events::default(), 0, Vec::new());
                for piece in pieces.iter().cycle() {
                    let end = (at + piece).min(text.len());
                    if let Some(whole) = events.whole(&text[at..end]) {
                        ends.push(at + whole);
                    }
                    events.pass(&text[at..end]);
                    at = end;
                    if at == text.len() {
                        break;
                    }
                }
                (ends, events)
            };
            let (each, by_bytes) = ends(&[1]);
            let (some, by_cuts) = ends(&cuts);
            prop_assert_eq!(by_bytes, by_cuts);
            prop_assert!(some.iter().all(|end| each.contains(end)));
            prop_assert_eq!(some.last(), each.last());
        }
    }
}
