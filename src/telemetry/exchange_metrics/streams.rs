//! How streams ended whose worker, or proxy, was on its way out.
//!
//! Does not know how one ends. Invariant: kinds and ends are constants of the program, each pair with a series from the beginning.

use prometheus::{IntCounter, IntCounterVec};

/// What kind of stream it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    WebSocket,
    /// Server-sent events.
    Events,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// Its client was told: a Close, or an end behind an event.
    Notified,
    /// By itself, in time.
    Waited,
    /// It was cut off.
    Cut,
}

impl StreamKind {
    const ALL: [Self; 2] = [Self::WebSocket, Self::Events];

    fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Events => "event-stream",
        }
    }
}

impl StreamEnd {
    const ALL: [Self; 3] = [Self::Notified, Self::Waited, Self::Cut];

    fn label(self) -> &'static str {
        match self {
            Self::Notified => "notified",
            Self::Waited => "waited",
            Self::Cut => "cut",
        }
    }
}

/// A counter for each pair, of one app.
#[derive(Clone, Debug)]
pub(super) struct Streams([[IntCounter; StreamEnd::ALL.len()]; StreamKind::ALL.len()]);

impl Streams {
    pub(super) fn of(all: &IntCounterVec, app: &str) -> Self {
        let one = |kind: StreamKind, end: StreamEnd| all.with_label_values(&[app, kind.label(), end.label()]);
        Self(StreamKind::ALL.map(|kind| StreamEnd::ALL.map(|end| one(kind, end))))
    }

    pub(super) fn count(&self, kind: StreamKind, end: StreamEnd) {
        self.0[kind as usize][end as usize].inc();
    }
}
