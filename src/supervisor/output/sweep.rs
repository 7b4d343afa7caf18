//! Old log files: what they are called, how many stay, and that they are compressed; off the path of whoever writes.
//!
//! `web.log` is put aside as `web.log.20260131-120000.000` (UTC) and may become `web.log.20260131-120000.000.gz`. A sweep
//! looks at what is there, so it also makes up for one that was cut short. Invariant: it touches no file whose name is
//! not made like that, and removes an old file only beyond its number or once its compressed form is complete.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::config::Rotate;

/// The time in the name of an old file.
const STAMP: &str = "%Y%m%d-%H%M%S%.3f";

/// Sweeps that may wait; another one would find what these leave.
const QUEUED_SWEEPS: usize = 1024;

/// What an unfinished compressed file ends with.
const UNFINISHED: &str = "gz.part";

/// Takes orders to sweep; cheap to clone. Its thread ends with the last of them.
#[derive(Clone, Debug)]
pub(in crate::supervisor) struct Sweeper(SyncSender<(PathBuf, Rotate)>);

impl Sweeper {
    /// # Errors
    /// When the thread cannot be started.
    pub(in crate::supervisor) fn start() -> io::Result<Self> {
        let (sender, queue) = sync_channel(QUEUED_SWEEPS);
        std::thread::Builder::new().name("log-sweep".into()).spawn(move || work(&queue))?;
        Ok(Self(sender))
    }

    /// Sweeps the old files of this one soon.
    pub(super) fn order(&self, path: &Path, rotate: Rotate) {
        // When the queue is full, the next rotation of the same file makes up for it.
        let _ = self.0.try_send((path.to_owned(), rotate));
    }
}

fn work(queue: &Receiver<(PathBuf, Rotate)>) {
    while let Ok((path, rotate)) = queue.recv() {
        if let Err(error) = sweep(&path, &rotate) {
            tracing::error!(path = %path.display(), %error, "cannot tidy up the old log files");
        }
    }
}

/// An old file, perhaps in both its forms.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) paths: Vec<PathBuf>,
}

/// Renames a file to what it is called from now on.
pub(super) fn put_aside(path: &Path) -> io::Result<()> {
    let mut time = Timestamp::now();
    let is_taken = |name: &Path| name.exists() || with_suffix(name, "gz").exists();
    let mut name = with_suffix(path, &time.strftime(STAMP).to_string());
    while is_taken(&name) {
        time += Duration::from_millis(1);
        name = with_suffix(path, &time.strftime(STAMP).to_string());
    }
    fs::rename(path, name)
}

/// The files that were put aside for this one, oldest first.
pub(super) fn put_aside_before(path: &Path) -> io::Result<Vec<Old>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(Vec::new()) };
    let mut found: BTreeMap<DateTime, Old> = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    for entry in entries {
        let other = entry?.file_name();
        let rest = other.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        let rest = rest.and_then(|rest| str::from_utf8(rest).ok()?.strip_prefix('.'));
        let stamp = rest.map(|rest| rest.strip_suffix(".gz").unwrap_or(rest));
        if let Some(time) = stamp.and_then(|stamp| DateTime::strptime(STAMP, stamp).ok()) {
            found.entry(time).or_insert_with(|| Old { paths: Vec::new() }).paths.push(folder.join(other));
        }
    }
    Ok(found.into_values().collect())
}

fn sweep(path: &Path, rotate: &Rotate) -> io::Result<()> {
    let mut old = put_aside_before(path)?;
    let kept = old.split_off(old.len().saturating_sub(rotate.keep as usize));
    for path in old.iter().flat_map(|old| &old.paths) {
        fs::remove_file(path)?;
    }
    let is_plain = |path: &&PathBuf| path.extension().is_none_or(|extension| extension != "gz");
    for path in kept.iter().flat_map(|old| &old.paths).filter(is_plain).filter(|_| rotate.gzip) {
        compress(path)?;
    }
    Ok(())
}

fn compress(path: &Path) -> io::Result<()> {
    let part = with_suffix(path, UNFINISHED);
    let mut source = File::open(path)?;
    let target = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&part)?;
    let mut encoder = GzEncoder::new(target, Compression::default());
    let written = io::copy(&mut source, &mut encoder).and_then(|_| encoder.finish()).and_then(|file| file.sync_all());
    if let Err(error) = written {
        // The plain file stays, and that is what matters.
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    fs::rename(&part, with_suffix(path, "gz"))?;
    fs::remove_file(path)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), name).unwrap();
        }
        folder
    }

    #[test]
    fn files_put_aside_within_a_millisecond_have_different_names() {
        let folder = folder_with(&[]);
        let path = folder.path().join("web.log");
        for number in 0..50 {
            fs::write(&path, number.to_string()).unwrap();
            put_aside(&path).unwrap();
        }
        let old = put_aside_before(&path).unwrap().into_iter().flat_map(|old| old.paths);
        let texts: Vec<_> = old.map(|path| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(texts, (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn the_newest_stay_and_strangers_are_not_touched() {
        let strangers = ["web.log", "web.log.1", "web.log.gz", "web-0.log.20260101-000000.000", "web.log.20260101-x"];
        let ours = ["20260101-000000.000.gz", "20260102-000000.000", "20260103-000000.000.gz", "20260103-000000.001"];
        let ours = ours.map(|stamp| format!("web.log.{stamp}"));
        let folder = folder_with(&strangers.into_iter().chain(ours.iter().map(String::as_str)).collect::<Vec<_>>());
        let rules = Rotate { size: None, age: None, keep: 2, gzip: false };
        sweep(&folder.path().join("web.log"), &rules).unwrap();
        let mut expected = [&strangers[..], &[ours[2].as_str(), ours[3].as_str()]].concat();
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
        sweep(&folder.path().join("web.log"), &Rotate { keep: 0, ..rules }).unwrap();
        assert_eq!(names(folder.path()).len(), strangers.len());
    }

    #[test]
    fn what_stays_is_compressed_also_after_an_unfinished_attempt() {
        let plain = "web.log.20260102-000000.000";
        let folder = folder_with(&[plain, &format!("{plain}.gz"), &format!("{plain}.{UNFINISHED}")]);
        let rules = Rotate { size: None, age: None, keep: 5, gzip: true };
        sweep(&folder.path().join("web.log"), &rules).unwrap();
        assert_eq!(names(folder.path()), [format!("{plain}.gz")]);
        let mut text = String::new();
        let packed = File::open(folder.path().join(format!("{plain}.gz"))).unwrap();
        GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, plain);
    }
}
