//! What workers leave behind, and nobody else takes: the dead are reaped, and what belongs to a worker that is gone is ended.
//!
//! A worker's own end takes its whole tree with it (`sys::tree`); here is what slipped through, looked for a while after
//! each end of a child. Processes that were there before us, or that bear no mark of ours, live on until we end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::launch::{MARK, mark};
use super::site::Site;
use super::{Supervisor, clock};
use crate::sys::orphans::{self, Orphans};

/// From the end of a child to the look, and between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// At our own end: the longest wait for what we have killed, and between two looks.
const LAST_LIMIT: Duration = Duration::from_secs(2);
const LAST_PAUSE: Duration = Duration::from_millis(5);

/// Remembers when to look, and whom we have seen.
#[derive(Debug)]
pub(super) struct Sweep {
    orphans: Orphans,
    next: Option<Instant>,
}

impl Sweep {
    pub(super) fn new(orphans: Orphans) -> Self {
        Self { orphans, next: None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Something has ended: what it leaves is looked for in a while.
    pub(super) fn look_soon(&mut self) {
        self.next.get_or_insert_with(|| clock::now() + PAUSE);
    }
}

impl Supervisor {
    /// Looks if it is time to.
    pub(super) fn look_for_orphans(&mut self, now: Instant) {
        if self.chores.sweep.next.is_none_or(|next| next > now) {
            return;
        }
        self.chores.sweep.next = None;
        let living = self.chores.sweep.orphans.look(&self.known_children());
        let marks: BTreeSet<String> = self.serials().map(|serial| mark(self.starter.line, serial)).collect();
        for orphan in living {
            if orphans::variable(&orphan, MARK)
                .is_some_and(|found| is_of(self.starter.line, &found) && !marks.contains(&found))
            {
                tracing::warn!(pid = orphan.pid, "a process has outlived the worker that it belongs to: killing it");
                orphans::kill(&orphan);
                self.chores.sweep.look_soon();
            }
        }
        if self.chores.sweep.orphans.is_waiting() {
            self.chores.sweep.look_soon();
        }
    }

    /// Ends whatever is still below us.
    pub(super) async fn end_orphans(&mut self) {
        let until = clock::now() + LAST_LIMIT;
        loop {
            let left = self.chores.sweep.orphans.look(&BTreeSet::new());
            if left.is_empty() || clock::now() >= until {
                return;
            }
            left.iter().for_each(orphans::kill);
            tokio::time::sleep(LAST_PAUSE).await;
        }
    }

    /// Children that somebody waits for.
    fn known_children(&self) -> BTreeSet<u32> {
        let workers = self.sites.values().filter_map(|site| match site {
            Site::Supervised(site) => Some(site.workers.values().map(|worker| worker.process.pid())),
            Site::Fixed(_) => None,
        });
        workers.flatten().chain(self.proxies.iter().map(|(_, proxy)| proxy.process.pid())).collect()
    }

    fn serials(&self) -> impl Iterator<Item = crate::id::Serial> {
        let sites = self.sites.values().filter_map(|site| match site {
            Site::Supervised(site) => Some(site.workers.keys().copied()),
            Site::Fixed(_) => None,
        });
        sites.flatten()
    }
}

/// A mark that this supervisor, or one before it in its line, has given.
fn is_of(line: u32, found: &str) -> bool {
    found.split_once('-').is_some_and(|(pid, _)| pid == line.to_string())
}
