//! A worker's standard output and standard error: two pipes, and a task that reads each.
//!
//! What becomes of the lines is the affair of `output`.

use std::io;
use std::os::fd::OwnedFd;

use tokio_util::task::TaskTracker;

use crate::config::Output;
use crate::id::{Serial, WorkerId};
use crate::supervisor::output::{Capture, Feed, Files, HalfLines, Halt, Sink, Stream, Tail};
use crate::sys::socket;

/// Our ends of the pipes of one worker, standard output first.
#[derive(Debug)]
pub(super) struct Streams([OwnedFd; 2]);

/// Where the lines of one worker go.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) worker: &'a WorkerId,
    pub(super) serial: Serial,
    pub(super) halt: &'a Halt,
    /// What was read before us.
    pub(super) half_lines: HalfLines,
    pub(super) output: &'a Output,
    pub(super) tail: &'a Tail,
    pub(super) feed: &'a Feed,
    /// They also go to our own standard output.
    pub(super) sink: Option<Sink>,
    pub(super) files: Option<&'a Files>,
}

/// As they are called where they are handed over, in their order.
pub(super) const NAMES: [&str; 2] = ["stdout", "stderr"];

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

impl Streams {
    /// Those of a worker that was there before us.
    pub(super) fn adopt(ends: [OwnedFd; 2]) -> Self {
        Self(ends)
    }

    /// Further descriptors of both.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn copies(&self) -> io::Result<[OwnedFd; 2]> {
        Ok([self.0[0].try_clone()?, self.0[1].try_clone()?])
    }

    /// Makes both pipes; the second value are the worker's ends. While we hold those, its output has no end.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn open() -> Result<(Self, [OwnedFd; 2]), String> {
        let [stdout, stderr] = [pipe()?, pipe()?];
        Ok((Self([stdout.0, stderr.0]), [stdout.1, stderr.1]))
    }

    /// Reads both until the last process that writes to them is gone; the tracker is empty then.
    pub(super) fn read(self, reading: Reading<'_>, tasks: &TaskTracker) -> TaskTracker {
        let Reading { worker, serial, halt, half_lines, output, tail, feed, sink, files } = reading;
        let readers = TaskTracker::new();
        for ((stream, source), half_line) in STREAMS.into_iter().zip(self.0).zip(half_lines) {
            let capture = Capture {
                worker: (*worker).clone(),
                serial,
                stream,
                halt: halt.clone(),
                half_line,
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
