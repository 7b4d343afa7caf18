//! What becomes of the slot of a worker that has ended by itself, as the operator wants it.
//!
//! Pure values and the questions that follow from them. It does not know who sits in a slot, nor how often workers have
//! ended (`circuit` counts). Invariant: an end that we caused never counts as one too many.

use std::time::Duration;

use super::Backoff;
use super::report::Reason;
use super::worker::Failure;

/// When, and how often, a worker that has ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    pub policy: Policy,
    /// A worker that ends with one of these is done: it is not started again, and that is no crash.
    pub stop_codes: ExitCodes,
    pub backoff: Backoff,
    /// The pause before every restart, in place of the backoff's.
    pub delay: Option<Duration>,
    /// More unexpected ends than these within `period` are a crash loop.
    pub intensity: u32,
    pub period: Duration,
    pub on_loop: OnLoop,
}

/// Who is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Always,
    /// Whoever has not ended with exit code 0.
    OnFailure,
    Never,
}

/// What follows from a crash loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoop {
    /// One worker is tried so long after the latest end, until one has served for [`Backoff::reset`].
    Retry(Duration),
    /// Nothing more is tried.
    GiveUp,
}

/// A set of exit codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitCodes([u128; 2]);

impl FromIterator<u8> for ExitCodes {
    fn from_iter<I: IntoIterator<Item = u8>>(codes: I) -> Self {
        let mut set = Self::default();
        for code in codes {
            set.0[usize::from(code >> 7)] |= 1 << (code & 127);
        }
        set
    }
}

impl ExitCodes {
    /// Is this code one of them? None is outside of 0 to 255.
    #[must_use]
    pub fn contains(&self, code: i32) -> bool {
        u8::try_from(code).is_ok_and(|code| self.0[usize::from(code >> 7)] >> (code & 127) & 1 == 1)
    }
}

impl Restart {
    /// Is another worker to sit where this one has ended?
    pub(super) fn wants_another(&self, failure: &Failure) -> bool {
        match self.policy {
            Policy::Never => false,
            Policy::OnFailure | Policy::Always => !self.is_fine(failure),
        }
    }

    /// Has it ended as it may, so that nothing went wrong? With exit code 0 nobody says so who wants it back.
    pub(super) fn is_fine(&self, failure: &Failure) -> bool {
        let is_done = |code| self.stop_codes.contains(code) || (code == 0 && self.policy != Policy::Always);
        failure.code.is_some_and(is_done)
    }

    /// Is another worker wanted whatever code one ends with?
    pub(super) fn is_unconditional(&self) -> bool {
        self.policy == Policy::Always && self.stop_codes == ExitCodes::default()
    }

    /// Does this end count towards the intensity? Whoever was not ready in time was ended by us, and who has said that it
    /// goes is missed by nobody.
    pub(super) fn counts(&self, failure: &Failure) -> bool {
        matches!(failure.reason, Reason::Crash | Reason::SpawnFailed) && self.wants_another(failure)
    }

    /// The wait before the next start, after `failures` earlier ones in a row; `None`: at once.
    pub(super) fn pause(&self, has_served_long: bool, failures: u32, dice: impl FnOnce() -> f64) -> Option<Duration> {
        match self.delay {
            Some(delay) => Some(delay),
            None if has_served_long => None,
            None => Some(self.backoff.delay(failures, dice())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Serial;
    use crate::lifecycle::tests::plan;
    use proptest::prelude::*;

    fn ended(code: Option<i32>, reason: Reason) -> Failure {
        Failure { serial: Serial(1), reason, sentence: String::new(), served: None, code }
    }

    #[test]
    fn who_is_started_again_depends_on_policy_and_code() {
        let stop_codes = [78].into_iter().collect();
        let ends = [Some(0), Some(1), Some(78), None];
        for (policy, again, fine) in [
            (Policy::Always, [true, true, false, true], [false, false, true, false]),
            (Policy::OnFailure, [false, true, false, true], [true, false, true, false]),
            (Policy::Never, [false; 4], [true, false, true, false]),
        ] {
            let restart = Restart { policy, stop_codes, ..plan(1).restart };
            assert_eq!(ends.map(|code| restart.wants_another(&ended(code, Reason::Crash))), again, "{policy:?}");
            assert_eq!(ends.map(|code| restart.counts(&ended(code, Reason::Crash))), again, "{policy:?}");
            assert_eq!(ends.map(|code| restart.is_fine(&ended(code, Reason::Crash))), fine, "{policy:?}");
        }
    }

    #[test]
    fn a_worker_that_was_not_ready_in_time_comes_again_and_does_not_count() {
        let late = ended(None, Reason::StartTimeout);
        let restart = plan(1).restart;
        assert!(restart.wants_another(&late) && !restart.counts(&late));
        assert!(restart.counts(&ended(None, Reason::SpawnFailed)), "a start that failed does");
    }

    #[test]
    fn a_fixed_delay_stands_in_for_every_pause() {
        let dice = || 1.0;
        let backoff = plan(1).restart;
        assert_eq!((backoff.pause(true, 3, dice), backoff.pause(false, 0, dice)), (None, Some(backoff.backoff.min)));
        let fixed = Restart { delay: Some(Duration::from_secs(2)), ..backoff };
        for (long, failures) in [(true, 0), (false, 0), (false, 100)] {
            assert_eq!(fixed.pause(long, failures, dice), fixed.delay);
        }
    }

    proptest! {
        #[test]
        fn a_set_of_exit_codes_has_what_was_put_in(codes: Vec<u8>, asked in -300..600_i32) {
            let set: ExitCodes = codes.iter().copied().collect();
            prop_assert_eq!(set.contains(asked), codes.iter().any(|code| i32::from(*code) == asked));
        }
    }
}
