//! Ends what an earlier supervisor has started and nobody knows of: what began in the moment in which it was killed, or, in a
//! service of systemd, all of it, where nothing is taken over.

use std::collections::BTreeSet;

use crate::supervisor::Supervisor;
use crate::supervisor::launch::MARK;
use crate::supervisor::proxies;
use crate::sys::{cgroup, orphans, stat};

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

/// Kills what earlier supervisors have left of the service whose main process this is, as which systemd has started it
/// (`SYSTEMD_EXEC_PID`, `systemd.exec(5)`, since 248): nobody else has any business there. Left is what nobody kept the
/// descriptors of, as when a service is stopped in the moment in which its supervisor has been killed; such a proxy would go on
/// taking connections from the ports that are ours now.
pub fn clear_service() {
    let main = std::env::var("SYSTEMD_EXEC_PID").ok().and_then(|pid| pid.parse().ok());
    let is_main = main == Some(std::process::id()) && std::env::var_os(MARK).is_none();
    let Some(service) = cgroup::service().filter(|_| is_main) else { return };
    for process in stat::census() {
        let is_marked = || [MARK, proxies::MARK].into_iter().any(|name| orphans::variable(&process, name).is_some());
        let is_left = cgroup::is_in(&process, &service) && !process.is_dead() && is_marked();
        if is_left && process.pid.unsigned_abs() != std::process::id() {
            tracing::warn!(pid = process.pid, "an earlier supervisor of this service has left a process: killing it");
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
