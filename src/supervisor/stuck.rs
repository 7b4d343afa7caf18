//! Workers that were killed and are still there: what keeps them is told once.
//!
//! A process that waits in the kernel and cannot be interrupted (state `D`: a disk or a network file system that does not
//! answer) dies only when that wait is over. Nothing more can be done about it, but people should know where to look.

use crate::lifecycle::{Report, WorkerReport, WorkerState};
use crate::sys::stat::{Stat, census};

use super::site::Supervised;

impl Supervised {
    /// Tells of those that nobody waits for any more, each once.
    pub(super) fn tell_of_stuck(&mut self, report: &Report) {
        let workers = report.generations.iter().flat_map(|generation| &generation.workers).chain(&report.stranded);
        let is_stuck = |report: &&WorkerReport| report.state == WorkerState::Unkillable;
        for (serial, worker) in workers.filter(is_stuck).filter_map(|report| Some((report.serial?, &report.worker))) {
            let Some(running) = self.workers.get(&serial) else { continue };
            if self.told.stuck.insert(serial) {
                let everybody = census();
                let left = running.tree.members(&everybody).into_iter().map(state).collect::<Vec<_>>().join(", ");
                tracing::error!(%worker, %left, "a killed worker is still there; its slot stays its own");
            }
        }
        self.told.stuck.retain(|serial| self.workers.contains_key(serial));
    }
}

/// What a process does, for people.
fn state(stat: &Stat) -> String {
    let Stat { pid, state, .. } = stat;
    let place = std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    match (state, place.as_str()) {
        ('D', "" | "0") => format!("{pid} D (waits in the kernel and cannot be interrupted)"),
        ('D', place) => format!("{pid} D (waits in the kernel, in {place}, and cannot be interrupted)"),
        ('Z', _) => format!("{pid} Z (dead, waits for the others)"),
        _ => format!("{pid} {state}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_does_is_said_in_words() {
        let ourselves = Stat::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let said = |letter| state(&Stat { state: letter, pid: i32::MAX, ..ourselves });
        assert_eq!(said('S'), "2147483647 S");
        assert_eq!(said('D'), "2147483647 D (waits in the kernel and cannot be interrupted)");
        assert_eq!(said('Z'), "2147483647 Z (dead, waits for the others)");
    }
}
