//! Keeps the records of workers that have ended, and what is counted of jobs, over restarts of the supervisor, in a file of
//! its own.
//!
//! A thread writes, so that no disk ever holds up the loop: whole snapshots, each to a new file that then takes the place of
//! the old one, so that a reader finds the one or the other. Changes within a moment are written together. A file that cannot
//! be read is put aside, never overwritten. Several supervisors share the folder: each file is named after an admin socket,
//! and only one supervisor can have that.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::jobs::Counted;
use super::site::Site;
use super::{Supervisor, clock};
use crate::control::words;
use crate::id::AppName;

/// The form of the file; another one is not read.
const VERSION: u32 = 1;

/// From a change to its being written, and from one writing to the next.
const PAUSE: Duration = Duration::from_millis(500);

/// What stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Book {
    version: u32,
    /// For people: whose it is.
    socket: PathBuf,
    #[serde(flatten)]
    kept: Kept,
}

/// What is kept of all apps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The records of each app, oldest first.
    apps: BTreeMap<AppName, Vec<words::Exit>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    jobs: BTreeMap<AppName, Counted>,
}

/// What is known of one app from before our time.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    pub(super) exits: Vec<words::Exit>,
    pub(super) runs: Counted,
}

/// What an earlier supervisor has left, the thread that writes, and when it is next given something.
#[derive(Debug, Default)]
pub(super) struct Archive {
    earlier: Kept,
    /// `None`: nothing is kept, or not any more.
    writer: Option<Writer>,
    due: Option<Instant>,
}

#[derive(Debug)]
struct Writer {
    snapshots: SyncSender<Kept>,
    thread: JoinHandle<()>,
}

impl Archive {
    /// Reads what an earlier supervisor left, and begins to keep more.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn open(folder: &Path, socket: &Path) -> io::Result<Self> {
        let file = folder.join(format!("exits-{:016x}.json", fingerprint(socket)));
        let earlier = read(&file);
        let (snapshots, queue) = sync_channel(1);
        let socket = socket.to_owned();
        let write = move || write_all(&queue, &file, &socket);
        let thread = std::thread::Builder::new().name("archive".to_owned()).spawn(write)?;
        Ok(Self { earlier, writer: Some(Writer { snapshots, thread }), due: None })
    }

    /// What is known of an app from before our time; given once.
    pub(super) fn take(&mut self, app: &AppName) -> Earlier {
        let Kept { apps, jobs } = &mut self.earlier;
        Earlier { exits: apps.remove(app).unwrap_or_default(), runs: jobs.remove(app).unwrap_or_default() }
    }

    /// Something is to be kept.
    pub(super) fn note(&mut self) {
        if self.writer.is_some() {
            self.due.get_or_insert_with(|| clock::now() + PAUSE);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Hands the records over if it is time; while the disk is slow they wait for the next time.
    pub(super) fn keep(&mut self, now: Instant, kept: impl FnOnce() -> Kept) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let Some(writer) = &self.writer else { return };
        let is_busy = matches!(writer.snapshots.try_send(kept()), Err(TrySendError::Full(_)));
        self.due = is_busy.then(|| now + PAUSE);
    }

    /// Hands over the last records and waits until they are written; blocks for as long as the disk takes.
    pub(super) fn close(&mut self, kept: Kept) {
        self.due = None;
        if let Some(Writer { snapshots, thread }) = self.writer.take() {
            let _ = snapshots.send(kept);
            drop(snapshots);
            let _ = thread.join();
        }
    }
}

impl Supervisor {
    /// Keeps how workers ended, and what is counted of jobs, if there is news and it is time.
    pub(super) fn keep_exits(&mut self, now: Instant) {
        let sites = &self.sites;
        self.chores.archive.keep(now, || kept(sites));
    }

    /// Keeps what there is at the end.
    pub(super) fn close_archive(&mut self) {
        self.chores.archive.close(kept(&self.sites));
    }
}

fn kept(sites: &BTreeMap<AppName, Site>) -> Kept {
    let supervised = || {
        sites.iter().filter_map(|(name, site)| match site {
            Site::Supervised(site) => Some((name.clone(), site)),
            Site::Fixed(_) => None,
        })
    };
    Kept {
        apps: supervised().map(|(name, site)| (name, site.exits.told())).collect(),
        jobs: supervised().filter_map(|(name, site)| Some((name, site.runs.as_ref()?.counted()))).collect(),
    }
}

