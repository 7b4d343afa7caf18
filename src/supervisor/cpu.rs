//! What part of a CPU a worker has had between two looks at it.
//!
//! Pure: looks come in. Invariant: time that is no longer to be seen, as that of an orphan, never makes a part negative.

use std::time::{Duration, Instant};

/// The looks at one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuMeter {
    at: Instant,
    used: Duration,
    share: Option<f64>,
}

impl CpuMeter {
    /// It has just been started.
    pub(super) fn begin(at: Instant) -> Self {
        Self { at, used: Duration::ZERO, share: None }
    }

    /// Since its start it has had so much.
    pub(super) fn measured(&mut self, at: Instant, used: Duration) {
        let passed = at.saturating_duration_since(self.at).as_secs_f64();
        if passed > 0.0 {
            self.share = Some(used.saturating_sub(self.used).as_secs_f64() / passed);
            (self.at, self.used) = (at, used);
        }
    }

    /// 1 is one whole CPU; `None`: it was not looked at yet.
    pub(super) fn share(&self) -> Option<f64> {
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_was_had_between_two_looks() {
        let begin = Instant::now();
        let mut meter = CpuMeter::begin(begin);
        assert_eq!(meter.share(), None);
        for (second, used_millis, percent) in [(4, 1000, 25), (5, 2500, 150), (6, 2500, 0), (7, 2000, 0), (8, 2500, 50)]
        {
            meter.measured(begin + Duration::from_secs(second), Duration::from_millis(used_millis));
            assert_eq!(meter.share().map(|share| (share * 100.0).round() as i64), Some(percent), "{second}");
        }
        let before = meter.share();
        meter.measured(begin + Duration::from_secs(8), Duration::from_secs(9));
        assert_eq!(meter.share(), before, "no time has passed");
    }
}
