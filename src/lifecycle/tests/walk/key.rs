//! When two worlds are the same to a walk.
//!
//! Points in time count from now, versions from the latest, and names do not count; all that can still matter does.

use std::time::Instant;

use crate::lifecycle::circuit::{Circuit, Mode};
use crate::lifecycle::generation::{Generation, Stage, Watch};
use crate::lifecycle::liveness::{Closed, Fate, Gate};
use crate::lifecycle::place::relay::{Relay, Role, Shift};
use crate::lifecycle::place::{Place, Seat};
use crate::lifecycle::state::{State, Turn};
use crate::lifecycle::tests::world::{Mischief, World};
use crate::lifecycle::worker::Worker;
use crate::lifecycle::{Plan, Restart, Rollout, Version};

/// Deadlines further away than this are all alike: none of the walks waits for one.
const FAR: u64 = 20;

/// A world without what does not matter, as one number.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) hash: u64,
    now: Instant,
    latest: Version,
}

impl Key {
    pub(super) fn of(world: &World) -> Self {
        let mut key = Self { hash: 0, now: world.now, latest: world.version() };
        for generation in &world.app.generations {
            key.generation(generation, world);
        }
        key.add(u64::MAX);
        for worker in &world.app.stranded {
            key.worker(worker, world);
        }
        key.add(u64::from(world.is_asked) << 2 | u64::from(world.stop_owed) << 1 | u64::from(world.is_pressed));
        key.version(world.in_force());
        key
    }

    /// What may still happen counts too.
    pub(super) fn with(self, left: Mischief) -> u64 {
        let Self { mut hash, .. } = self;
        let orders =
            [left.reloads, left.recycles, left.resizes, left.doubts, left.stops, left.starts, left.ills, left.hangs];
        hash = mix(hash, u64::from(left.dozes) << 32 | u64::from(left.rouses));
        for count in
            orders.into_iter().chain([left.crashes, left.endings, left.spawn_failures, left.words, left.squeezes])
        {
            hash = mix(hash, u64::from(count));
        }
        hash
    }

    fn add(&mut self, word: u64) {
        self.hash = mix(self.hash, word);
    }

    fn until(&mut self, at: Instant) {
        self.add(at.saturating_duration_since(self.now).as_secs().min(FAR));
    }

    fn version(&mut self, version: Version) {
        self.add(self.latest.0 - version.0.min(self.latest.0));
    }

    fn generation(&mut self, generation: &Generation, world: &World) {
        self.add(0xA0 + (u64::from(generation.plan.workers) << 8));
        match generation.stage {
            Stage::Staging { progressed, .. } => self.stage(1, progressed + generation.plan.timeouts.progress),
            Stage::Verified { progressed, .. } => self.stage(2, progressed + generation.plan.timeouts.progress),
            Stage::Canary { watch: Watch::Published(version), .. } => {
                self.add(12);
                self.version(version);
            }
            Stage::Canary { watch: Watch::Until(until), .. } => self.stage(13, until),
            Stage::Canary { watch: Watch::Over { progressed }, .. } => {
                self.stage(14, progressed + generation.plan.timeouts.progress);
            }
            Stage::Promoting { version, .. } => {
                self.add(3);
                self.version(version);
            }
            Stage::Baking { until, .. } => self.stage(7, until),
            Stage::Live => self.add(4),
            Stage::Dozing { until } => self.stage(12, until),
            Stage::Asleep => self.add(13),
            Stage::Waking => self.add(14),
            Stage::Retained { until: Some(until) } => self.stage(8, until),
            Stage::Retained { until: None } => self.add(9),
            Stage::Rolling { progressed, .. } => self.stage(10, progressed + generation.plan.timeouts.progress),
            Stage::Yielding => self.add(11),
            Stage::Draining => self.add(5),
            Stage::Aborted => self.add(6),
        }
        if generation.plan.rollout.is_stepwise() && !matches!(generation.stage, Stage::Draining | Stage::Live) {
            let Rollout { surge, unavailable } = generation.plan.rollout;
            self.add(0x90 + (u64::from(surge) << 8) + (u64::from(unavailable) << 40));
            let later = world.app.generations.iter().filter(|one| one.number >= generation.base);
            self.add(later.count() as u64);
        }
        self.add(0x80 + generation.clearance as u64);
        for place in &generation.places {
            self.place(place, &generation.plan, world);
            self.relay(&place.relay, generation, world);
        }
        self.circuit(&generation.circuit, &generation.plan.restart);
    }

    fn circuit(&mut self, circuit: &Circuit, restart: &Restart) {
        match circuit.mode {
            Mode::Closed => {}
            Mode::Looping { since, next } => {
                self.stage(0xC1, next);
                self.until(since + restart.backoff.reset);
            }
            Mode::GivenUp => self.add(0xC2),
        }
        // A walk does not come near an intensity that is not small.
        let lapses = circuit.ends.iter().filter(|_| restart.intensity < 10).map(|end| *end + restart.period);
        for lapse in lapses.filter(|lapse| *lapse > self.now).collect::<Vec<_>>() {
            self.stage(0xC3, lapse);
        }
    }

