//! The planned replacements of a generation: who is wished away, and who goes first.
//!
//! Does not know how one place changes hands. Invariant: no more places change at a time than there are permits.

use super::{Generation, Place};
use crate::id::Serial;
use crate::lifecycle::RecycleReason;
use crate::lifecycle::recycle;
use crate::lifecycle::todo::Step;

impl Generation {
    /// Wishes for another worker in the place of this one; false when it does not serve.
    pub(in crate::lifecycle) fn recycle(&mut self, serial: Serial, reason: RecycleReason, step: &Step<'_>) -> bool {
        let is_meant = |place: &Place| place.is_in_service() && place.worker().is_some_and(|one| one.serial == serial);
        let place = self.places.iter_mut().find(|place| is_meant(place));
        place.map(|place| place.wish(reason, step.now)).is_some()
    }

    /// Wishes for another worker where one has been unready for too long, or hangs.
    pub(in crate::lifecycle) fn heed(&mut self, step: &Step<'_>) {
        for place in &mut self.places {
            // Whoever was let go of in this step leaves in any case.
            let verdict = place.worker_mut().and_then(|sitter| sitter.verdict.take());
            if let Some(verdict) = verdict.filter(|_| place.is_in_service()) {
                place.wish(verdict.into(), step.now);
            }
        }
    }

    /// Sends those away who have wished first, where their successors may not run beside them.
    pub(in crate::lifecycle) fn send_away(&mut self, room: usize, step: &mut Step<'_>) {
        // While others give back what they had taken, nobody else is missing.
        if !self.plan.overlaps && room == usize::MAX {
            self.for_wishes(room, step, Place::send_away);
        }
    }

    /// Starts successors for those who have wished first, as far as there is room.
    pub(in crate::lifecycle) fn start_successors(&mut self, room: usize, step: &mut Step<'_>) {
        if self.plan.overlaps {
            let plan = self.plan;
            self.for_wishes(room, step, |place, step| place.start_successor(&plan, step));
        }
    }

    /// Does this for the oldest wishes, as far as there are permits; in a crash loop there are none.
    fn for_wishes(&mut self, room: usize, step: &mut Step<'_>, replace: impl Fn(&mut Place, &mut Step<'_>)) {
        let starting = self.workers().filter(|worker| worker.state.is_starting()).count();
        let starts = (self.plan.concurrent_starts.max(1) as usize).saturating_sub(starting);
        let permits = recycle::permits(self.places.len()).saturating_sub(self.changing());
        let kept = self.kept();
        for _ in 0..if self.circuit.is_closed() { permits.min(starts).min(room) } else { 0 } {
            let wished =
                self.places[..kept].iter_mut().filter_map(|place| Some((place.wished_since(step.now)?, place)));
            let Some((_, place)) = wished.min_by_key(|(since, _)| *since) else { return };
            replace(place, step);
        }
    }
}
