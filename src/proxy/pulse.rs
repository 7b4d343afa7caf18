//! What a client connection is doing: waiting for a request, reading a head, or busy with exchanges.
//!
//! The socket, the exchanges and the watch over the connection all live in tasks of one thread and tell each other through
//! this. It does not know HTTP, limits or what happens at their end. Invariant: a connection with an exchange is never
//! idle and never in a head.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// The state of one client connection.
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    /// Milliseconds from `began` to when the connection fell idle or a head began.
    since: AtomicU64,
    is_in_head: AtomicBool,
    exchanges: AtomicU32,
    /// The next read is to look whether anything has arrived that the runtime has not told of yet.
    must_look: AtomicBool,
    /// A request's body was not read to its end.
    is_unread: AtomicBool,
    /// The connection was closed for being idle.
    is_dismissed: AtomicBool,
    /// After that, bytes have come.
    has_lost: AtomicBool,
}

/// What a connection is doing, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    // Idle => (Head | Busy)
    Idle(Instant),
    // Head => Busy
    Head(Instant),
    // Busy => Idle
    Busy,
}

impl Pulse {
    /// A connection that falls idle as it begins.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            since: AtomicU64::new(0),
            is_in_head: AtomicBool::new(false),
            exchanges: AtomicU32::new(0),
            must_look: AtomicBool::new(false),
            is_unread: AtomicBool::new(false),
            is_dismissed: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
        }
    }

    /// Bytes have come from the client: when it was idle, a head begins.
    pub(crate) fn heard(&self) {
        if self.exchanges.load(Relaxed) == 0 && !self.is_in_head.load(Relaxed) {
            self.mark(Instant::now());
            self.is_in_head.store(true, Relaxed);
        }
    }

    /// An exchange begins: its head has been read.
    pub(crate) fn begin(&self) {
        self.is_in_head.store(false, Relaxed);
        self.exchanges.fetch_add(1, Relaxed);
    }

    /// An exchange has ended.
    pub(crate) fn end(&self, now: Instant) {
        self.mark(now);
        self.exchanges.fetch_sub(1, Relaxed);
    }

    /// What the connection is doing.
    pub(crate) fn stage(&self) -> Stage {
        if self.exchanges.load(Relaxed) > 0 {
            return Stage::Busy;
        }
        let since = self.began + Duration::from_millis(self.since.load(Relaxed));
        if self.is_in_head.load(Relaxed) { Stage::Head(since) } else { Stage::Idle(since) }
    }

    /// Asks the next read to look.
    pub(crate) fn ask_to_look(&self) {
        self.must_look.store(true, Relaxed);
    }

    /// Takes the order to look.
    pub(crate) fn take_look(&self) -> bool {
        self.must_look.load(Relaxed) && self.must_look.swap(false, Relaxed)
    }

    /// A request's body was given up before its end.
    pub(crate) fn leave_unread(&self) {
        self.is_unread.store(true, Relaxed);
    }

    /// The connection is closed for being idle.
    pub(crate) fn dismiss(&self) {
        self.is_dismissed.store(true, Relaxed);
    }

    /// May bytes of a request still be coming after our side is closed?
    pub(crate) fn must_linger(&self) -> bool {
        self.is_unread.load(Relaxed) || self.is_dismissed.load(Relaxed)
    }

    /// Bytes have come after our side was closed. Of a body that nobody wanted that was to be expected; after an idle time
    /// it was a request.
    pub(crate) fn heard_late(&self) {
        self.has_lost.store(self.is_dismissed.load(Relaxed) && !self.is_unread.load(Relaxed), Relaxed);
    }

    /// Did a request come after the connection had been closed for being idle?
    pub(crate) fn has_lost(&self) -> bool {
        self.has_lost.load(Relaxed)
    }

    fn mark(&self, now: Instant) {
        self.since.store(now.saturating_duration_since(self.began).as_millis() as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_from_idle_over_head_and_exchange_to_idle() {
        let now = Instant::now();
        let pulse = Pulse::new(now);
        assert_eq!(pulse.stage(), Stage::Idle(now));
        pulse.heard();
        assert!(matches!(pulse.stage(), Stage::Head(since) if since <= Instant::now()));
        pulse.begin();
        assert_eq!(pulse.stage(), Stage::Busy);
        let later = now + Duration::from_secs(7);
        pulse.end(later);
        assert_eq!(pulse.stage(), Stage::Idle(later));
    }

    #[test]
    fn bytes_within_an_exchange_are_no_head() {
        let pulse = Pulse::new(Instant::now());
        pulse.begin();
        pulse.heard();
        assert_eq!(pulse.stage(), Stage::Busy);
        pulse.end(Instant::now());
        assert!(matches!(pulse.stage(), Stage::Idle(_)));
    }

    #[test]
    fn a_head_is_as_old_as_its_first_byte() {
        let began = Instant::now();
        let pulse = Pulse::new(began);
        pulse.heard();
        let Stage::Head(first) = pulse.stage() else { panic!("no head") };
        pulse.heard();
        assert_eq!(pulse.stage(), Stage::Head(first));
    }

    #[test]
    fn several_exchanges_are_one_busy_time() {
        let pulse = Pulse::new(Instant::now());
        pulse.begin();
        pulse.begin();
        pulse.end(Instant::now());
        assert_eq!(pulse.stage(), Stage::Busy);
        pulse.end(Instant::now());
        assert!(matches!(pulse.stage(), Stage::Idle(_)));
    }

    #[test]
    fn a_look_is_taken_once() {
        let pulse = Pulse::new(Instant::now());
        assert!(!pulse.take_look());
        pulse.ask_to_look();
        assert!(pulse.take_look());
        assert!(!pulse.take_look());
    }

    #[test]
    fn only_what_comes_after_a_dismissal_is_a_lost_request() {
        let pulse = Pulse::new(Instant::now());
        assert!(!pulse.must_linger());
        pulse.leave_unread();
        assert!(pulse.must_linger());
        pulse.heard_late();
        assert!(!pulse.has_lost());
        let pulse = Pulse::new(Instant::now());
        pulse.dismiss();
        assert!(pulse.must_linger() && !pulse.has_lost());
        pulse.heard_late();
        assert!(pulse.has_lost());
    }
}
