//! Writes access lines from a thread of its own.
//!
//! Callers append to a bounded buffer and go on; the thread takes the whole buffer and writes it. Knows no format.
//! Invariants: a caller never waits for the output; a line that cannot be written is counted; the thread ends when the
//! [`AccessLog`] is dropped, after what was pending has been written or [`FLUSH_LIMIT`] has passed.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::IntCounter;

use super::{Asked, Format, Line, Request};

/// Bytes that may wait to be written. More than this and lines are dropped.
const CAPACITY: usize = 1024 * 1024;

/// As many bytes are written at once, without waiting for more.
const BATCH: usize = CAPACITY / 4;

/// How long a line may wait for others to be written with it.
const GATHER: Duration = Duration::from_millis(100);

/// How long the end waits for what is pending.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Between attempts to write to an output that does not block and is full.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Attempts before a full output is given up for this batch.
const FULL_TRIES: u32 = 100;

/// Bytes of a line that a thread keeps room for.
const USUAL: usize = 16 * 1024;

thread_local! {
    /// Where lines are put together, outside of the lock.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where access lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Stdout,
    /// Appended to, created when missing with mode 0640: lines name people's addresses.
    File(PathBuf),
}

/// Why the log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the access log {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot write access lines to standard output: {0}")]
    Stdout(io::Error),
    #[error("cannot start the access log's thread: {0}")]
    Thread(io::Error),
}

/// The access log. Share it behind an `Arc`; dropping the last one flushes and ends its thread.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Tells the thread that there is something to do.
    work: Condvar,
    /// Tells the dropper that the thread has ended.
    ended: Condvar,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    reopen: bool,
    closing: bool,
    has_ended: bool,
}

impl AccessLog {
    /// Opens the target and starts the thread. `dropped` counts the lines that could not be written.
    ///
    /// # Errors
    /// When the file cannot be opened or no thread started.
    pub fn start(target: Target, format: Format, dropped: IntCounter) -> Result<Self, OpenError> {
        let output = open(&target)?;
        Self::start_on(output, target, format, dropped)
    }

    fn start_on(output: Output, target: Target, format: Format, dropped: IntCounter) -> Result<Self, OpenError> {
        let (state, work, ended) = (Mutex::default(), Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { state, work, ended, dropped });
        let sink = Sink { output, target, shared: shared.clone(), is_torn: false, is_failing: false };
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || sink.run());
        Ok(Self { format, shared, thread: Some(thread.map_err(OpenError::Thread)?) })
    }

    /// What is asked, for the line that will be written.
    #[must_use]
    pub fn asked(&self, request: &Request<'_>) -> Asked {
        Asked::of(request, self.format)
    }

    /// Hands a line to the thread; drops and counts it when too many are pending.
    pub fn write(&self, asked: &Asked, line: &Line<'_>) {
        LINE.with_borrow_mut(|text| {
            text.clear();
            text.shrink_to(USUAL);
            self.format.append(text, asked, line);
            self.shared.append(text);
        });
    }

    /// Opens the file anew (it was rotated). Lines written after this call go to the new file; when it cannot be opened,
    /// they go on to the old one. Standard output stays as it is.
    pub fn reopen(&self) {
        self.shared.lock().reopen = true;
        self.shared.work.notify_one();
    }
}