    fn stage(&mut self, tag: u64, deadline: Instant) {
        self.add(tag);
        self.until(deadline);
    }

    fn place(&mut self, place: &Place, plan: &Plan, world: &World) {
        let backoff = &plan.restart.backoff;
        // One failure more does not lengthen a wait that has reached its maximum.
        let grows = (0..place.failures.min(8)).take_while(|n| backoff.delay(*n, 1.0) < backoff.max).count();
        self.add(0xB0 + grows as u64);
        match &place.seat {
            Seat::Waiting => self.add(1),
            Seat::Backoff { until } => self.stage(2, *until),
            Seat::Taken(worker) => self.worker(worker, world),
            Seat::Empty => self.add(3),
            Seat::Parked => self.add(4),
        }
    }

    fn relay(&mut self, relay: &Relay, generation: &Generation, world: &World) {
        if let Some(wish) = &relay.wish {
            let wishes = generation.places.iter().filter_map(|place| place.relay.wish.as_ref());
            let earlier = wishes.filter(|other| other.since < wish.since).count();
            // The waits of these walks do not grow.
            self.stage(0xD0 + earlier as u64, wish.until.unwrap_or(self.now));
            self.add(u64::from(wish.until.is_some()));
        }
        match relay.shift.filter(|shift| *shift != Shift::Coming || generation.is_live()) {
            Some(Shift::Leaving(_)) => self.add(0xF0),
            Some(Shift::Coming) => self.add(0xF1),
            None => {}
        }
        if let Some(beside) = &relay.beside {
            self.add(0xE0 + u64::from(beside.role == Role::Successor));
            self.worker(&beside.worker, world);
        }
    }

    fn worker(&mut self, worker: &Worker, world: &World) {
        match worker.state {
            State::Spawning { until } => self.stage(11, until),
            State::Starting { until, turn } => self.trial(12, until, turn),
            State::Probing { until, turn, passed } => self.trial(13 + (u64::from(passed) << 8), until, turn),
            State::Warming { until, is_over } => self.stage(31 + (u64::from(is_over) << 8), until),
            State::Ready => self.add(14),
            State::Serving => {
                let reset = worker.since + world.plan.restart.backoff.reset;
                self.stage(15, reset);
            }
            State::Unready { gate, fate } => self.unready(gate, fate),
            State::Retained(closed) => self.closed(30, closed),
            State::Quiescing { version, idle } => {
                self.add(16 + (u64::from(idle) << 8));
                self.version(version);
            }
            State::Draining { until } => self.stage(17, until),
            State::Delisting { version } => {
                self.add(18);
                self.version(version);
            }
            State::Cancelled { until } => self.stage(19, until),
            State::Stopping { until } => self.stage(20, until),
            State::Killing { until } => self.stage(21, until),
            State::Unkillable => self.add(22),
        }
        if let Some(vigil) = worker.vigil {
            self.add(u64::from(vigil.against) << 1 | u64::from(vigil.dumped));
            self.turn(vigil.turn);
        }
        self.said(worker);
        self.add(worker.plan.timeouts.drain.as_secs());
        self.process(worker, world);
    }

    fn said(&mut self, worker: &Worker) {
        let said = &worker.said;
        self.add(u64::from(said.hangs) << 1 | u64::from(said.farewell.is_some()));
        self.add(said.extended.as_secs());
        if let Some(due) = said.due {
            self.stage(29, due);
        }
    }

    fn unready(&mut self, gate: Gate, fate: Fate) {
        match gate {
            Gate::Open => self.add(23),
            Gate::Closed(closed) => self.closed(24, closed),
        }
        match fate {
            Fate::Waits(Some(until)) => self.stage(25, until),
            Fate::Waits(None) => self.add(26),
            Fate::Dumping(until) => self.stage(27, until),
            Fate::Sealed { hangs } => self.add(28 + (u64::from(hangs) << 8)),
        }
    }

    fn closed(&mut self, tag: u64, closed: Closed) {
        let Closed { version, acknowledged, idle } = closed;
        self.add(tag + (u64::from(idle) << 8) + (u64::from(acknowledged) << 9));
        // Nothing is waited for once it is acknowledged.
        if !acknowledged {
            self.version(version);
        }
    }

    fn trial(&mut self, tag: u64, until: Instant, turn: Turn) {
        self.stage(tag, until);
        self.turn(turn);
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Ours(at) => self.stage(1, at),
            Turn::Theirs => self.add(2),
        }
    }

    fn process(&mut self, worker: &Worker, world: &World) {
        let process = &world.processes[&worker.serial];
        let heard = [process.probed, process.declared, process.idle, process.is_kept, process.health.asked];
        let heard = heard.into_iter().chain([process.warms]);
        let flags = [process.runs, process.is_told_to_end(), worker.lateness().is_some()].into_iter().chain(heard);
        self.add(flags.fold(0, |word, flag| word << 1 | u64::from(flag)));
        self.add(u64::from(process.streak.min(world.plan.probing.successes)));
        // Only versions that a proxy may still act on matter.
        self.version(process.listed.max(Version(world.in_force().0.saturating_sub(1))));
    }
}

fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ hash >> 29
}
