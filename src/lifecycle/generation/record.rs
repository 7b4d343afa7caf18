//! A generation: written down, and taken up.
//!
//! Of a crash loop it is known that it is one, and not which ends have led to it. A trial is not continued: who serves is live;
//! who was kept to go back to is kept on. Nor is a reload continued that goes in steps: what it has taken is given back. Who was about to
//! sleep serves; one that was tried on a few leaves.

use std::time::Instant;

use super::resize::Removed;
use super::{Circuit, Clearance, Generation, Mode, Stage};
use crate::id::{AppName, WorkerId};
use crate::lifecycle::Plan;
use crate::lifecycle::place::Place;
use crate::lifecycle::record::{CircuitRecord, GenerationRecord, PlaceRecord, StageRecord, ago, left};
use crate::lifecycle::todo::{Step, after};

impl Generation {
    pub(in crate::lifecycle) fn record(&self, now: Instant) -> GenerationRecord {
        let stage = match self.stage {
            Stage::Staging { .. } | Stage::Verified { .. } | Stage::Canary { .. } => StageRecord::Staging,
            Stage::Asleep => StageRecord::Asleep,
            Stage::Promoting { .. } | Stage::Baking { .. } | Stage::Live | Stage::Dozing { .. } | Stage::Waking => {
                StageRecord::Live
            }
            Stage::Rolling { .. } | Stage::Yielding => StageRecord::Yielding,
            Stage::Retained { until } => StageRecord::Retained { left: until.map(|until| left(until, now)) },
            Stage::Draining => StageRecord::Draining,
            Stage::Aborted => StageRecord::Aborted,
        };
        let circuit = match self.circuit.mode {
            Mode::Closed => CircuitRecord::Closed,
            Mode::Looping { since, next } => {
                CircuitRecord::Looping { since: now.saturating_duration_since(since), next: left(next, now) }
            }
            Mode::GivenUp => CircuitRecord::GivenUp,
        };
        let mut places: Vec<_> = self.places.iter().map(|place| place.record(now)).collect();
        if matches!(self.stage, Stage::Dozing { .. }) {
            places.iter_mut().for_each(PlaceRecord::reinstate);
        }
        GenerationRecord {
            number: self.number,
            stage,
            workers: self.plan.workers,
            circuit,
            rollout: self.plan.rollout,
            base: Some(self.base),
            restarts: self.removed.restarts,
            recycles: self.removed.recycles,
            places,
        }
    }

    /// One that was on its way to serve leaves: nobody waits for it any more.
    pub(in crate::lifecycle) fn adopt(
        app: &AppName,
        record: &GenerationRecord,
        plan: &Plan,
        written: Instant,
        step: &mut Step<'_>,
    ) -> Self {
        let number = record.number;
        let mut places = Vec::new();
        for one in &record.places {
            let id = WorkerId { app: app.clone(), generation: number, slot: one.slot };
            places.push(Place::adopt(id, one, plan, written, step));
        }
        let stage = match record.stage {
            StageRecord::Live => Stage::Live,
            StageRecord::Asleep => Stage::Asleep,
            StageRecord::Retained { left } => Stage::Retained { until: left.map(|left| after(written, left)) },
            StageRecord::Draining => Stage::Draining,
            StageRecord::Yielding => Stage::Yielding,
            StageRecord::Staging | StageRecord::Aborted => Stage::Aborted,
        };
        let stays = |place: &Place| match stage {
            Stage::Live | Stage::Asleep | Stage::Retained { .. } => true,
            Stage::Yielding => place.is_open(),
            _ => false,
        };
        for place in places.iter_mut().filter(|place| !stays(place)) {
            place.leave(step);
        }
        let mut circuit = Circuit::new();
        circuit.mode = match record.circuit {
            CircuitRecord::Closed => Mode::Closed,
            CircuitRecord::Looping { since, next } => {
                Mode::Looping { since: ago(written, since), next: after(written, next) }
            }
            CircuitRecord::GivenUp => Mode::GivenUp,
        };
        let removed = Removed { restarts: record.restarts, recycles: record.recycles };
        let plan = Plan { rollout: record.rollout, ..*plan };
        let base = record.base.unwrap_or(number);
        Self { number, plan, stage, places, circuit, base, clearance: Clearance::Used, removed }
    }
}
