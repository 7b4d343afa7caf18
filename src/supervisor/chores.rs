//! What the supervisor does now and then, whatever the machines say.
//!
//! Holds it together and knows when the next of it is due; each has a file of its own.

use std::time::Instant;

use super::archive::Archive;
use super::calendar::Calendar;
use super::idle::Quiet;
use super::memory::Gauges;
use super::orphans::Sweep;
use super::rescue::Rescues;
use super::scrape::Scrapes;
use super::watch::Watches;

/// What is done now and then, whatever the machines say.
pub(super) struct Chores {
    pub(super) scrapes: Scrapes,
    pub(super) sweep: Sweep,
    pub(super) calendar: Calendar,
    pub(super) gauges: Gauges,
    pub(super) archive: Archive,
    pub(super) watches: Watches,
    pub(super) rescues: Rescues,
    pub(super) quiet: Quiet,
}

impl Chores {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.scrapes.deadline(),
            self.sweep.deadline(),
            self.gauges.deadline(),
            self.calendar.deadline(),
            self.archive.deadline(),
            self.rescues.deadline(),
            self.quiet.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }
}
