//! One log file: appended to, noticed when somebody moves it away, put aside when it is large or old enough.
//!
//! Knows no lines beyond their line feeds, and says what went wrong instead of acting on it. Invariants: nothing but a
//! regular file is ever renamed or, when that is asked for, emptied, and no file is ever overwritten; what follows a torn line begins on a new one.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::sweep;
use crate::config::Rotate;

/// One file by its path; opened when there is something to write.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    open: Option<Open>,
    /// The last write ended within a line.
    is_torn: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and number: another file may be at the path by now.
    identity: (u64, u64),
    is_regular: bool,
    size: u64,
    /// When it was last written to.
    written: SystemTime,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Appended {
    /// Another file was put aside.
    pub(super) rotated: bool,
    /// It ought to have been put aside, and could not be.
    pub(super) stuck: Option<io::Error>,
    /// Why not everything was written, and how many lines of it were not.
    pub(super) failed: Option<(io::Error, u64)>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None, is_torn: false }
    }

    /// Writes whole lines.
    pub(super) fn append(&mut self, lines: &[u8], rotate: Option<&Rotate>, now: SystemTime) -> Appended {
        let mut appended = Appended::default();
        let result = self.prepare(lines.len() as u64, rotate, now, &mut appended);
        let (written, result) = match result {
            Ok(()) => self.put(lines, now),
            Err(error) => (0, Err(error)),
        };
        appended.failed = result.err().map(|error| (error, lines_in(&lines[written..])));
        appended
    }

    /// Opens whatever is at the path now.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        self.opened().map(drop)
    }

    /// Takes everything out of the file at the path, which stays the same file. False: there is none, or it is no regular
    /// one.
    pub(super) fn empty(&mut self) -> io::Result<bool> {
        let found = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        if !found.is_file() {
            return Ok(false);
        }
        OpenOptions::new().write(true).open(&self.path)?.set_len(0)?;
        self.is_torn = false;
        Ok(true)
    }

    fn prepare(
        &mut self,
        more: u64,
        rotate: Option<&Rotate>,
        now: SystemTime,
        appended: &mut Appended,
    ) -> io::Result<()> {
        self.follow();
        let open = self.opened()?;
        if rotate.is_some_and(|rotate| open.is_due(more, rotate, now)) {
            match sweep::put_aside(&self.path) {
                Ok(()) => {
                    appended.rotated = true;
                    self.reopen()?;
                }
                Err(error) => appended.stuck = Some(error),
            }
        }
        Ok(())
    }

    /// Lets go of a file that is no longer the one at the path.
    fn follow(&mut self) {
        let Some(open) = &mut self.open else { return };
        match fs::metadata(&self.path) {
            Ok(found) if identity(&found) == open.identity => open.size = found.len(),
            _ => self.open = None,
        }
    }

    fn opened(&mut self) -> io::Result<&mut Open> {
        if self.open.is_none() {
            self.open = Some(Open::at(&self.path)?);
            self.is_torn = false;
        }
        Ok(self.open.as_mut().expect("it was opened just now"))
    }

    /// How many bytes were taken, and why not all of them.
    fn put(&mut self, lines: &[u8], now: SystemTime) -> (usize, io::Result<()>) {
        let Some(open) = &mut self.open else { return (0, Ok(())) };
        if self.is_torn {
            if let (_, Err(error)) = open.put(b"\n") {
                return (0, Err(error));
            }
            self.is_torn = false;
        }
        let (written, result) = open.put(lines);
        if written > 0 {
            open.written = now;
            self.is_torn = !lines[..written].ends_with(b"\n");
        }
        (written, result)
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        // Opening a pipe would wait for its reader.
        if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is a pipe, not a file"));
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        let found = file.metadata()?;
        let written = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Self { file, identity: identity(&found), is_regular: found.is_file(), size: found.len(), written })
    }

    fn is_due(&self, more: u64, rotate: &Rotate, now: SystemTime) -> bool {
        let is_large = rotate.size.is_some_and(|size| self.size + more > size);
        let is_old = rotate.age.is_some_and(|age| period(self.written, age) < period(now, age));
        self.is_regular && self.size > 0 && (is_large || is_old)
    }

    fn put(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// The number of the period that a time lies in.
fn period(time: SystemTime, length: Duration) -> u128 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() / length.as_millis().max(1)
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').count() as u64 - 1
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const RULES: Rotate = Rotate { size: Some(10), age: None, keep: 9, gzip: false };

    fn file() -> (TempDir, PathBuf, LogFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/web.log");
        let file = LogFile::new(path.clone());
        (folder, path, file)
    }

    fn append(file: &mut LogFile, text: &str, rotate: Option<&Rotate>) -> Appended {
        file.append(text.as_bytes(), rotate, SystemTime::now())
    }

    /// Everything that was put aside, oldest first, then the file itself.
    fn all(path: &Path) -> Vec<String> {
        let aside = sweep::put_aside_before(path).unwrap().into_iter().flat_map(|old| old.paths);
        aside.chain([path.to_owned()]).map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    #[test]
    fn a_file_that_was_moved_away_or_removed_is_left_alone_and_a_new_one_begun() {
        let (_folder, path, mut file) = file();
        append(&mut file, "one\n", None);
        fs::rename(&path, path.with_extension("old")).unwrap();
        append(&mut file, "two\n", None);
        assert_eq!(fs::read_to_string(path.with_extension("old")).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        fs::remove_file(&path).unwrap();
        file.reopen().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        append(&mut file, "three\n", None);
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_file_is_put_aside_before_it_would_be_too_large() {
        let (_folder, path, mut file) = file();
        let rotated: Vec<bool> = ["aaaa\n", "bbbb\n", "c\n", "much longer than that\n", "d\n"]
            .map(|line| append(&mut file, line, Some(&RULES)).rotated)
            .to_vec();
        assert_eq!(rotated, [false, false, true, true, true]);
        assert_eq!(all(&path), ["aaaa\nbbbb\n", "c\n", "much longer than that\n", "d\n"]);
    }

    #[test]
    fn a_file_is_put_aside_with_the_first_line_of_another_day() {
        let (_folder, path, mut file) = file();
        let day = Duration::from_hours(24);
        let rules = Rotate { size: None, age: Some(day), ..RULES };
        let noon = SystemTime::UNIX_EPOCH + day * 20_000 + day / 2;
        let write = |file: &mut LogFile, at| assert!(file.append(b"x\n", Some(&rules), at).failed.is_none());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "old\n").unwrap();
        File::options().append(true).open(&path).unwrap().set_modified(noon).unwrap();
        write(&mut file, noon + day / 3);
        write(&mut file, noon + day);
        write(&mut file, noon + day + day / 3);
        assert_eq!(all(&path), ["old\nx\n", "x\nx\n"]);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_what_is_no_file_is_never_renamed() {
        let mut full = LogFile::new("/dev/full".into());
        let appended = full.append(b"one\ntwo\n", Some(&RULES), SystemTime::now() + Duration::from_hours(48));
        assert!(matches!(appended.failed, Some((_, 2))) && !appended.rotated, "{appended:?}");
        let mut null = LogFile::new("/dev/null".into());
        let age = Some(Duration::from_mins(1));
        let rules = Rotate { age, ..RULES };
        let appended = null.append(&[b'\n'; 100], Some(&rules), SystemTime::now() + Duration::from_hours(48));
        assert!(appended.failed.is_none() && appended.stuck.is_none() && !appended.rotated, "{appended:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_loses_lines_until_it_can() {
        let (folder, path, mut file) = file();
        fs::write(folder.path().join("deep"), "a file").unwrap();
        assert!(matches!(append(&mut file, "one\n", None).failed, Some((_, 1))));
        fs::remove_file(folder.path().join("deep")).unwrap();
        assert!(append(&mut file, "two\n", None).failed.is_none());
        assert_eq!(fs::read_to_string(path).unwrap(), "two\n");
    }

    #[test]
    fn an_emptied_file_is_the_same_one_and_is_written_on_from_its_beginning() {
        let (_folder, path, mut file) = file();
        assert!(!file.empty().unwrap(), "there is none");
        append(&mut file, "one\ntorn", None);
        let before = identity(&fs::metadata(&path).unwrap());
        assert!(file.empty().unwrap());
        append(&mut file, "two\n", Some(&RULES));
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(identity(&fs::metadata(&path).unwrap()), before);
        assert!(!LogFile::new("/dev/null".into()).empty().unwrap());
    }
}
