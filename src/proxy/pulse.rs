//! What a client connection is doing: waiting for a request, reading a head, or busy with exchanges.
//!
//! The socket, the exchanges and the watch over the connection all live in tasks of one thread and tell each other through
//! this. It does not know HTTP, limits or what happens at their end. Invariant: a connection with an exchange is never
//! idle and never in a head.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::conduct::{Block, Conduct};
use super::meter::Meter;

/// The state of one client connection.
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    /// Milliseconds from `began` to when the connection fell idle or a head began.
    since: AtomicU64,
    is_in_head: AtomicBool,
    exchanges: AtomicU32,
    /// An [`Order`] for the next read.
    order: AtomicU8,
    /// A [`Turn`] of the exchange that is being polled.
    turn: AtomicU8,
    /// Milliseconds from `began` to when a write found no room, and one more; 0: there is room.
    blocked: AtomicU64,
    /// In the same way, when a block of header fields began that is not at its end.
    fields: AtomicU64,
    conduct: Conduct,
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

/// What the next read is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    /// Read.
    Read,
    /// Look whether anything has arrived that the runtime has not told of yet, then read.
    Look,
    /// Answer that the head took too long, and read no more.
    Refuse,
}

/// Whom an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Turn {
    /// As before.
    Nothing,
    /// Its worker, for more of the body.
    Worker,
    /// Its client, to take what there is.
    Client,
}

impl Pulse {
    /// A connection that falls idle as it begins.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            since: AtomicU64::new(0),
            is_in_head: AtomicBool::new(false),
            exchanges: AtomicU32::new(0),
            order: AtomicU8::new(Order::Read as u8),
            turn: AtomicU8::new(Turn::Nothing as u8),
            blocked: AtomicU64::new(0),
            fields: AtomicU64::new(0),
            conduct: Conduct::default(),
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

    /// Frames have come from the client.
    pub(crate) fn heard_frames(&self, meter: &Meter) {
        match self.conduct.note(meter) {
            Block::Same => {}
            Block::Begun => self.fields.store(self.millis(Instant::now()) + 1, Relaxed),
            Block::Ended => self.fields.store(0, Relaxed),
        }
    }

    /// Since when a block of header fields is not at its end.
    pub(crate) fn fields(&self) -> Option<Instant> {
        self.instant(&self.fields)
    }

    /// How the client behaves, if it speaks HTTP/2.
    pub(crate) fn conduct(&self) -> &Conduct {
        &self.conduct
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

    /// The handshake is over: the connection falls idle only now.
    pub(crate) fn settle(&self, now: Instant) {
        self.mark(now);
    }

    /// Gives the next read an order.
    pub(crate) fn ask(&self, order: Order) {
        self.order.store(order as u8, Relaxed);
    }

    /// Takes the order, if there is one.
    pub(crate) fn take_order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Read,
            order => {
                self.order.store(Order::Read as u8, Relaxed);
                if order == Order::Look as u8 { Order::Look } else { Order::Refuse }
            }
        }
    }

    /// Whom the exchange that is being polled waits for from now on.
    pub(crate) fn note_turn(&self, turn: Turn) {
        self.turn.store(turn as u8, Relaxed);
    }

    /// Takes what the exchange that was just polled has noted. Exchanges are polled one at a time.
    pub(crate) fn take_turn(&self) -> Turn {
        let turn = match self.turn.load(Relaxed) {
            0 => return Turn::Nothing,
            turn if turn == Turn::Worker as u8 => Turn::Worker,
            _ => Turn::Client,
        };
        self.turn.store(Turn::Nothing as u8, Relaxed);
        turn
    }

    /// A write has found no room.
    pub(crate) fn block(&self) {
        if self.blocked.load(Relaxed) == 0 {
            self.blocked.store(self.millis(Instant::now()) + 1, Relaxed);
        }
    }

    /// A write has found room.
    pub(crate) fn unblock(&self) {
        if self.blocked.load(Relaxed) != 0 {
            self.blocked.store(0, Relaxed);
        }
    }

    /// Since when the client takes nothing of what is to be sent.
    pub(crate) fn blocked(&self) -> Option<Instant> {
        self.instant(&self.blocked)
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
        self.since.store(self.millis(now), Relaxed);
    }

    fn instant(&self, mark: &AtomicU64) -> Option<Instant> {
        let millis = mark.load(Relaxed).checked_sub(1)?;
        Some(self.began + Duration::from_millis(millis))
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_millis() as u64
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
    fn an_order_is_taken_once_and_so_is_a_turn() {
        let pulse = Pulse::new(Instant::now());
        for order in [Order::Look, Order::Refuse] {
            assert_eq!(pulse.take_order(), Order::Read);
            pulse.ask(order);
            assert_eq!(pulse.take_order(), order);
        }
        for turn in [Turn::Worker, Turn::Client] {
            assert_eq!(pulse.take_turn(), Turn::Nothing);
            pulse.note_turn(turn);
            assert_eq!(pulse.take_turn(), turn);
        }
    }

    #[test]
    fn a_client_has_taken_nothing_since_the_first_write_that_found_no_room() {
        let pulse = Pulse::new(Instant::now());
        assert_eq!(pulse.blocked(), None);
        pulse.block();
        let first = pulse.blocked();
        assert!(first.is_some());
        pulse.block();
        assert_eq!(pulse.blocked(), first);
        pulse.unblock();
        assert_eq!(pulse.blocked(), None);
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
