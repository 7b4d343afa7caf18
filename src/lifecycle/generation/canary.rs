//! A generation that serves a few before it takes over: its share of the clients, and of its workers only those that they need.
//!
//! Does not know the other one, nor who the few are: proxies share out the clients. Invariants: nobody of the generation before
//! goes while this one is tried; it is tried only beside somebody who serves.
//!
//! ```text
//!   Verified ─ as many ready as its share needs ─► Canary: Published ─ acknowledged ─► Until ─ time is over, or promoted by hand ─► Over
//!   Over ─ all are ready ─► Promoting (or, in steps, Rolling)        any of them ─ failure, fault, superseded, asked for ─► Aborted
//! ```

use std::time::Instant;

use super::{Generation, Stage};
use crate::lifecycle::Version;
use crate::lifecycle::todo::Step;

/// How far the trial on a few has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lifecycle) enum Watch {
    /// Published in this version; some proxy may not act on it yet.
    Published(Version),
    /// It has its share until then, at least.
    Until(Instant),
    /// It has done well, and the others of its workers start. It came further then.
    Over { progressed: Instant },
}

impl Generation {
    pub(in crate::lifecycle) fn is_canary(&self) -> bool {
        matches!(self.stage, Stage::Canary { .. })
    }

    /// The share of the clients that are its, in ten thousandths, if it is tried on some.
    pub(in crate::lifecycle) fn share(&self) -> Option<u32> {
        self.plan.trial.canary.filter(|_| self.is_canary()).map(|canary| canary.share)
    }

    /// Workers that start before it has shown that it does well.
    pub(super) fn reach(&self) -> usize {
        match self.stage {
            Stage::Staging { .. } => 1,
            Stage::Verified { .. } => self.canary_size().unwrap_or(self.places.len()),
            Stage::Canary { watch: Watch::Published(_) | Watch::Until(_), .. } => {
                self.canary_size().unwrap_or(self.places.len())
            }
            _ => self.places.len(),
        }
    }

    /// Workers that its share needs, if it is to be tried on some. Where workers come in steps there is room for no more than one.
    fn canary_size(&self) -> Option<usize> {
        let canary = self.plan.trial.canary?;
        let needed = (self.plan.size() * canary.share as usize).div_ceil(10_000).max(1);
        Some(if self.plan.rollout.is_stepwise() { 1 } else { needed })
    }

    /// Does what is due of its trial on a few.
    pub(in crate::lifecycle) fn try_on_a_few(&mut self, step: &mut Step<'_>) {
        self.begin_canary(step);
        self.end_canary_bake(step);
    }

    /// Gives it its share, if as many of its workers are ready as that needs.
    fn begin_canary(&mut self, step: &mut Step<'_>) {
        // Verified => Canary
        if let Stage::Verified { ticket, .. } = self.stage
            && self.canary_size().is_some_and(|needed| self.ready() >= needed)
            && self.is_cleared(step)
        {
            self.stage = Stage::Canary { ticket, watch: Watch::Published(step.version) };
            self.serve(step);
        }
    }

    /// All proxies act on `version` or a later one.
    pub(super) fn canary_published(&mut self, version: Version, step: &Step<'_>) {
        if let (Stage::Canary { watch, .. }, Some(canary)) = (&mut self.stage, self.plan.trial.canary)
            && matches!(watch, Watch::Published(published) if *published <= version)
        {
            // Published => Until
            *watch = Watch::Until(step.after(canary.bake));
        }
    }

    /// It has done well for as long as it had to.
    fn end_canary_bake(&mut self, step: &Step<'_>) {
        if let Stage::Canary { watch: Watch::Until(until), .. } = self.stage
            && step.is_due(until)
        {
            self.pass(step);
        }
    }

    /// It takes over as soon as it can, however it has done so far; false if it is not being tried.
    pub(in crate::lifecycle) fn pass(&mut self, step: &Step<'_>) -> bool {
        match &mut self.stage {
            // (Published | Until) => Over
            Stage::Canary { watch: watch @ (Watch::Published(_) | Watch::Until(_)), .. } => {
                *watch = Watch::Over { progressed: step.now };
                true
            }
            _ => false,
        }
    }

    /// Has it been tried, and are all of its workers there?
    pub(super) fn has_passed(&self) -> bool {
        let is_over = matches!(self.stage, Stage::Canary { watch: Watch::Over { .. }, .. });
        is_over && self.ready() + self.serving() >= self.plan.size()
    }
}
