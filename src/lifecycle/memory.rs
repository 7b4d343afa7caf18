//! When a worker needs too much memory: more than it may at two looks in a row.
//!
//! One measurement may be a peak that is gone with the next collection; two are a trend. Pure: who measures, and what follows,
//! is not known here. Invariant: whatever is confirmed was exceeded by the latest two measurements.

/// Looks in a row that confirm an excess.
const CONFIRMING: u32 = 2;

/// What a worker may need, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Beyond it the worker is to be replaced.
    pub soft: Option<u64>,
    /// Beyond it the worker is not to be waited for.
    pub hard: Option<u64>,
}

/// How a worker stands to its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    Fine,
    /// Confirmed beyond the soft limit.
    Soft,
    /// Confirmed beyond the hard one.
    Hard,
}

/// The measurements of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryWatch {
    /// Measurements in a row beyond each limit.
    above_soft: u32,
    above_hard: u32,
    most: u64,
}

impl MemoryWatch {
    /// Takes in a measurement.
    pub fn measured(&mut self, bytes: u64, limits: MemoryLimits) -> Pressure {
        let streak = |before: u32, limit: Option<u64>| match limit {
            Some(limit) if bytes > limit => before.saturating_add(1),
            _ => 0,
        };
        self.above_soft = streak(self.above_soft, limits.soft);
        self.above_hard = streak(self.above_hard, limits.hard);
        self.most = self.most.max(bytes);
        if self.above_hard >= CONFIRMING {
            Pressure::Hard
        } else if self.above_soft >= CONFIRMING {
            Pressure::Soft
        } else {
            Pressure::Fine
        }
    }

    /// The most that was ever measured.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOFT: u64 = 100;
    const HARD: u64 = 200;

    /// By definition: the latest two measurements are both beyond the limit.
    fn expected(history: &[u64], limits: MemoryLimits) -> Pressure {
        let latest = &history[history.len().saturating_sub(2)..];
        let is_beyond = |limit: Option<u64>| {
            latest.len() == 2 && limit.is_some_and(|limit| latest.iter().all(|bytes| *bytes > limit))
        };
        match (is_beyond(limits.hard), is_beyond(limits.soft)) {
            (true, _) => Pressure::Hard,
            (false, true) => Pressure::Soft,
            (false, false) => Pressure::Fine,
        }
    }

    #[test]
    fn every_course_of_six_measurements_is_judged_by_its_latest_two() {
        let levels = [SOFT, SOFT + 1, HARD, HARD + 1];
        for limits in [(None, None), (Some(SOFT), None), (None, Some(HARD)), (Some(SOFT), Some(HARD))] {
            let limits = MemoryLimits { soft: limits.0, hard: limits.1 };
            for course in 0..levels.len().pow(6) {
                let mut watch = MemoryWatch::default();
                let mut history = Vec::new();
                for step in 0..6_u32 {
                    history.push(levels[course / levels.len().pow(step) % levels.len()]);
                    let pressure = watch.measured(history[history.len() - 1], limits);
                    assert_eq!(pressure, expected(&history, limits), "{history:?} under {limits:?}");
                }
                assert_eq!(Some(watch.most()), history.into_iter().max());
            }
        }
    }

    #[test]
    fn a_peak_between_two_looks_is_no_excess() {
        let mut watch = MemoryWatch::default();
        let limits = MemoryLimits { soft: Some(SOFT), hard: None };
        for bytes in [150, 90, 150, 90, 150] {
            assert_eq!(watch.measured(bytes, limits), Pressure::Fine);
        }
        assert_eq!(watch.measured(101, limits), Pressure::Soft);
        assert_eq!(watch.measured(101, limits), Pressure::Soft, "for as long as it goes on");
    }
}
