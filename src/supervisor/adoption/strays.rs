//! Ends what an earlier supervisor has started and nobody knows of: what began in the moment in which it was killed, or all
//! of it, where nothing is taken over.

use std::collections::BTreeSet;

use crate::supervisor::Supervisor;
use crate::supervisor::launch::MARK;
use crate::supervisor::proxies;
use crate::sys::{orphans, stat};

/// Kills every process that bears a mark of this line and that nobody knows, by what stands in the mark.
pub(super) fn end(line: u32, workers: &BTreeSet<String>, proxies: &BTreeSet<String>) {
    for process in stat::census() {
        let is_stray = [(MARK, workers), (proxies::MARK, proxies)].into_iter().any(|(name, known)| {
            let found = orphans::variable(&process, name);
            let number = found.as_deref().and_then(|found| found.strip_prefix(&format!("{line}-")));
            number.is_some_and(|number| !known.contains(number))
        });
        if is_stray && !process.is_dead() {
            tracing::warn!(pid = process.pid, "a process of an earlier supervisor is not known: killing it");
            orphans::kill(&process);
        }
    }
}

impl Supervisor {
    /// Ends what is not in the ledger.
    pub(super) fn end_strays(&self) {
        let workers = self.supervised().flat_map(|(_, site)| site.workers.keys()).map(ToString::to_string);
        let proxies = self.proxies.iter().map(|(number, _)| number.to_string());
        end(self.starter.line, &workers.collect(), &proxies.collect());
    }
}
