//! What must hold of the readers of what workers say, whatever they say: for `fuzz/`, and for a test that runs always.
//!
//! Each function takes any bytes and panics when a promise is broken.

use super::channel::AnyLines as Lines;
use super::notify::{AnyWord as Word, read_any as read};

/// How the bytes were cut makes no difference.
///
/// # Panics
/// When that does not hold.
pub fn node_channel(data: &[u8]) {
    let (mut at_once, mut in_parts) = (Lines::default(), Lines::default());
    let messages = at_once.feed(data);
    let length = usize::from(data.first().copied().unwrap_or_default()).max(1);
    let same: Vec<_> = data.chunks(length).flat_map(|part| in_parts.feed(part)).collect();
    assert_eq!(messages, same);
    assert_eq!(messages.len(), data.split(|byte| *byte == b'\n').count() - 1);
    assert_eq!(at_once.is_within_a_line(), data.last().is_some_and(|last| *last != b'\n'));
}

/// A status is one short line that any terminal can show.
///
/// # Panics
/// When that does not hold.
pub fn notify(data: &[u8]) {
    let words = read(data);
    assert!(words.len() <= data.split(|byte| *byte == b'\n').count());
    for word in words {
        if let Word::Status(status) = word {
            assert!(status.chars().count() <= 256 && !status.contains(char::is_control), "{status:?}");
        }
    }
}
