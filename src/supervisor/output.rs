//! What workers print: captured line by line, marked with its worker, written to portreeve's own standard output.
//!
//! Does not know why a worker printed something. Invariants: a full sink slows the worker down, it never loses a line and
//! never blocks the supervisor's loop; a line longer than [`LONGEST_LINE`] is split; the last [`KEPT_LINES`] lines of
//! each worker stay at hand for the message that says why it failed.

use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::id::WorkerId;

/// Bytes after which a line is split.
pub(super) const LONGEST_LINE: usize = 64 * 1024;

/// Lines kept of each worker.
pub(super) const KEPT_LINES: usize = 200;

/// Lines that wait for the writer before workers are slowed down.
const QUEUED_LINES: usize = 1024;

/// How long [`Writer::close`] waits for a reader of our standard output that does not read.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// The last lines of one worker, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// The last `count` lines, oldest first.
    pub(super) fn last(&self, count: usize) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }
}

/// Which of a worker's streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Where lines go; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    lines: mpsc::Sender<String>,
    json: bool,
}

/// The sink's writer; see [`Sink::open`].
#[derive(Debug)]
pub(super) struct Writer {
    ended: tokio::sync::oneshot::Receiver<()>,
}

impl Sink {
    /// A sink whose lines a thread of its own writes to `out`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn open(mut out: impl Write + Send + 'static, json: bool) -> std::io::Result<(Self, Writer)> {
        let (lines, mut queue) = mpsc::channel::<String>(QUEUED_LINES);
        let (end, ended) = tokio::sync::oneshot::channel();
        std::thread::Builder::new().name("output".into()).spawn(move || {
            while let Some(line) = queue.blocking_recv() {
                // A closed or full standard output must not stop the workers.
                let _ = out.write_all(line.as_bytes());
                if queue.is_empty() {
                    let _ = out.flush();
                }
            }
            let _ = end.send(());
        })?;
        Ok((Self { lines, json }, Writer { ended }))
    }

    /// Reads one stream of a worker to its end. Cancel it to stop early.
    pub(super) async fn capture(self, worker: WorkerId, stream: Stream, source: OwnedFd, tail: Tail) {
        match pipe::Receiver::from_owned_fd(source) {
            Ok(source) => self.copy(&worker, stream, source, &tail).await,
            Err(error) => tracing::error!(%worker, %error, "cannot read the worker's output"),
        }
    }

    async fn copy(&self, worker: &WorkerId, stream: Stream, source: impl AsyncRead + Unpin, tail: &Tail) {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = LONGEST_LINE as u64;
            match (&mut source).take(limit).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = printable(line.strip_suffix(b"\n").unwrap_or(&line));
            tail.push(&text);
            if self.lines.send(self.format(worker, stream, &text)).await.is_err() {
                return;
            }
        }
    }

    fn format(&self, worker: &WorkerId, stream: Stream, line: &str) -> String {
        if !self.json {
            return format!("{worker} | {line}\n");
        }
        let record = Record {
            time: jiff::Timestamp::now().to_string(),
            app: worker.app.as_str(),
            generation: worker.generation.0,
            slot: worker.slot.0,
            stream,
            line,
        };
        let mut text = serde_json::to_string(&record).expect("a record of plain values always serialises");
        text.push('\n');
        text
    }
}

impl Writer {
    /// Waits until every line is written; drop all sinks first. Gives up after two seconds.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.ended).await;
    }
}

#[derive(Serialize)]
struct Record<'a> {
    time: String,
    app: &'a str,
    generation: u64,
    slot: u32,
    stream: Stream,
    line: &'a str,
}

/// The line as text: bytes that are no UTF-8 and control characters other than tab and escape are written as escapes.
fn printable(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() && character != '\t' && character != '\u{1b}' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().flat_map(|byte| byte.escape_ascii().map(char::from)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Generation, Slot};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn worker() -> WorkerId {
        WorkerId { app: "web".parse().unwrap(), generation: Generation(3), slot: Slot(1) }
    }

    async fn captured(json: bool, bytes: &[u8]) -> (String, Tail) {
        let out = Shared::default();
        let (sink, writer) = Sink::open(out.clone(), json).unwrap();
        let tail = Tail::default();
        sink.copy(&worker(), Stream::Stderr, bytes, &tail).await;
        drop(sink);
        writer.close().await;
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        (text, tail)
    }

    #[tokio::test]
    async fn lines_are_marked_and_the_last_one_needs_no_newline() {
        let (text, tail) = captured(false, b"one\r\ntwo").await;
        assert_eq!(text, "web 3.1 | one\nweb 3.1 | two\n");
        assert_eq!(tail.last(1), ["two"]);
        assert_eq!(tail.last(9), ["one", "two"]);
    }

    #[tokio::test]
    async fn a_json_line_is_json_whatever_was_printed() {
        let (text, _) = captured(true, b"a \"quote\" \x00 \xff\n").await;
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["line"], "a \"quote\" \\u{0} \\xff");
        assert_eq!((record["app"].as_str(), record["stream"].as_str()), (Some("web"), Some("stderr")));
    }

    #[tokio::test]
    async fn a_long_line_is_split_and_no_byte_is_lost() {
        let long = vec![b'x'; LONGEST_LINE * 2 + 10];
        let (text, tail) = captured(false, &long).await;
        assert_eq!(text.matches('x').count(), long.len());
        assert_eq!(tail.last(9).len(), 3);
    }

    #[test]
    fn the_tail_is_bounded() {
        let tail = Tail::default();
        (0..500).for_each(|n| tail.push(&n.to_string()));
        assert_eq!(tail.last(usize::MAX).len(), KEPT_LINES);
        assert_eq!(tail.last(1), ["499"]);
    }
}
