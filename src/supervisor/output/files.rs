//! The log files of one app, and the thread that writes them.
//!
//! All workers of an app, of whatever generation, hand their lines to this one thread, so no two ever write or rotate the
//! same file. Invariants: who hands lines over waits for room and for nothing else; a file that cannot be written
//! holds nobody up, its lines are counted, and that is said once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use prometheus::IntCounter;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::file::{Appended, LogFile};
use super::flush::Emptied;
use super::line::Shape;
use super::{Stream, Sweeper};
use crate::config::{LogFormat, Output, Rotate};
use crate::id::{AppName, Slot};

/// Batches that wait for the thread before workers are slowed down.
const QUEUED_BATCHES: usize = 64;

/// What every app's thread needs.
#[derive(Debug)]
pub(in crate::supervisor) struct Outlet {
    /// Counts lines that could not be written.
    pub(in crate::supervisor) failed: IntCounter,
    pub(in crate::supervisor) sweeper: Sweeper,
    /// Held until everything is written.
    pub(in crate::supervisor) _token: TaskTrackerToken,
}

/// The files of one app; cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::supervisor) struct Files {
    orders: mpsc::Sender<Order>,
    /// All files are to be opened anew before anything more is written.
    reopen: Arc<AtomicBool>,
}

/// Where the lines of one stream of one worker go.
#[derive(Debug)]
pub(in crate::supervisor) struct Page {
    pub(super) shape: Shape,
    targets: Arc<[Arc<Target>]>,
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
struct Target {
    path: PathBuf,
    rotate: Option<Rotate>,
}

#[derive(Debug)]
enum Order {
    /// Whole lines.
    Write { targets: Arc<[Arc<Target>]>, lines: String },
    /// Only wakes the thread up.
    Reopen,
    /// These are to be empty.
    Flush { paths: Vec<PathBuf>, done: oneshot::Sender<Emptied> },
}

impl Files {
    /// Starts the thread; it ends when this and all pages are dropped and everything is written.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(in crate::supervisor) fn open(app: AppName, outlet: Outlet) -> io::Result<Self> {
        let (orders, queue) = mpsc::channel(QUEUED_BATCHES);
        let reopen = Arc::new(AtomicBool::new(false));
        let scribe = Scribe { app, outlet, reopen: Arc::clone(&reopen), books: BTreeMap::new() };
        std::thread::Builder::new().name("log-files".into()).spawn(move || scribe.run(queue))?;
        Ok(Self { orders, reopen })
    }

    /// Opens all files anew (they were rotated), in between two batches. Never waits.
    pub(in crate::supervisor) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        // A full queue needs no one to wake its thread up.
        let _ = self.orders.try_send(Order::Reopen);
    }

    /// Has files emptied, in between two batches. Waits for room; nothing happens when the thread is gone.
    pub(super) async fn order_flush(&self, paths: Vec<PathBuf>, done: oneshot::Sender<Emptied>) {
        let _ = self.orders.send(Order::Flush { paths, done }).await;
    }

    /// Where one stream of a worker in this slot goes; `None`: to no file.
    pub(in crate::supervisor) fn page(&self, output: &Output, stream: Stream, slot: Slot) -> Option<Page> {
        let own = match stream {
            Stream::Stdout => &output.out,
            Stream::Stderr => &output.err,
        };
        let mut paths: Vec<PathBuf> = [&output.file, own].into_iter().flatten().cloned().collect();
        paths.dedup();
        if output.per_worker {
            paths = paths.iter().map(|path| of_slot(path, slot)).collect();
        }
        let targets = paths.into_iter().map(|path| Arc::new(Target { path, rotate: output.rotate }));
        let targets: Arc<[Arc<Target>]> = targets.collect();
        let shape = match output.format {
            LogFormat::Text => Shape::Bare(output.time.clone()),
            LogFormat::Json => Shape::Json,
        };
        (!targets.is_empty()).then(|| Page { shape, targets, orders: self.orders.clone() })
    }
}

