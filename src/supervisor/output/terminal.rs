//! portreeve's own standard output, as a place for the lines of all workers.
//!
//! Invariant: it is written by a thread of its own; when nobody reads it, those who write to it wait, and nobody else.

use std::io::Write;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::line::Shape;

/// Batches that wait for the writer before workers are slowed down.
const QUEUED_BATCHES: usize = 64;

/// How long [`Writer::close`] waits for a reader of our standard output that does not read.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Where lines go; cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::supervisor) struct Sink {
    batches: mpsc::Sender<Batch>,
    pub(super) shape: Shape,
}

#[derive(Debug)]
enum Batch {
    Lines(String),
    /// All before it is written.
    Settled(oneshot::Sender<()>),
}

/// Those who write: the sink's thread, see [`Sink::open`], and all who hold a token of `files`.
#[derive(Debug)]
pub(in crate::supervisor) struct Writer {
    ended: oneshot::Receiver<()>,
    pub(in crate::supervisor) files: TaskTracker,
}

impl Sink {
    /// A sink whose lines a thread of its own writes to `out`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(in crate::supervisor) fn open(
        mut out: impl Write + Send + 'static,
        json: bool,
    ) -> std::io::Result<(Self, Writer)> {
        let (batches, mut queue) = mpsc::channel::<Batch>(QUEUED_BATCHES);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("output".into()).spawn(move || {
            while let Some(batch) = queue.blocking_recv() {
                match batch {
                    // A closed or full standard output must not stop the workers.
                    Batch::Lines(lines) => drop(out.write_all(lines.as_bytes())),
                    Batch::Settled(done) => {
                        let _ = out.flush();
                        let _ = done.send(());
                    }
                }
                if queue.is_empty() {
                    let _ = out.flush();
                }
            }
            let _ = end.send(());
        })?;
        let shape = if json { Shape::Json } else { Shape::Named };
        Ok((Self { batches, shape }, Writer { ended, files: TaskTracker::new() }))
    }

    /// Waits for room. Nothing happens when the writer is gone.
    pub(super) async fn write(&self, batch: String) {
        let _ = self.batches.send(Batch::Lines(batch)).await;
    }

    /// Waits until all is written that was handed over so far, for two seconds at most.
    pub(in crate::supervisor) async fn settle(&self) {
        let (done, settled) = oneshot::channel();
        let written = async { (self.batches.send(Batch::Settled(done)).await, settled.await) };
        let _ = tokio::time::timeout(CLOSE_LIMIT, written).await;
    }
}

impl Writer {
    /// Waits until every line is written; drop all sinks and files first. Gives up after two seconds.
    pub(in crate::supervisor) async fn close(self) {
        self.files.close();
        let both = async { (self.ended.await, self.files.wait().await) };
        let _ = tokio::time::timeout(CLOSE_LIMIT, both).await;
    }
}
