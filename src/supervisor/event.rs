//! All that can happen to the supervisor, as one type on one bounded channel.
//!
//! Tasks produce events and know nothing of what they lead to; the loop consumes them one at a time.

use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use super::adoption::Checked;
use super::channel::cluster::Said;
use super::lookout::Sight;
use super::memory::Measurement;
use crate::config::Readiness;
use crate::control::Call;
use crate::id::{AppName, Serial};
use crate::lifecycle;
use crate::link::FromProxy;
use crate::sys::spawn::Exit;
use crate::sys::unread::Unread;

/// Events that wait for the loop before their producers have to wait too.
pub(super) const QUEUED_EVENTS: usize = 1024;

/// Where tasks put their events.
pub(super) type Events = mpsc::Sender<Event>;

/// Something happened.
#[derive(Debug)]
pub(super) enum Event {
    Signal(Signal),
    Call(Call),
    /// A worker's process has ended and its output is read.
    Exited {
        app: AppName,
        serial: Serial,
        exit: Exit,
    },
    /// A probe has its answer.
    Probed {
        app: AppName,
        serial: Serial,
        outcome: Result<(), String>,
    },
    /// A probe of a worker that serves has its answer.
    Checked {
        app: AppName,
        serial: Serial,
        outcome: Result<(), String>,
    },
    /// A worker was asked what warms it; so it went with those that it has not answered well.
    Warmed {
        app: AppName,
        serial: Serial,
        complaints: Vec<String>,
    },
    /// A worker says that it can serve, in this way; told once of each.
    Declared {
        app: AppName,
        serial: Serial,
        by: Readiness,
    },
    /// A worker says something else of itself.
    Told {
        app: AppName,
        serial: Serial,
        word: lifecycle::Word,
    },
    /// A worker of a cluster spoke to its primary.
    Cluster {
        app: AppName,
        serial: Serial,
        said: Said,
    },
    /// A worker has closed its end of the channel, or is gone.
    LeftChannel {
        app: AppName,
        serial: Serial,
    },
    /// A worker that is not ready was looked at.
    Sighted {
        app: AppName,
        serial: Serial,
        sight: Sight,
    },
    /// A worker that is to be killed stands still; on these connections it has not read what it was sent.
    Stands {
        app: AppName,
        serial: Serial,
        unread: Vec<Unread>,
    },
    /// Files of an app that is watched have changed, this one first.
    FilesChanged {
        app: AppName,
        path: PathBuf,
    },
    /// The memory of some workers was measured.
    Measured(Vec<Measurement>),
    /// A hook's process has ended and its output is read.
    HookEnded {
        serial: Serial,
        exit: Exit,
    },
    /// A proxy spoke.
    Said {
        proxy: u64,
        message: FromProxy,
    },
    /// A proxy's process has ended.
    ProxyExited {
        proxy: u64,
        exit: Exit,
    },
    /// A program has said whether it can take over.
    UpgradeChecked(Checked),
    /// Somebody reads `/metrics`.
    Scrape {
        reply: oneshot::Sender<String>,
    },
    /// Somebody reads `/readyz`; the answer is what is not ready.
    AskReady {
        reply: oneshot::Sender<Result<(), String>>,
    },
}

impl Event {
    /// Does it tell of figures alone, of which whoever takes over is told again?
    pub(super) fn is_of_figures(&self) -> bool {
        matches!(
            self,
            Self::Measured(_)
                | Self::Scrape { .. }
                | Self::AskReady { .. }
                | Self::Checked { outcome: Ok(()), .. }
                | Self::Said { message: FromProxy::Load(_) | FromProxy::Metrics { .. } | FromProxy::Fault { .. }, .. }
        )
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Reload,
    Stop,
    Upgrade,
    ReopenLogs,
    /// One of our children has ended, be it an adopted one.
    ChildEnded,
}
