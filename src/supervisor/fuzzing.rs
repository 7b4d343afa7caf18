//! What must hold of the readers of what workers say, whatever they say: for `fuzz/`, and for a test that runs always.
//!
//! Each function takes any bytes and panics when a promise is broken.

use super::channel::AnyLines as Lines;
use super::notify::{AnyWord as Word, read_any as read};

/// How the bytes were cut makes no difference.
pub fn node_channel(data: &[u8]) {
    let mut whole = Lines::default();
    let messages = whole.feed(data);
    let mut pieces = Lines::default();
    let length = usize::from(data.first().copied().unwrap_or_default()).max(1);
    let pieced: Vec<_> = data.chunks(length).flat_map(|piece| pieces.feed(piece)).collect();
    assert_eq!(messages, pieced);
    assert_eq!(messages.len(), data.iter().filter(|byte| **byte == b'\n').count());
    assert_eq!(whole.is_within_a_line(), data.last().is_some_and(|last| *last != b'\n'));
}

/// A status is one short line that any terminal can show.
pub fn notify(data: &[u8]) {
    let words = read(data);
    assert!(words.len() <= data.split(|byte| *byte == b'\n').count());
    for word in words {
        if let Word::Status(status) = word {
            assert!(status.chars().count() <= 256 && !status.contains(char::is_control), "{status:?}");
        }
    }
}
