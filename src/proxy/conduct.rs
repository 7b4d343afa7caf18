//! How the client of an HTTP/2 connection behaves: what it has cost, and what it has let come of it.
//!
//! Plain counts, told by the socket and the exchanges of one connection, which share a thread. Does not know frames, or what
//! becomes of a client that misbehaves. Invariant: an offence is not taken back.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::meter::Meter;
use crate::telemetry::exchange_metrics::Cut;

/// Bytes of no use that every connection may send.
const FREE: u64 = 1024 * 1024;

/// So many more exchanges may be called off than are let come to an answer.
const CANCELLED: u32 = 100;

/// The conduct of one client.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    has_begun: AtomicBool,
    is_flood: AtomicBool,
    /// The number of the block of header fields that is still to be ended; 0: none.
    block: AtomicU32,
    /// Bytes of bodies that went to the client.
    passed: AtomicU64,
    /// Exchanges that have begun.
    begun: AtomicU32,
    /// Exchanges that were called off before they had an answer, less those that were not.
    cancelled: AtomicU32,
}

impl Conduct {
    /// More has come. Says whether a block of header fields has begun and is not at its end.
    pub(crate) fn note(&self, meter: &Meter) -> Block {
        if meter.is_flood(self.passed.load(Relaxed), FREE) {
            self.is_flood.store(true, Relaxed);
        }
        if !self.has_begun.load(Relaxed) {
            self.has_begun.store(meter.has_begun(), Relaxed);
        }
        let (before, now) = (self.block.load(Relaxed), meter.open_block().unwrap_or(0));
        if before == now {
            return Block::Same;
        }
        self.block.store(now, Relaxed);
        if now == 0 { Block::Ended } else { Block::Begun }
    }

    /// Has it begun to speak HTTP/2?
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Relaxed)
    }

    /// An exchange begins.
    pub(crate) fn begin(&self) {
        self.begun.store(self.begun.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// How many exchanges have begun.
    pub(crate) fn begun(&self) -> u32 {
        self.begun.load(Relaxed)
    }

    /// So many bytes of a body went to the client.
    pub(crate) fn pass(&self, bytes: usize) {
        self.passed.store(self.passed.load(Relaxed) + bytes as u64, Relaxed);
    }

    /// An exchange has ended: called off before it had an answer, or not.
    pub(crate) fn end(&self, is_cancelled: bool) {
        let before = self.cancelled.load(Relaxed);
        let after = if is_cancelled { before.saturating_add(1) } else { before.saturating_sub(1) };
        // Once it is too much it stays so.
        if before <= CANCELLED && after != before {
            self.cancelled.store(after, Relaxed);
        }
    }

    /// What the client is to be cut off for.
    pub(crate) fn offence(&self) -> Option<Cut> {
        if self.is_flood.load(Relaxed) {
            return Some(Cut::Flood);
        }
        (self.cancelled.load(Relaxed) > CANCELLED).then_some(Cut::RapidReset)
    }
}

/// What has become of a block of header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// There is none, or still the one that there was.
    Same,
    /// Another one is still to be ended.
    Begun,
    /// None is to be ended any more.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_calls_off_a_hundred_more_than_it_lets_end_is_an_offender_for_good() {
        let conduct = Conduct::default();
        for _ in 0..1000 {
            conduct.end(true);
            conduct.end(false);
        }
        (0..100).for_each(|_| conduct.end(true));
        assert_eq!(conduct.offence(), None);
        conduct.end(true);
        (0..1000).for_each(|_| conduct.end(false));
        assert_eq!(conduct.offence(), Some(Cut::RapidReset));
    }

    #[test]
    fn good_conduct_is_not_saved_up() {
        let conduct = Conduct::default();
        (0..1000).for_each(|_| conduct.end(false));
        (0..101).for_each(|_| conduct.end(true));
        assert_eq!(conduct.offence(), Some(Cut::RapidReset));
    }

    #[test]
    fn a_block_is_told_of_when_it_begins_and_when_it_ends() {
        let (conduct, mut meter) = (Conduct::default(), Meter::default());
        meter.read(&[0; 24]);
        let block = |meter: &mut Meter, flags| {
            meter.read(&[0, 0, 1, 1, flags, 0, 0, 0, 1, 0x82]);
            conduct.note(meter)
        };
        assert_eq!(block(&mut meter, 4), Block::Same);
        assert_eq!(block(&mut meter, 0), Block::Begun);
        assert_eq!(conduct.note(&meter), Block::Same);
        assert_eq!(block(&mut meter, 0), Block::Begun, "another one");
        assert_eq!(block(&mut meter, 4), Block::Ended);
        assert!(conduct.has_begun());
    }

    #[test]
    fn bytes_of_no_use_are_an_offence_unless_much_was_taken() {
        let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[0; 8]].concat();
        let flood = || {
            let mut meter = Meter::default();
            meter.read(&[0; 24]);
            // 17 MB.
            (0..1000).for_each(|_| meter.read(&ping.repeat(1000)));
            meter
        };
        let (poor, rich) = (Conduct::default(), Conduct::default());
        rich.pass(10_000_000);
        poor.note(&flood());
        rich.note(&flood());
        assert_eq!((poor.offence(), rich.offence()), (Some(Cut::Flood), None));
    }
}
