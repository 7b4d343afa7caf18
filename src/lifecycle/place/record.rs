//! A slot: written down, and taken up.
//!
//! What is to become of its worker is known by the reason alone; how often a successor has failed is not.

use std::time::Instant;

use super::relay::{Beside, Relay, Role, Shift, Wish};
use super::{Place, Seat};
use crate::id::WorkerId;
use crate::lifecycle::Plan;
use crate::lifecycle::record::{PlaceRecord, RelayRecord, RoleRecord, SeatRecord, ShiftRecord, left};
use crate::lifecycle::todo::{Step, after};
use crate::lifecycle::worker::Worker;

impl Place {
    pub(in crate::lifecycle) fn record(&self, now: Instant) -> PlaceRecord {
        let seat = match &self.seat {
            Seat::Waiting => SeatRecord::Waiting,
            Seat::Backoff { until } => SeatRecord::Backoff { left: left(*until, now) },
            Seat::Parked => SeatRecord::Parked,
            Seat::Taken(worker) => SeatRecord::Taken(worker.record(now)),
            Seat::Empty => SeatRecord::Empty,
        };
        PlaceRecord {
            slot: self.id.slot,
            seat,
            failures: self.failures,
            restarts: self.restarts,
            owed: self.owed,
            last: self.last,
            last_failure: self.last_failure.clone(),
            last_exit: self.last_exit.clone(),
            relay: self.relay.record(now),
        }
    }

    pub(in crate::lifecycle) fn adopt(
        id: WorkerId,
        record: &PlaceRecord,
        plan: &Plan,
        written: Instant,
        step: &mut Step<'_>,
    ) -> Self {
        let seat = match &record.seat {
            SeatRecord::Waiting => Seat::Waiting,
            SeatRecord::Backoff { left } => Seat::Backoff { until: after(written, *left) },
            SeatRecord::Parked => Seat::Parked,
            SeatRecord::Taken(worker) => Seat::Taken(Box::new(Worker::adopt(id.clone(), worker, plan, written, step))),
            SeatRecord::Empty => Seat::Empty,
        };
        let beside = record.relay.beside.as_ref().map(|(worker, role)| Beside {
            worker: Box::new(Worker::adopt(id.clone(), worker, plan, written, step)),
            role: match role {
                RoleRecord::Successor => Role::Successor,
                RoleRecord::Leaver(reason) => Role::Leaver(*reason),
            },
        });
        let relay = Relay {
            wish: record.relay.wish.map(|reason| Wish { reason, since: written, until: None, failures: 0 }),
            beside,
            shift: record.relay.shift.map(|shift| match shift {
                ShiftRecord::Leaving(reason) => Shift::Leaving(reason),
                ShiftRecord::Coming => Shift::Coming,
            }),
            recycles: record.relay.recycles,
        };
        Self {
            seat,
            failures: record.failures,
            restarts: record.restarts,
            owed: record.owed,
            relay,
            last: record.last,
            last_failure: record.last_failure.clone(),
            last_exit: record.last_exit.clone(),
            ..Self::new(id, step.now)
        }
    }
}

impl Relay {
    fn record(&self, now: Instant) -> RelayRecord {
        let role = |role| match role {
            Role::Successor => RoleRecord::Successor,
            Role::Leaver(reason) => RoleRecord::Leaver(reason),
        };
        RelayRecord {
            wish: self.wish.as_ref().map(|wish| wish.reason),
            beside: self.beside.as_ref().map(|beside| (beside.worker.record(now), role(beside.role))),
            shift: self.shift.map(|shift| match shift {
                Shift::Leaving(reason) => ShiftRecord::Leaving(reason),
                Shift::Coming => ShiftRecord::Coming,
            }),
            recycles: self.recycles,
        }
    }
}
