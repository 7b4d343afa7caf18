//! The descriptor on which a worker says that it is ready by a line, as services of s6 do.
//!
//! The first line end is the word, whatever stands before it. The worker's end closed without one is no word and never
//! will be, which is told unless the worker itself is gone. Reads no more than [`MOST_BYTES`].

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::kit::Kit;
use crate::config::{Contract, Readiness};
use crate::lifecycle;
use crate::supervisor::channel::Subject;
use crate::supervisor::event::Event;
use crate::sys::socket;
use crate::sys::stat::Stat;

/// Who says more than this without a line end says something else.
const MOST_BYTES: usize = 64 * 1024;

/// A process that ends closes what it has first: so long it is given to be seen as dead.
const LAST_BREATH: Duration = Duration::from_millis(200);

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

    /// Waits for the word of the worker, which runs as `pid`.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn open(
        end: OwnedFd,
        ready: Readiness,
        pid: u32,
        subject: Subject,
        tasks: &TaskTracker,
    ) -> Result<Self, String> {
        let source =
            pipe::Receiver::from_owned_fd(end).map_err(|error| format!("wait for the worker's word: {error}"))?;
        let reader = tasks.spawn(async move {
            let Subject { worker, serial, events, .. } = subject;
            let app = worker.app;
            let event = match word(source).await {
                Ok(()) => Event::Declared { app, serial, by: ready },
                Err(why) => {
                    tokio::time::sleep(LAST_BREATH).await;
                    if !is_alive(pid) {
                        return;
                    }
                    Event::Told { app, serial, word: lifecycle::Word::Hopeless(why.to_owned()) }
                }
            };
            let _ = events.send(event).await;
        });
        Ok(Self { reader: AbortOnDropHandle::new(reader) })
    }
}

fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| Stat::of(pid).is_ok_and(|stat| !stat.is_dead()))
}

/// # Errors
/// Why there will be none.
async fn word(mut source: impl AsyncRead + Unpin) -> Result<(), &'static str> {
    let (mut buffer, mut left) = ([0; 256], MOST_BYTES);
    while left > 0 {
        let Ok(length @ 1..) = source.read(&mut buffer).await else {
            return Err("it closed the descriptor of `ready` without a line on it");
        };
        if buffer[..length].contains(&b'\n') {
            return Ok(());
        }
        left = left.saturating_sub(length);
    }
    Err("it wrote 64 KiB to the descriptor of `ready` without a line end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_end_is_the_word_whatever_stands_before_it() {
        for said in ["\n", "ready\n", "\n\n\nmore"] {
            assert!(word(said.as_bytes()).await.is_ok(), "{said:?}");
        }
        assert!(word([&[b'x'; 2000][..], b"\n"].concat().as_slice()).await.is_ok());
    }

    #[tokio::test]
    async fn an_end_without_a_line_and_endless_talk_are_no_word() {
        assert!(word(&b""[..]).await.unwrap_err().contains("closed"));
        assert!(word(&b"nearly"[..]).await.unwrap_err().contains("closed"));
        assert!(word(tokio::io::repeat(b'x')).await.unwrap_err().contains("64 KiB"));
    }

    #[test]
    fn a_process_that_has_ended_is_not_alive_before_it_is_reaped() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(is_alive(child.id()));
        drop(child.stdin.take());
        let ended = std::iter::repeat_with(|| is_alive(child.id())).take(1_000_000).any(|is_alive| !is_alive);
        assert!(ended);
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
    }
}
