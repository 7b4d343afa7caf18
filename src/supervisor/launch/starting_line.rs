//! The descriptor on which a worker says that it is ready by a line, as services of s6 do.
//!
//! The first line end is the word, whatever stands before it. The worker's end closed without one is no word and never
//! will be. Reads no more than [`MOST_BYTES`].

use std::os::fd::OwnedFd;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::kit::Kit;
use crate::config::{Contract, Readiness};
use crate::supervisor::channel::Subject;
use crate::supervisor::event::Event;
use crate::sys::socket;

/// Who says more than this without a line end says something else.
const MOST_BYTES: usize = 64 * 1024;

/// Our end; nobody reads any more once it is dropped.
#[derive(Debug)]
pub(in crate::supervisor) struct StartingLine {
    #[expect(dead_code, reason = "held for its drop")]
    reader: AbortOnDropHandle<()>,
}

impl StartingLine {
    /// Lets a worker that is to say it that way have its end, at the number that was agreed on; gives ours.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn offer(contract: Contract, kit: &mut Kit) -> Result<Option<OwnedFd>, String> {
        let Readiness::Descriptor(number) = contract.ready else { return Ok(None) };
        let (ours, theirs) = socket::pipe().map_err(|error| format!("make a pipe for the worker's word: {error}"))?;
        kit.place_at(theirs, number.into());
        Ok(Some(ours))
    }

    /// Waits for the word.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn open(end: OwnedFd, ready: Readiness, subject: Subject, tasks: &TaskTracker) -> Result<Self, String> {
        let source =
            pipe::Receiver::from_owned_fd(end).map_err(|error| format!("wait for the worker's word: {error}"))?;
        let reader = tasks.spawn(async move {
            if is_said(source).await {
                let Subject { worker, serial, events, .. } = subject;
                let _ = events.send(Event::Declared { app: worker.app, serial, by: ready }).await;
            }
        });
        Ok(Self { reader: AbortOnDropHandle::new(reader) })
    }
}

async fn is_said(mut source: impl AsyncRead + Unpin) -> bool {
    let (mut buffer, mut left) = ([0; 256], MOST_BYTES);
    while left > 0 {
        let Ok(length @ 1..) = source.read(&mut buffer).await else { return false };
        if buffer[..length].contains(&b'\n') {
            return true;
        }
        left = left.saturating_sub(length);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_end_is_the_word_whatever_stands_before_it() {
        for said in ["\n", "ready\n", "\n\n\nmore"] {
            assert!(is_said(said.as_bytes()).await, "{said:?}");
        }
        assert!(is_said([&[b'x'; 2000][..], b"\n"].concat().as_slice()).await);
    }

    #[tokio::test]
    async fn an_end_without_a_line_and_endless_talk_are_no_word() {
        assert!(!is_said(&b""[..]).await);
        assert!(!is_said(&b"nearly"[..]).await);
        assert!(!is_said(tokio::io::repeat(b'x')).await);
    }
}
