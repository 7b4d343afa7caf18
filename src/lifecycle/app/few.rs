//! Who serves only some of the requests that it could: a generation that is tried on a few clients, a worker that is young.
//!
//! What becomes of either is for others to say. Invariant: a generation is tried only beside somebody who serves.

use std::time::Instant;

use super::{App, Generation, Number};
use crate::id::Serial;
use crate::lifecycle::state::State;
use crate::lifecycle::todo::Step;

impl App {
    /// The generation that is tried on a few, and their share of all clients in ten thousandths. A change is published.
    #[must_use]
    pub fn canary(&self) -> Option<(Number, u32)> {
        self.generations.iter().find_map(|one| Some((one.number, one.share()?)))
    }

    /// Since when this worker serves without a break; `None`: it does not.
    #[must_use]
    pub fn serves_since(&self, serial: Serial) -> Option<Instant> {
        let mut workers = self.generations.iter().flat_map(Generation::workers);
        workers.find(|one| one.serial == serial && one.state == State::Serving).map(|one| one.since)
    }

    /// Beside those who serve, a generation that comes is tried on a few first, where its plan wants that.
    pub(super) fn begin_canary(&mut self, step: &mut Step<'_>) {
        if self.somebody_serves() {
            self.coming().for_each(|one| one.try_on_a_few(step));
        }
    }
}
