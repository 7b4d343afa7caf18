//! A text that outlives its writer: in two files in memory, of which always one is whole.
//!
//! Each new text goes into the file that does not hold the latest, and counts from when its head is written; a writer that
//! is killed in between leaves the one before. Whoever has both descriptors reads the latest whole text. What the text says is
//! not known here.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use super::handover;

/// Number of the text, its length, and its sum.
const HEAD: usize = 24;

/// The two files.
#[derive(Debug)]
pub struct Journal {
    files: [File; 2],
    written: u64,
}

impl Journal {
    /// An empty one.
    pub fn new(name: &str) -> io::Result<Self> {
        let files = [handover::memory(name, b"")?.into(), handover::memory(name, b"")?.into()];
        Ok(Self { files, written: 0 })
    }

    /// One that somebody else has begun.
    pub fn adopt(files: [OwnedFd; 2]) -> Self {
        let mut journal = Self { files: files.map(File::from), written: 0 };
        journal.written = journal.latest().map_or(0, |(number, _)| number);
        journal
    }

    /// Both, in their order.
    #[must_use]
    pub fn ends(&self) -> [BorrowedFd<'_>; 2] {
        [self.files[0].as_fd(), self.files[1].as_fd()]
    }

    /// Puts a text in place of the one before.
    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let number = self.written + 1;
        let file = &self.files[usize::from(number % 2 == 1)];
        file.write_all_at(&[0; HEAD], 0)?;
        file.write_all_at(text, HEAD as u64)?;
        file.set_len((HEAD + text.len()) as u64)?;
        let head = [number, text.len() as u64, sum(text)].map(u64::to_ne_bytes).concat();
        file.write_all_at(&head, 0)?;
        self.written = number;
        Ok(())
    }

    /// The latest text, if there is one.
    #[must_use]
    pub fn read(&self) -> Option<Vec<u8>> {
        self.latest().map(|(_, text)| text)
    }

    fn latest(&self) -> Option<(u64, Vec<u8>)> {
        self.files.iter().filter_map(whole).max_by_key(|(number, _)| *number)
    }
}

fn whole(file: &File) -> Option<(u64, Vec<u8>)> {
    let size = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let mut all = vec![0; size];
    file.read_exact_at(&mut all, 0).ok()?;
    let (head, text) = all.split_at_checked(HEAD)?;
    let field = |at: usize| Some(u64::from_ne_bytes(head.get(at * 8..at * 8 + 8)?.try_into().ok()?));
    let is_whole = field(1)? == text.len() as u64 && field(2)? == sum(text) && field(0)? > 0;
    is_whole.then_some((field(0)?, text.to_vec()))
}

/// FNV-1a.
fn sum(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(journal: &Journal) -> Journal {
        Journal::adopt(journal.ends().map(|end| end.try_clone_to_owned().unwrap()))
    }

    #[test]
    fn the_latest_text_is_read_by_whoever_has_both_files() {
        let mut journal = Journal::new("test").unwrap();
        assert_eq!(reader(&journal).read(), None);
        for text in ["a long text that comes first", "short", "", "the last"] {
            journal.write(text.as_bytes()).unwrap();
            assert_eq!(reader(&journal).read().as_deref(), Some(text.as_bytes()));
        }
        let mut next = reader(&journal);
        next.write(b"of the next writer").unwrap();
        assert_eq!(reader(&journal).read().as_deref(), Some(&b"of the next writer"[..]));
    }

    #[test]
    fn a_text_that_was_not_finished_leaves_the_one_before() {
        let mut journal = Journal::new("test").unwrap();
        journal.write(b"whole").unwrap();
        journal.write(b"will be torn").unwrap();
        let torn = &journal.files[0];
        torn.write_all_at(b"x", HEAD as u64 + 3).unwrap();
        assert_eq!(reader(&journal).read().as_deref(), Some(&b"whole"[..]));
        torn.set_len(10).unwrap();
        assert_eq!(reader(&journal).read().as_deref(), Some(&b"whole"[..]));
    }
}
