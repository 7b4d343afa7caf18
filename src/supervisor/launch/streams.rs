//! A worker's standard output and standard error: two pipes, and a task that reads each.
//!
//! What becomes of the lines is the affair of `output`.

use std::os::fd::OwnedFd;

use tokio_util::task::TaskTracker;

use crate::config::Output;
use crate::id::WorkerId;
use crate::supervisor::output::{Capture, Feed, Files, Sink, Stream, Tail};
use crate::sys::socket;

/// Our ends of the pipes of one worker, standard output first.
#[derive(Debug)]
pub(super) struct Streams([OwnedFd; 2]);

/// Where the lines of one worker go.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) worker: &'a WorkerId,
    pub(super) output: &'a Output,
    pub(super) tail: &'a Tail,
    pub(super) feed: &'a Feed,
    /// They also go to our own standard output.
    pub(super) sink: Option<Sink>,
    pub(super) files: Option<&'a Files>,
}

impl Streams {
    /// Makes both pipes; the second value are the worker's ends. While we hold those, its output has no end.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn open() -> Result<(Self, [OwnedFd; 2]), String> {
        let [stdout, stderr] = [pipe()?, pipe()?];
        Ok((Self([stdout.0, stderr.0]), [stdout.1, stderr.1]))
    }

    /// Reads both until the last process that writes to them is gone; the tracker is empty then.
    pub(super) fn read(self, reading: &Reading<'_>, tasks: &TaskTracker) -> TaskTracker {
        let Reading { worker, output, tail, feed, sink, files } = reading;
        let readers = TaskTracker::new();
        for (stream, source) in [Stream::Stdout, Stream::Stderr].into_iter().zip(self.0) {
            let capture = Capture {
                worker: (*worker).clone(),
                stream,
                tail: (*tail).clone(),
                feed: (*feed).clone(),
                sink: sink.clone(),
                page: files.and_then(|files| files.page(output, stream, worker.slot)),
            };
            readers.spawn(tasks.track_future(capture.run(source)));
        }
        readers.close();
        readers
    }
}

/// A pipe: its read end, its write end.
fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    socket::pipe().map_err(|error| format!("make a pipe for the worker's output: {error}"))
}
