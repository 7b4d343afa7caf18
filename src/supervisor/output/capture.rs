//! Reads one stream of one worker to its end.
//!
//! Invariant: every line that was read is handed to every place that it is to go to, in the order in which it came.

use std::os::fd::OwnedFd;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;

use super::files::Page;
use super::line::take_lines;
use super::{Feed, Sink, Stream, Tail};
use crate::id::WorkerId;

/// Bytes that are read at once, if there are as many.
const READ_BYTES: usize = 16 * 1024;

/// One stream, and where its lines go.
#[derive(Debug)]
pub(in crate::supervisor) struct Capture {
    pub(in crate::supervisor) worker: WorkerId,
    pub(in crate::supervisor) stream: Stream,
    pub(in crate::supervisor) tail: Tail,
    pub(in crate::supervisor) feed: Feed,
    pub(in crate::supervisor) sink: Option<Sink>,
    pub(in crate::supervisor) page: Option<Page>,
}

impl Capture {
    /// Reads to the end. Cancel it to stop early.
    pub(in crate::supervisor) async fn run(self, source: OwnedFd) {
        match pipe::Receiver::from_owned_fd(source) {
            Ok(source) => self.copy(source).await,
            Err(error) => tracing::error!(worker = %self.worker, %error, "cannot read the worker's output"),
        }
    }

    async fn copy(&self, mut source: impl AsyncRead + Unpin) {
        let mut read = Vec::new();
        loop {
            read.reserve(READ_BYTES);
            let is_over = !matches!(source.read_buf(&mut read).await, Ok(1..));
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
        let capture = Capture {
            worker,
            stream: Stream::Stdout,
            tail: tail.clone(),
            feed: Feed::default(),
            sink: Some(sink),
            page: None,
        };
        capture.copy(printed.as_bytes()).await;
        drop(capture);
        writer.close().await;
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.replace("web 3.1 | ", ""), printed + "\n");
        assert_eq!(tail.last(2), ["299999", "end"]);
    }
}
