//! When a client connection has to end although its client has not ended it.
//!
//! Decides, and does nothing itself. Five limits: a head that takes too long, a client that takes nothing of what it has
//! asked for, a connection that is idle for too long, one that is still idle when the proxy retires, and what the client of
//! an HTTP/2 connection may do to it. Does not know how either protocol is written.
//! Invariant: a connection is closed for idleness only after the kernel has been asked whether a request has just arrived;
//! what is lost then was sent after that moment, and nobody who closes a connection can help that (RFC 9112, section 9.5).
//!
//! hyper offers one timer for both heads and idleness, and its `graceful_shutdown` closes an HTTP/1 connection that is
//! about to read a request. Hence neither is used while a request may be coming.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::alarm::Alarm;
use super::peer::Peer;
use super::pulse::{Order, Stage};
use super::refusal;
use crate::telemetry::exchange_metrics::Cut;

/// How long an HTTP/1 connection is idle before it gives back all memory that it can do without. In tests so short that
/// connections are parked all the time.
const PARK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2_000 });

/// How long a connection that was told to close may take to do so.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long an HTTP/2 client may take to begin.
const PREFACE: Duration = Duration::from_secs(5);

/// Exchanges that an HTTP/2 client may begin after it was told that there are to be no more: what was under way.
const DEAF: u32 = 5_000;

/// Watches one connection.
pub(crate) struct Watch {
    peer: Arc<Peer>,
    limits: Limits,
    is_http2: bool,
    alarm: Alarm,
    retiring: Pin<Box<WaitForCancellationFutureOwned>>,
    is_registered: bool,
    pub(super) is_parked: bool,
    /// The idle time for which the kernel has been asked.
    looked: Option<Instant>,
    /// When the connection was told to close.
    closing: Option<Instant>,
}

/// What a connection is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the first byte of a head to its last.
    pub(crate) head: Duration,
    /// Without an exchange.
    pub(crate) idle: Duration,
    /// Without a byte that is taken, while there are some to send.
    pub(crate) stall: Duration,
    /// Exchanges on an HTTP/2 connection.
    pub(crate) requests: u32,
}

/// A limit that is running, with its beginning.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Head(Instant),
    /// The same in HTTP/2, where no answer is possible.
    Fields,
    Preface,
    Stall,
    Idle,
    Park,
}

/// What is to be done with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Let it read once more: that read has an order.
    Read,
    /// Let it close by itself.
    Close,
    /// Drop it.
    Drop,
    /// Let it say goodbye, and drop it.
    Expel,
    /// Keep its socket, and drop the rest until its client says something.
    Park,
}

impl Watch {
    pub(crate) fn new(peer: &Arc<Peer>, limits: Limits, is_http2: bool) -> Self {
        let retiring = Box::pin(peer.proxy.retiring.clone().cancelled_owned());
        Self {
            peer: Arc::clone(peer),
            limits,
            is_http2,
            alarm: Alarm::default(),
            retiring,
            is_registered: false,
            is_parked: false,
            looked: None,
            closing: None,
        }
    }

