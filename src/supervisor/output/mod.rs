//! What workers print: read line by line, kept for whoever asks why a worker failed, and written where it is to go.
//!
//! [`Capture`] reads one stream of a worker to its end and hands every batch of whole lines on: to the [`Tail`], to the
//! [`Feed`] that people read, to portreeve's own standard output ([`Sink`]) and to the files of the app ([`Files`]), each
//! of which has a thread to write. Does not know why a worker printed something. Invariants: a slow output slows the worker down, and neither loses a line
//! nor holds up the supervisor's loop; one that cannot be written at all is counted and stops nobody.

mod capture;
mod feed;
mod file;
mod files;
mod flush;
mod history;
mod line;
mod sweep;
mod tail;
mod telling;
mod terminal;

use serde::{Deserialize, Serialize};

pub(super) use capture::{Capture, HalfLines, Halt};
pub(super) use feed::Feed;
pub(super) use files::{Files, Outlet, paths};
pub(super) use history::history;
pub(super) use sweep::Sweeper;
pub(super) use tail::Tail;
pub(super) use terminal::{Sink, Writer};

/// Which of a worker's streams a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stream {
    Stdout,
    Stderr,
}
