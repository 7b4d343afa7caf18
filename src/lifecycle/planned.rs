//! What an app makes of a wish to replace one of its workers, or of word how much one has done.
//!
//! How it is replaced is for `generation` and `place` to know. Invariant: only a worker of the live generation is wished away.

use super::RecycleReason;
use super::app::App;
use super::todo::Step;
use super::worker::Worker;
use crate::id::Serial;

impl App {
    pub(super) fn recycle(&mut self, serial: Serial, reason: RecycleReason, step: &Step<'_>) -> bool {
        let live = self.generations.iter_mut().find(|generation| generation.is_live());
        live.is_some_and(|generation| generation.recycle(serial, reason, step))
    }

    pub(super) fn served(&mut self, serial: Serial, exchanges: u64, step: &Step<'_>) -> bool {
        let is_due = |worker: &mut Worker| worker.term.quota.is_some_and(|quota| quota <= exchanges as f64);
        let Some(is_due) = self.worker(serial).map(is_due) else { return false };
        if is_due {
            // Whoever leaves already does not serve, and is not meant.
            self.recycle(serial, RecycleReason::MaxRequests, step);
        }
        true
    }
}
