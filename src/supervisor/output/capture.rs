//! Reads one stream of one worker to its end.
//!
//! Invariant: every line that was read is handed to every place that it is to go to, in the order in which it came.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::files::Page;
use super::line::take_lines;
use super::{Feed, Sink, Stream, Tail};
use crate::id::{Serial, WorkerId};

/// Bytes that are read at once, if there are as many.
const READ_BYTES: usize = 16 * 1024;

/// One stream, and where its lines go.
#[derive(Debug)]
pub(in crate::supervisor) struct Capture {
    pub(in crate::supervisor) worker: WorkerId,
    pub(in crate::supervisor) serial: Serial,
    pub(in crate::supervisor) stream: Stream,
    pub(in crate::supervisor) tail: Tail,
    pub(in crate::supervisor) feed: Feed,
    pub(in crate::supervisor) sink: Option<Sink>,
    pub(in crate::supervisor) page: Option<Page>,
    pub(in crate::supervisor) halt: Halt,
    /// Read by whoever was before us, and no line yet.
    pub(in crate::supervisor) half_line: Vec<u8>,
}

/// Ends all reading, so that somebody else can go on where it ended; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::supervisor) struct Halt {
    wanted: CancellationToken,
    readers: TaskTracker,
    left: Arc<Mutex<BTreeMap<Serial, HalfLines>>>,
}

/// What each stream of a worker has said that ends in no line yet.
pub(in crate::supervisor) type HalfLines = [Vec<u8>; 2];

impl Halt {
    /// Stops all readers; those who are handing lines on do it first. Gives what they have in hand.
    pub(in crate::supervisor) async fn stop(&self) -> BTreeMap<Serial, HalfLines> {
        self.wanted.cancel();
        self.readers.close();
        self.readers.wait().await;
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Serial, HalfLines>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, serial: Serial, stream: Stream, half_line: Vec<u8>) {
        self.lock().entry(serial).or_default()[stream as usize] = half_line;
    }
}

impl Capture {
    /// Reads to the end, or until it is to halt.
    pub(in crate::supervisor) async fn run(mut self, source: OwnedFd) {
        let _token = self.halt.readers.token();
        match pipe::Receiver::from_owned_fd(source) {
            Ok(source) => self.copy(source).await,
            Err(error) => tracing::error!(worker = %self.worker, %error, "cannot read the worker's output"),
        }
    }

    async fn copy(&mut self, mut source: impl AsyncRead + Unpin) {
        let mut read = std::mem::take(&mut self.half_line);
        loop {
            read.reserve(READ_BYTES);
            let result = tokio::select! {
                biased;
                () = self.halt.wanted.cancelled() => return self.halt.leave(self.serial, self.stream, read),
                result = source.read_buf(&mut read) => result,
            };
            let is_over = !matches!(result, Ok(1..));
            let lines = take_lines(&mut read, is_over);
            if !lines.is_empty() {
                self.hand_on(&lines).await;
            }
            if is_over {
                return;
            }
            if read.is_empty() {
                // Most workers are silent most of the time, and there may be many.
                read = Vec::new();
            }
        }
    }

    async fn hand_on(&self, lines: &[String]) {
        self.tail.push(lines);
        self.feed.push(&self.worker, self.stream, lines);
        if let Some(page) = &self.page {
            page.write(page.shape.text(&self.worker, self.stream, lines)).await;
        }
        if let Some(sink) = &self.sink {
            sink.write(sink.shape.text(&self.worker, self.stream, lines)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

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

    #[tokio::test]
    async fn every_line_reaches_the_sink_and_the_last_ones_the_tail() {
        let out = Shared::default();
        let (sink, writer) = Sink::open(out.clone(), false).unwrap();
        let worker = WorkerId { app: "web".parse().unwrap(), generation: Generation(3), slot: Slot(1) };
        let (tail, printed) =
            (Tail::default(), (0..300_000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n") + "\nend");
        let mut capture = Capture {
            worker,
            serial: Serial(1),
            stream: Stream::Stdout,
            tail: tail.clone(),
            feed: Feed::default(),
            sink: Some(sink),
            page: None,
            halt: Halt::default(),
            half_line: b"0".to_vec(),
        };
        capture.copy(&printed.as_bytes()[1..]).await;
        drop(capture);
        writer.close().await;
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.replace("web 3.1 | ", ""), printed + "\n");
        assert_eq!(tail.last(2), ["299999", "end"]);
    }

    #[tokio::test]
    async fn who_is_to_halt_hands_on_what_it_has_and_leaves_the_rest() {
        let out = Shared::default();
        let (sink, writer) = Sink::open(out.clone(), false).unwrap();
        let worker = WorkerId { app: "web".parse().unwrap(), generation: Generation(3), slot: Slot(1) };
        let halt = Halt::default();
        let (source, mut end) =
            crate::sys::socket::pipe().map(|(read, write)| (read, std::fs::File::from(write))).unwrap();
        let capture = Capture {
            worker,
            serial: Serial(7),
            stream: Stream::Stderr,
            tail: Tail::default(),
            feed: Feed::default(),
            sink: Some(sink.clone()),
            page: None,
            halt: halt.clone(),
            half_line: Vec::new(),
        };
        let tail = capture.tail.clone();
        let reader = tokio::spawn(capture.run(source.try_clone().unwrap()));
        end.write_all(b"one\ntwo\nthr").unwrap();
        while tail.last(2).len() < 2 {
            tokio::task::yield_now().await;
        }
        let left = halt.stop().await;
        assert_eq!(left.get(&Serial(7)), Some(&[Vec::new(), b"thr".to_vec()]));
        reader.await.unwrap();
        sink.settle().await;
        assert_eq!(String::from_utf8(out.0.lock().unwrap().clone()).unwrap(), "web 3.1 | one\nweb 3.1 | two\n");
        // What comes meanwhile stays in the pipe.
        end.write_all(b"ee\n").unwrap();
        let mut rest = [0; 8];
        assert_eq!(rustix::io::read(&source, &mut rest).unwrap(), 3);
        drop(sink);
        writer.close().await;
    }
}
