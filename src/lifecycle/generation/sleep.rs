//! A generation that nobody asks for anything: it goes to sleep, and comes back when somebody does.
//!
//! That it is time to, and that somebody asks, is said from outside; whether others are in the way is for `lifecycle::sleep`
//! to know. Invariants: no worker is sent away for sleep before every proxy has closed it and has nothing in flight on it;
//! who asks until then is served by the workers that are there; after that nobody is started before somebody asks.
//!
//! ```text
//!            doze (published closed)          all proxies have let go              somebody asks             one serves
//!   Live ─────────────────────────────► Dozing ───────────────────────► Asleep ───────────────────► Waking ───────────► Live
//!     ▲  somebody asks, or what is in flight takes too long │
//!     └─────────────────────────────────────────────────────┘
//! ```

use std::time::{Duration, Instant};

use super::{Generation, Place, Stage};
use crate::lifecycle::state::State;
use crate::lifecycle::todo::Step;

/// What began in the very moment in which its workers were closed may take so long. If it takes longer, this is no time to sleep.
const DOZE: Duration = Duration::from_secs(1);

impl Generation {
    /// Do its workers get no requests, and does nobody come in the place of one that ends?
    pub(in crate::lifecycle) fn is_resting(&self) -> bool {
        self.is_retained() || matches!(self.stage, Stage::Dozing { .. } | Stage::Asleep)
    }

    /// Does it serve as it is meant to, with nothing under way?
    pub(in crate::lifecycle) fn may_doze(&self) -> bool {
        let has_surplus = self.places.len() > self.kept();
        self.stage == Stage::Live && self.circuit.is_closed() && self.is_routed() && !has_surplus
    }

    /// Is somebody who asks for it to be told of at once?
    pub(in crate::lifecycle) fn is_dormant(&self) -> bool {
        matches!(self.stage, Stage::Dozing { .. } | Stage::Asleep)
    }

    pub(in crate::lifecycle) fn is_asleep(&self) -> bool {
        self.stage == Stage::Asleep
    }

    /// Closes its workers; they go as soon as it is sure that nobody has asked meanwhile.
    pub(in crate::lifecycle) fn doze(&mut self, step: &mut Step<'_>) {
        // Live => Dozing
        self.stage = Stage::Dozing { until: step.after(DOZE) };
        self.places.iter_mut().for_each(|place| place.retain(step));
    }

    /// Somebody asks for it; false if it does not sleep.
    pub(in crate::lifecycle) fn rouse(&mut self, step: &mut Step<'_>) -> bool {
        match self.stage {
            // Dozing => Live
            Stage::Dozing { .. } => self.reinstate(None, step),
            // Asleep => Waking
            Stage::Asleep => {
                self.stage = Stage::Waking;
                let overlaps = self.plan.overlaps;
                self.places.iter_mut().for_each(|place| place.rouse(overlaps, step));
            }
            _ => return false,
        }
        true
    }

    /// Draws the conclusions from what has become of its workers.
    pub(in crate::lifecycle) fn fall_asleep_or_wake(&mut self, step: &mut Step<'_>) {
        match self.stage {
            Stage::Dozing { .. } if self.is_let_go_of() => {
                // Dozing => Asleep
                self.stage = Stage::Asleep;
                self.workers_mut().for_each(|worker| worker.leave(step));
            }
            Stage::Dozing { until } if step.is_due(until) => {
                self.rouse(step);
            }
            // Waking => Live
            Stage::Waking if self.is_routed() => self.stage = Stage::Live,
            _ => {}
        }
    }

    /// Has no proxy anything in flight on those who are kept, nor will have?
    fn is_let_go_of(&self) -> bool {
        self.places.iter().filter_map(Place::worker).all(|worker| match worker.state {
            State::Retained(closed) => closed.acknowledged && closed.idle,
            _ => true,
        })
    }

    pub(super) fn doze_ends_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Dozing { until } => Some(until),
            _ => None,
        }
    }
}
