//! Leave for a generation to take over, where somebody else has a say in it; and word that it has.
//!
//! Invariants: it is asked for once, when the generation could take over but for that; without it no request goes there.
//!
//! ```text
//!   Needed ── ready to take over ──► Asked ── may ──► Granted ── taken over, and all proxies know ──► Used
//!                                      └──── may not ──► (given up)
//! ```

use super::{Generation, Stage};
use crate::lifecycle::todo::Step;
use crate::lifecycle::{Action, Plan};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lifecycle) enum Clearance {
    Needed,
    Asked,
    Granted,
    /// It serves, and that was said, or need not be.
    Used,
}

impl Clearance {
    pub(super) fn of(plan: &Plan, stage: Stage) -> Self {
        match stage {
            Stage::Staging { .. } if plan.gated => Self::Needed,
            Stage::Staging { .. } => Self::Granted,
            _ => Self::Used,
        }
    }
}

impl Generation {
    /// Could take over but for that: may it? Asks if nobody has been asked yet.
    pub(in crate::lifecycle) fn is_cleared(&mut self, step: &mut Step<'_>) -> bool {
        if self.clearance == Clearance::Needed {
            // Needed => Asked
            self.clearance = Clearance::Asked;
            step.push(Action::Clear { generation: self.number });
        }
        self.clearance != Clearance::Asked
    }

    /// Takes in the answer; false when nobody waits for it.
    pub(in crate::lifecycle) fn cleared(&mut self, outcome: Result<(), String>, step: &mut Step<'_>) -> bool {
        if !self.is_staging() || self.clearance != Clearance::Asked {
            return false;
        }
        // Asked => Granted
        self.clearance = Clearance::Granted;
        self.note_progress(step.now);
        if let Err(reason) = outcome {
            self.fail(reason, None, step);
        }
        true
    }

    /// All proxies send requests to it: that is said the first time.
    pub(super) fn tell_promoted(&mut self, step: &mut Step<'_>) {
        // Granted => Used
        if self.clearance != Clearance::Used {
            self.clearance = Clearance::Used;
            step.push(Action::Promoted { generation: self.number });
        }
    }
}