impl Page {
    /// Waits for room. Nothing happens when the thread is gone.
    pub(super) async fn write(&self, lines: String) {
        let targets = Arc::clone(&self.targets);
        let _ = self.orders.send(Order::Write { targets, lines }).await;
    }
}

/// All files that workers in so many slots write to.
pub(in crate::supervisor) fn paths(output: &Output, slots: u32) -> Vec<PathBuf> {
    let named: BTreeSet<&PathBuf> = [&output.file, &output.out, &output.err].into_iter().flatten().collect();
    if !output.per_worker {
        return named.into_iter().cloned().collect();
    }
    named.into_iter().flat_map(|path| (0..slots).map(|slot| of_slot(path, Slot(slot)))).collect()
}

/// `log/web.log` is `log/web-0.log` for slot 0; what is no file stays what it is.
pub(super) fn of_slot(path: &Path, slot: Slot) -> PathBuf {
    let Some(stem) = path.file_stem().filter(|_| !path.starts_with("/dev")) else { return path.to_owned() };
    let mut name = OsString::from(stem);
    name.push(format!("-{slot}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// The thread.
struct Scribe {
    app: AppName,
    outlet: Outlet,
    reopen: Arc<AtomicBool>,
    books: BTreeMap<PathBuf, Book>,
}

/// One file, and what was said of it.
struct Book {
    file: LogFile,
    /// Dead when nobody writes to it any more.
    user: Weak<Target>,
    /// Lines lost since it failed.
    lost: u64,
    is_stuck: bool,
}

impl Scribe {
    fn run(mut self, mut queue: mpsc::Receiver<Order>) {
        while let Some(order) = queue.blocking_recv() {
            if self.reopen.swap(false, Ordering::AcqRel) {
                self.reopen_all();
            }
            match order {
                Order::Write { targets, lines } => {
                    targets.iter().for_each(|target| self.write(target, lines.as_bytes()));
                }
                Order::Reopen => {}
                // Whoever has asked may be gone.
                Order::Flush { paths, done } => drop(done.send(self.empty(paths))),
            }
        }
    }

    fn reopen_all(&mut self) {
        self.books.retain(|_, book| book.user.strong_count() > 0);
        for (path, book) in &mut self.books {
            if let Err(error) = book.file.reopen() {
                tracing::error!(app = %self.app, path = %path.display(), %error, "cannot open the log file anew");
            }
        }
    }

    fn empty(&mut self, paths: Vec<PathBuf>) -> Emptied {
        let mut emptied = Emptied::default();
        for path in paths {
            let result = match self.books.get_mut(&path) {
                Some(book) => book.file.empty(),
                None => LogFile::new(path.clone()).empty(),
            };
            emptied.note(path, result);
        }
        emptied
    }

    fn write(&mut self, target: &Arc<Target>, lines: &[u8]) {
        if !self.books.contains_key(&target.path) {
            // The one time at which there may be more of them than needed.
            self.books.retain(|_, book| book.user.strong_count() > 0);
        }
        let book = match self.books.entry(target.path.clone()) {
            Entry::Occupied(book) => book.into_mut(),
            Entry::Vacant(place) => {
                // What was left of an earlier life is taken care of too.
                target.rotate.iter().for_each(|rotate| self.outlet.sweeper.order(&target.path, *rotate));
                place.insert(Book::new(target))
            }
        };
        book.user = Arc::downgrade(target);
        let appended = book.file.append(lines, target.rotate.as_ref(), SystemTime::now());
        if let Some(rotate) = target.rotate.filter(|_| appended.rotated) {
            self.outlet.sweeper.order(&target.path, rotate);
        }
        self.outlet.failed.inc_by(appended.failed.as_ref().map_or(0, |(_, lost)| *lost));
        book.report(&self.app, &target.path, &appended);
    }
}

impl Book {
    fn new(target: &Arc<Target>) -> Self {
        let file = LogFile::new(target.path.clone());
        Self { file, user: Arc::downgrade(target), lost: 0, is_stuck: false }
    }

    /// Says, once, what begins to go wrong, and that it is over.
    fn report(&mut self, app: &AppName, path: &Path, appended: &Appended) {
        let path = path.display();
        if let Some(error) = appended.stuck.as_ref().filter(|_| !self.is_stuck) {
            tracing::error!(%app, %path, %error, "cannot rotate the log file; it is written on");
        }
        self.is_stuck = appended.stuck.is_some();
        match &appended.failed {
            Some((error, lost)) => {
                if self.lost == 0 {
                    tracing::error!(%app, %path, %error, "cannot write the log file; lines are lost until it can be");
                }
                self.lost += lost.max(&1);
            }
            None if self.lost > 0 => {
                tracing::info!(%app, %path, lost = self.lost, "the log file is written again");
                self.lost = 0;
            }
            None => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use tokio_util::task::TaskTracker;

    use super::*;

    /// One file for both streams, bare lines.
    pub(in crate::supervisor::output) fn one_file(folder: &Path) -> Output {
        Output {
            file: Some(folder.join("all.log")),
            out: None,
            err: None,
            format: LogFormat::Text,
            time: None,
            per_worker: false,
            stdout: false,
            rotate: None,
        }
    }

    fn output(folder: &Path) -> Output {
        Output { out: Some(folder.join("out.log")), ..one_file(folder) }
    }

    fn files(tasks: &TaskTracker) -> (Files, IntCounter) {
        let failed = IntCounter::new("failed", "failed").unwrap();
        let outlet = Outlet { failed: failed.clone(), sweeper: Sweeper::start().unwrap(), _token: tasks.token() };
        (Files::open("web".parse().unwrap(), outlet).unwrap(), failed)
    }

    /// Waits until everything is written.
    async fn close(files: Files, tasks: &TaskTracker) {
        drop(files);
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn each_stream_goes_to_its_own_file_and_to_the_common_one() {
        let (folder, tasks) = (tempfile::tempdir().unwrap(), TaskTracker::new());
        let (files, _) = files(&tasks);
        for (stream, lines) in [(Stream::Stdout, "out\n"), (Stream::Stderr, "err\n")] {
            let page = files.page(&output(folder.path()), stream, Slot(0)).unwrap();
            page.write(lines.to_owned()).await;
        }
        close(files, &tasks).await;
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!((read("all.log").as_str(), read("out.log").as_str()), ("out\nerr\n", "out\n"));
    }

    #[tokio::test]
    async fn one_file_for_both_keys_gets_each_line_once_and_no_file_makes_no_page() {
        let (folder, tasks) = (tempfile::tempdir().unwrap(), TaskTracker::new());
        let (files, _) = files(&tasks);
        let path = folder.path().join("all.log");
        let twice = Output { out: Some(path.clone()), per_worker: true, ..output(folder.path()) };
        files.page(&twice, Stream::Stdout, Slot(3)).unwrap().write("once\n".to_owned()).await;
        let none = Output { file: None, ..output(folder.path()) };
        assert!(files.page(&none, Stream::Stderr, Slot(0)).is_none());
        close(files, &tasks).await;
        assert_eq!(fs::read_to_string(folder.path().join("all-3.log")).unwrap(), "once\n");
    }

    #[tokio::test]
    async fn lines_that_cannot_be_written_are_counted() {
        let (folder, tasks) = (tempfile::tempdir().unwrap(), TaskTracker::new());
        let (files, failed) = files(&tasks);
        let full = Output { out: Some("/dev/full".into()), ..output(folder.path()) };
        let page = files.page(&full, Stream::Stdout, Slot(0)).unwrap();
        page.write("one\ntwo\n".to_owned()).await;
        drop(page);
        close(files, &tasks).await;
        assert_eq!(failed.get(), 2);
        assert_eq!(fs::read_to_string(folder.path().join("all.log")).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn the_slot_stands_before_the_extension() {
        let named = |path: &str| of_slot(Path::new(path), Slot(2)).display().to_string();
        assert_eq!(named("/log/web.log"), "/log/web-2.log");
        assert_eq!(named("/log.d/web"), "/log.d/web-2");
        assert_eq!(named("/dev/null"), "/dev/null");
    }
}