    /// What is to be done now, if anything. To be polled after each poll of the connection, from the same task always.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        self.register(cx);
        if self.is_http2 && self.closing.is_none() && (self.peer.proxy.is_retiring() || self.is_worn()) {
            // HTTP/2 can say goodbye without losing anything: exchanges end first, new ones go elsewhere.
            return self.close();
        }
        if self.is_http2
            && let Some(why) = self.offence()
        {
            return self.cut(why, Verdict::Expel);
        }
        let Some((deadline, limit)) = self.next() else { return Poll::Pending };
        ready!(self.alarm.poll(cx, deadline));
        match limit {
            Limit::Stall => self.cut(Cut::WriteStall, Verdict::Drop),
            Limit::Fields => self.cut(Cut::SlowHead, Verdict::Expel),
            Limit::Preface => self.cut(Cut::Preface, Verdict::Drop),
            Limit::Park => Poll::Ready(Verdict::Park),
            Limit::Head(since) if self.closing.is_none() => self.refuse(since),
            Limit::Idle if self.closing.is_none() => self.rest(deadline),
            Limit::Head(_) | Limit::Idle => Poll::Ready(Verdict::Drop),
        }
    }

    /// Has the connection carried as much as it is to carry?
    fn is_worn(&self) -> bool {
        self.peer.pulse.conduct().begun() >= self.limits.requests
    }

    /// What the client is to be cut off for. One that goes on as if it had not been told to make another connection floods.
    fn offence(&self) -> Option<Cut> {
        let conduct = self.peer.pulse.conduct();
        let most = self.limits.requests.saturating_add(DEAF);
        conduct.offence().or_else(|| (conduct.begun() > most).then_some(Cut::Flood))
    }

    fn cut(&self, why: Cut, verdict: Verdict) -> Poll<Verdict> {
        self.peer.proxy.metrics.cut(why);
        Poll::Ready(verdict)
    }

    /// The limit that is reached first, and when.
    fn next(&self) -> Option<(Instant, Limit)> {
        let pulse = &self.peer.pulse;
        let stage = match pulse.stage() {
            Stage::Busy => None,
            Stage::Idle(since) if self.is_http2 && !pulse.conduct().has_begun() => {
                Some((since + self.limits.head.min(PREFACE), Limit::Preface))
            }
            Stage::Head(since) => Some((self.head_end(since), Limit::Head(since))),
            Stage::Idle(since) => Some(self.idle(since)),
        };
        let stall = pulse.blocked().map(|since| (since + self.limits.stall, Limit::Stall));
        let fields = pulse.fields().map(|since| (since + self.limits.head, Limit::Fields));
        if stall.is_none() && fields.is_none() {
            return stage;
        }
        stage.into_iter().chain(stall).chain(fields).min_by_key(|(deadline, _)| *deadline)
    }

    /// The limit of a connection that has been idle since then. It is not parked while its client has not taken all that was
    /// said, nor while it is looked whether a request has just arrived.
    fn idle(&self, since: Instant) -> (Instant, Limit) {
        let end = self.idle_end(since);
        let is_done = self.closing.is_some() || self.looked == Some(end) || self.peer.pulse.blocked().is_some();
        let may_park = !self.is_http2 && !self.is_parked && !is_done;
        if may_park && since + PARK < end { (since + PARK, Limit::Park) } else { (end, Limit::Idle) }
    }

    /// A head has taken too long: its client is told so, and has a moment to take it.
    fn refuse(&mut self, since: Instant) -> Poll<Verdict> {
        self.closing = Some(Instant::now());
        self.peer.proxy.metrics.cut(Cut::SlowHead);
        refusal::note(&self.peer, since);
        self.peer.pulse.ask(Order::Refuse);
        Poll::Ready(Verdict::Read)
    }

    /// The connection has been idle for long enough, unless a request has just arrived.
    fn rest(&mut self, deadline: Instant) -> Poll<Verdict> {
        if self.is_http2 || (self.looked == Some(deadline) && !self.is_parked) {
            return self.close();
        }
        self.looked = Some(deadline);
        self.peer.pulse.ask(Order::Look);
        Poll::Ready(Verdict::Read)
    }

    fn close(&mut self) -> Poll<Verdict> {
        self.closing = Some(Instant::now());
        if !self.is_http2 {
            self.peer.pulse.dismiss();
        }
        Poll::Ready(Verdict::Close)
    }

    /// When a head that began then has had its time.
    fn head_end(&self, since: Instant) -> Instant {
        self.closing.map_or(since + self.limits.head, |closing| closing + FAREWELL)
    }

    /// When a connection that has been idle since then has been idle for long enough.
    fn idle_end(&self, since: Instant) -> Instant {
        if let Some(closing) = self.closing {
            return since.max(closing) + FAREWELL;
        }
        let usual = since + self.limits.idle;
        match self.peer.proxy.retirement() {
            Some(retirement) => usual.min(since.max(retirement.at) + retirement.grace),
            None => usual,
        }
    }

    /// Has the task woken when the proxy retires. Once is enough: a task's waker stays the same for its life.
    fn register(&mut self, cx: &mut Context<'_>) {
        if !self.is_registered {
            self.is_registered = true;
            let _ = self.retiring.as_mut().poll(cx);
        }
    }
}
