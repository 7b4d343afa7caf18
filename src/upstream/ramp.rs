//! How the share of an endpoint that has just come grows to its full one.
//!
//! Pure: time and dice are given. It does not know why one has just come. Invariants: no share is zero, so nobody starves;
//! among endpoints of one age nothing is changed by it; once all shares are full it is not looked at any more.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::endpoint::Spec;
use crate::id::Serial;

/// A full share.
const FULL: u64 = 1024;

/// The share at the beginning: a tenth, as Envoy's `min_weight_percent`. Less would be next to nothing for a worker whom
/// only requests can make warm.
const LEAST: u64 = FULL / 10;

/// When the share of one endpoint began to grow, and how long it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    began: Instant,
    whole: Duration,
}

impl Ramp {
    /// One that has gone on for so long.
    #[must_use]
    pub fn since(now: Instant, age: Duration, whole: Duration) -> Self {
        Self { began: now.checked_sub(age).unwrap_or(now), whole }
    }

    /// From [`LEAST`] to [`FULL`].
    fn share(self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.began);
        if self.is_over(now) {
            return FULL;
        }
        let share = age.as_micros() * u128::from(FULL) / self.whole.as_micros().max(1);
        u64::try_from(share).unwrap_or(FULL).clamp(LEAST, FULL)
    }

    fn is_over(self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= self.whole
    }
}

/// The endpoints of an app whose shares grow.
#[derive(Debug)]
pub(super) struct Ramps {
    growing: Box<[(Serial, Ramp)]>,
    are_over: AtomicBool,
}

impl Ramps {
    pub(super) fn of(specs: &[Spec]) -> Self {
        let growing: Box<[_]> = specs.iter().filter_map(|spec| Some((spec.serial, spec.ramp?))).collect();
        Self { are_over: AtomicBool::new(growing.is_empty()), growing }
    }

    /// The time, if a share still grows: one look at a flag, and at the clock as long as one does.
    pub(super) fn growing_at(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        if self.are_over.load(Relaxed) {
            return None;
        }
        let now = now();
        if self.growing.iter().all(|(_, ramp)| ramp.is_over(now)) {
            self.are_over.store(true, Relaxed);
            return None;
        }
        Some(now)
    }

    /// How loaded an endpoint is that has so many exchanges, by the measure of its share.
    ///
    /// The next exchange is counted too, by a random part of it: so one that has a tenth of a full share gets about a tenth of
    /// what others get, also where all are idle, and equals are told apart by chance.
    pub(super) fn scaled(&self, serial: Serial, load: u32, now: Instant, throw: u16) -> u64 {
        let ramp = self.growing.iter().find(|(one, _)| *one == serial);
        let share = ramp.map_or(FULL, |(_, ramp)| ramp.share(now));
        (u64::from(load) << u16::BITS | u64::from(throw)) * FULL / share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Duration = Duration::from_secs(20);

    fn ramps(growing: &[(u64, Ramp)]) -> Ramps {
        let growing = growing.iter().map(|(serial, ramp)| (Serial(*serial), *ramp)).collect();
        Ramps { growing, are_over: AtomicBool::new(false) }
    }

    #[test]
    fn a_share_grows_from_a_tenth_to_all() {
        let now = Instant::now();
        let share = |age| Ramp::since(now, Duration::from_secs(age), WHOLE).share(now);
        assert_eq!([0, 1, 2, 10, 19, 20, 99].map(share), [102, 102, 102, 512, 972, FULL, FULL]);
        assert_eq!(Ramp::since(now, Duration::ZERO, Duration::ZERO).share(now), FULL);
    }

    #[test]
    fn whoever_has_half_a_share_counts_for_twice_the_load() {
        let now = Instant::now();
        let ramps = ramps(&[(2, Ramp::since(now, WHOLE / 2, WHOLE))]);
        let scaled = |serial, load, throw| ramps.scaled(Serial(serial), load, now, throw);
        assert_eq!(scaled(2, 3, 0), scaled(1, 6, 0));
        assert!(scaled(2, 3, 100) < scaled(1, 6, 201) && scaled(1, 6, 199) < scaled(2, 3, 100));
        assert!(scaled(2, u32::MAX, u16::MAX) > scaled(1, u32::MAX, u16::MAX), "nothing overflows");
    }

    #[test]
    fn among_equally_young_ones_the_load_decides() {
        let now = Instant::now();
        let young = Ramp::since(now, Duration::ZERO, WHOLE);
        let ramps = ramps(&[(1, young), (2, young)]);
        for throw in [0, 1, u16::MAX] {
            assert!(ramps.scaled(Serial(1), 3, now, throw) < ramps.scaled(Serial(2), 4, now, u16::MAX - throw));
        }
    }

    #[test]
    fn when_all_have_grown_nobody_looks_at_the_clock_any_more() {
        let now = Instant::now();
        let ramps = ramps(&[(1, Ramp::since(now, Duration::ZERO, WHOLE)), (2, Ramp::since(now, WHOLE / 2, WHOLE))]);
        assert_eq!(ramps.growing_at(|| now + WHOLE / 2), Some(now + WHOLE / 2));
        assert_eq!(ramps.growing_at(|| now + WHOLE), None);
        assert_eq!(ramps.growing_at(|| panic!("it is known")), None);
        assert_eq!(Ramps::of(&[]).growing_at(|| panic!("there are none")), None);
    }
}