impl Drop for AccessLog {
    /// Waits for the thread no longer than [`FLUSH_LIMIT`]: one that is stuck in a write is left to its fate.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.work.notify_one();
        let waited = self.shared.ended.wait_timeout_while(state, FLUSH_LIMIT, |state| !state.has_ended);
        let has_ended = waited.unwrap_or_else(PoisonError::into_inner).0.has_ended;
        if let Some(thread) = self.thread.take().filter(|_| has_ended) {
            // A panic of the thread has been reported on standard error when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Nothing panics while it holds the lock, and a half-made state does not exist: a poisoned lock is a good lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread is woken by the first line and by the one that fills a batch; a wake-up for each would cost every
    /// exchange a system call.
    fn append(&self, line: &[u8]) {
        let mut state = self.lock();
        let before = state.pending.len();
        let after = before + line.len();
        if after > CAPACITY || state.has_ended {
            drop(state);
            self.dropped.inc();
            return;
        }
        state.pending.extend_from_slice(line);
        drop(state);
        if before == 0 || (before < BATCH && after >= BATCH) {
            self.work.notify_one();
        }
    }

    /// Waits for something to do: `None` when the log is closing and nothing is left.
    fn next(&self, batch: &mut Vec<u8>) -> Option<Reopen> {
        let is_urgent = |state: &mut State| state.closing || state.reopen || state.pending.len() >= BATCH;
        let state = self.work.wait_while(self.lock(), |state| !is_urgent(state) && state.pending.is_empty());
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let gathered = self.work.wait_timeout_while(state, GATHER, |state| !is_urgent(state));
        let mut state = gathered.unwrap_or_else(PoisonError::into_inner).0;
        std::mem::swap(&mut state.pending, batch);
        let reopen = std::mem::take(&mut state.reopen);
        (reopen || !batch.is_empty()).then_some(Reopen(reopen))
    }

    /// Lets a little time pass; a wake-up may cut it short.
    fn pause(&self) {
        drop(self.work.wait_timeout(self.lock(), FULL_PAUSE));
    }
}

struct Reopen(bool);

type Output = Box<dyn Write + Send>;

/// The thread's side: the output and what became of it.
struct Sink {
    output: Output,
    target: Target,
    shared: Arc<Shared>,
    /// The last write ended within a line.
    is_torn: bool,
    /// The last write failed; that is said once, not for each batch.
    is_failing: bool,
}

impl Sink {
    fn run(mut self) {
        let mut batch = Vec::new();
        while let Some(Reopen(reopen)) = self.shared.next(&mut batch) {
            if reopen {
                self.reopen();
            }
            self.write(&batch);
            batch.clear();
        }
    }

    fn reopen(&mut self) {
        if self.target == Target::Stdout {
            return;
        }
        match open(&self.target) {
            Ok(output) => (self.output, self.is_torn) = (output, false),
            Err(error) => tracing::warn!("{error}; the old file is written on"),
        }
    }

    /// Writes a batch of whole lines and counts those that did not reach the output to their end.
    fn write(&mut self, batch: &[u8]) {
        let (written, result) = self.put_on_new_line(batch);
        if written > 0 {
            self.is_torn = !batch[..written].ends_with(b"\n");
        }
        self.shared.dropped.inc_by(lines_in(&batch[written..]));
        self.report(&result);
    }

    fn put_on_new_line(&mut self, batch: &[u8]) -> (usize, io::Result<()>) {
        if self.is_torn {
            if let (_, Err(error)) = self.put(b"\n") {
                return (0, Err(error));
            }
            self.is_torn = false;
        }
        self.put(batch)
    }

    /// How many bytes the output took, and why not all of them.
    fn put(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let (mut written, mut refused) = (0, 0);
        while written < bytes.len() {
            match self.output.write(&bytes[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => (written, refused) = (written + count, 0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Standard output may be a pipe that another process has made non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && refused < FULL_TRIES => {
                    refused += 1;
                    self.shared.pause();
                }
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    fn report(&mut self, result: &io::Result<()>) {
        match result {
            Err(error) if !self.is_failing => tracing::warn!("cannot write the access log: {error}; lines are dropped"),
            Ok(()) if self.is_failing => tracing::info!("the access log is written again"),
            _ => {}
        }
        self.is_failing = result.is_err();
    }
}

impl Drop for Sink {
    /// Also on the way out of a panic, so that nobody waits for a thread that is no more.
    fn drop(&mut self) {
        self.shared.lock().has_ended = true;
        self.shared.ended.notify_all();
    }
}

fn open(target: &Target) -> Result<Output, OpenError> {
    match target {
        Target::Stdout => {
            // The descriptor itself: the library's buffer would hide how much was written.
            let descriptor = io::stdout().as_fd().try_clone_to_owned().map_err(OpenError::Stdout)?;
            Ok(Box::new(File::from(descriptor)))
        }
        Target::File(path) => {
            let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
            Ok(Box::new(file.map_err(|source| OpenError::File { path: path.clone(), source })?))
        }
    }
}

fn lines_in(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').count() as u64 - 1
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