fn write_all(queue: &Receiver<Kept>, file: &Path, socket: &Path) {
    let mut has_failed = false;
    for kept in queue {
        let book = Book { version: VERSION, socket: socket.to_owned(), kept };
        let written = write(file, &book);
        if let (Err(error), false) = (&written, has_failed) {
            tracing::warn!(file = %file.display(), %error, "the records of ended workers cannot be kept");
        }
        has_failed = written.is_err();
    }
}

/// Whole or not at all, also when the power fails.
fn write(file: &Path, book: &Book) -> io::Result<()> {
    let folder = file.parent().ok_or(ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let mut new = tempfile::Builder::new().prefix(".exits-").tempfile_in(folder)?;
    serde_json::to_writer(io::BufWriter::new(&mut new), book)?;
    new.flush()?;
    new.as_file().sync_all()?;
    new.persist(file).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// What is in the file; nothing when there is none.
fn read(file: &Path) -> Kept {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Kept::default(),
        Err(error) => return put_aside(file, &error.to_string()),
    };
    match serde_json::from_str::<Book>(&text) {
        Ok(book) if book.version == VERSION => book.kept,
        Ok(book) => put_aside(file, &format!("it has version {}, and this portreeve knows {VERSION}", book.version)),
        Err(error) => put_aside(file, &error.to_string()),
    }
}

fn put_aside(file: &Path, reason: &str) -> Kept {
    let aside = file.with_extension("damaged");
    let moved = fs::rename(file, &aside);
    let kept = moved.map_or_else(|error| format!("and cannot be moved: {error}"), |()| aside.display().to_string());
    tracing::warn!(file = %file.display(), %reason, %kept, "the records of ended workers cannot be read: put aside");
    Kept::default()
}

/// FNV-1a: the same in every build, and short.
fn fingerprint(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exits(pid: u32) -> Kept {
        let exit = serde_json::json!({
            "worker": "web 1.0", "generation": 1, "slot": 0, "pid": pid, "started": "2026-01-31T11:00:00Z",
            "ended": "2026-01-31T12:00:00Z", "code": 3, "signal": null, "core": false, "cause": "crashed",
            "killed": false, "lines": ["a last word"]
        });
        let apps = BTreeMap::from([("web".parse().unwrap(), vec![serde_json::from_value(exit).unwrap()])]);
        let runs = Counted { runs: u64::from(pid), ..Counted::default() };
        Kept { apps, jobs: BTreeMap::from([("report".parse().unwrap(), runs)]) }
    }

    fn files(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_kept_is_found_again_by_the_same_socket_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("new/folder");
        let mut archive = Archive::open(&state, Path::new("/run/a.sock")).unwrap();
        assert_eq!(archive.earlier, Kept::default());
        archive.close(exits(7));
        let mut other = Archive::open(&state, Path::new("/run/b.sock")).unwrap();
        assert_eq!(other.earlier, Kept::default());
        other.close(exits(8));
        assert_eq!(Archive::open(&state, Path::new("/run/a.sock")).unwrap().earlier, exits(7));
        assert_eq!(files(&state).len(), 2, "no half a file is left: {:?}", files(&state));
    }

    #[test]
    fn changes_within_a_moment_are_written_together() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(folder.path(), Path::new("/run/a.sock")).unwrap();
        archive.note();
        let due = archive.deadline().unwrap();
        archive.note();
        assert_eq!(archive.deadline(), Some(due));
        archive.keep(Instant::now(), || panic!("it is not time yet"));
        archive.keep(due, || exits(1));
        assert_eq!(archive.deadline(), None);
        archive.keep(due + PAUSE, || panic!("nothing has changed"));
        archive.close(exits(2));
        assert_eq!(Archive::open(folder.path(), Path::new("/run/a.sock")).unwrap().earlier, exits(2));
    }

    #[test]
    fn where_nothing_is_kept_nothing_is_due() {
        let mut archive = Archive::default();
        archive.note();
        assert_eq!(archive.deadline(), None);
        archive.close(exits(1));
    }

    #[test]
    fn what_cannot_be_read_is_put_aside() {
        for damaged in ["", "{\"version\":1", "{\"version\":2,\"socket\":\"\",\"apps\":{}}"] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(format!("exits-{:016x}.json", fingerprint(Path::new("/a"))));
            fs::write(&file, damaged).unwrap();
            let mut archive = Archive::open(folder.path(), Path::new("/a")).unwrap();
            assert_eq!(archive.earlier, Kept::default());
            archive.close(exits(1));
            assert_eq!(files(folder.path()).len(), 2);
            assert_eq!(fs::read_to_string(file.with_extension("damaged")).unwrap(), damaged);
            assert_eq!(read(&file), exits(1));
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let mut archive = Archive::open(&file, Path::new("/a")).unwrap();
        archive.close(exits(1));
    }
}
