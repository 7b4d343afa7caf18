//! A variable whose value is the process ID of the program: known only after the fork, when no memory may be allocated.
//!
//! The room for it is made before. Invariant: the text ends with a zero byte, whatever was written.

use std::cell::Cell;
use std::ffi::c_char;

/// Digits of the greatest number that a process can have.
const MOST_DIGITS: usize = 10;

/// `NAME=` and room for a number.
pub(super) struct Stamp {
    text: Box<[Cell<u8>]>,
    /// Where the number begins.
    at: usize,
}

impl Stamp {
    pub(super) fn new(name: &str) -> Self {
        let text = name.bytes().chain([b'=']).chain([0; MOST_DIGITS + 1]);
        Self { text: text.map(Cell::new).collect(), at: name.len() + 1 }
    }

    /// Allocates nothing and cannot fail.
    pub(super) fn write(&self, pid: u32) {
        let room = &self.text[self.at..self.text.len() - 1];
        let length = pid.checked_ilog10().unwrap_or(0) as usize + 1;
        let mut rest = pid;
        for cell in room[..length].iter().rev() {
            cell.set(b'0' + u8::try_from(rest % 10).unwrap_or(0));
            rest /= 10;
        }
        room[length..].iter().for_each(|cell| cell.set(0));
    }

    pub(super) fn as_ptr(&self) -> *const c_char {
        self.text.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_written_over_any_other() {
        let stamp = Stamp::new("LISTEN_PID");
        for pid in [0, 7, 10, u32::MAX, 4_194_304, 99, 1] {
            stamp.write(pid);
            let text: Vec<u8> = stamp.text.iter().map(Cell::get).take_while(|byte| *byte != 0).collect();
            assert_eq!(String::from_utf8(text).unwrap(), format!("LISTEN_PID={pid}"));
            assert_eq!(stamp.text.last().map(Cell::get), Some(0));
        }
    }
}
