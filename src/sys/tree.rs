//! Which processes belong to a program that we started, wherever they have gone.
//!
//! A process may leave its group and session (setsid(2)) and its parent (by a second fork); it does not leave its control
//! group, and it seldom leaves its environment. Where there is no control group, a process belongs to a program if it is
//! in the program's session or group, descends from its leader, or is an orphan that was left to us (we are a subreaper,
//! or PID 1) and was started with the program's mark in its environment; so do the descendants of such. What clears its
//! environment and is orphaned is known to nobody. Invariant: the leader is not reaped while its [`Tree`] is asked, so its
//! number, and with it the session's and the group's, means nothing else; single processes are signalled through pidfds.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use super::cgroup::Group;
use super::stat::{Stat, census};

/// All processes of one program.
#[derive(Clone, Debug)]
pub struct Tree {
    leader: i32,
    /// `NAME=value` in the environment of every process of the program.
    mark: Option<OsString>,
    group: Option<Arc<Group>>,
}

impl Tree {
    pub(super) fn new(leader: i32, mark: Option<OsString>, group: Option<Arc<Group>>) -> Self {
        Self { leader, mark, group }
    }

    /// The tree of a process that there is not.
    #[cfg(test)]
    #[must_use]
    pub fn of_nobody(leader: i32) -> Self {
        Self::new(leader, None, None)
    }

    /// The tree of a program that was started by somebody before us.
    #[must_use]
    pub fn adopt(leader: u32, mark: Option<OsString>, group: Option<Arc<Group>>) -> Self {
        Self::new(i32::try_from(leader).unwrap_or_default(), mark, group)
    }

    /// `NAME=value` in the environment of every process of it.
    #[must_use]
    pub fn mark(&self) -> Option<&OsString> {
        self.mark.as_ref()
    }

    /// The control group that all of them are in.
    #[must_use]
    pub fn group(&self) -> Option<&Arc<Group>> {
        self.group.as_ref()
    }

    /// Those of the given processes that belong to the program, its leader included.
    #[must_use]
    pub fn members<'a>(&self, everybody: &'a [Stat]) -> Vec<&'a Stat> {
        let ours = heirs();
        let grouped: BTreeSet<i32> = self.group.iter().flat_map(|group| group.processes()).collect();
        members(everybody, self.leader, |stat| {
            grouped.contains(&stat.pid) || ours.contains(&stat.parent) && self.is_marked(stat.pid)
        })
    }

    /// Those of its processes that live, without its leader. Orphans of it that died and were left to us are reaped on
    /// the way: nobody else waits for them.
    pub(super) fn survivors(&self) -> Vec<Stat> {
        let everybody = census();
        let mut alive = Vec::new();
        for stat in self.members(&everybody).into_iter().filter(|stat| stat.pid != self.leader) {
            if stat.is_dead() {
                bury(stat);
            } else {
                alive.push(*stat);
            }
        }
        alive
    }

    /// Sends a signal to each of its processes but the leader.
    pub(super) fn signal_survivors(&self, signal: Signal) {
        for stat in self.survivors() {
            send(&stat, signal);
        }
    }

    /// Sends a signal to those that a signal to the group of the leader does not reach.
    pub(super) fn signal_strays(&self, survivors: &[Stat], signal: Signal) {
        for stray in survivors.iter().filter(|stat| stat.group != self.leader) {
            send(stray, signal);
        }
    }

    /// Ends all of it at once, as far as control groups can.
    pub(super) fn kill_group(&self) {
        if let Some(group) = &self.group {
            group.kill();
        }
    }

    /// What it was started with is read, whatever it has set since; nothing can be read of the dead.
    fn is_marked(&self, pid: i32) -> bool {
        let Some(mark) = &self.mark else { return false };
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    }
}

/// Those to whom orphans may be left: ourselves, and whoever has started us and stays when we do not.
fn heirs() -> [i32; 2] {
    let parent = rustix::process::getppid().map_or(0, Pid::as_raw_pid);
    [rustix::process::getpid().as_raw_pid(), parent]
}

/// The leader, all that belong to it by themselves, and the descendants of both.
fn members(everybody: &[Stat], leader: i32, mut belongs: impl FnMut(&Stat) -> bool) -> Vec<&Stat> {
    let mut found = BTreeSet::from([leader]);
    let own = |stat: &&Stat| stat.session == leader || stat.group == leader || belongs(stat);
    found.extend(everybody.iter().filter(own).map(|stat| stat.pid));
    loop {
        let before = found.len();
        let children = everybody.iter().filter(|stat| found.contains(&stat.parent)).map(|stat| stat.pid);
        let children: Vec<i32> = children.collect();
        found.extend(children);
        if found.len() == before {
            return everybody.iter().filter(|stat| found.contains(&stat.pid)).collect();
        }
    }
}

/// Signals the very process that was seen, or nobody.
pub(super) fn send(seen: &Stat, signal: Signal) {
    let Some(pid) = Pid::from_raw(seen.pid) else { return };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // Held by the descriptor its number cannot become another's any more; before, it could.
    if Stat::of(seen.pid).is_ok_and(|now| now.is_same(seen)) {
        let _ = pidfd_send_signal(&pidfd, signal);
    }
}

/// Reaps a process that has ended, if it is ours to reap.
pub(super) fn bury(dead: &Stat) {
    if let Some(pid) = Pid::from_raw(dead.pid) {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: i32, parent: i32, group: i32, session: i32) -> Stat {
        Stat { pid, state: 'S', parent, group, session, started: 1, resident_pages: 1, cpu_ticks: 1 }
    }

    /// We are 10. Two programs, 20 and 30; 20 has a child in its group, one in a group of its own, one in a session of its
    /// own with a child, and an orphan that bears its mark, with a child as well; 40 is an orphan without one.
    fn everybody() -> Vec<Stat> {
        vec![
            stat(1, 0, 1, 1),
            stat(10, 1, 10, 10),
            stat(20, 10, 20, 20),
            stat(21, 20, 20, 20),
            stat(22, 10, 22, 20),
            stat(23, 20, 23, 23),
            stat(24, 23, 24, 24),
            stat(25, 10, 25, 25),
            stat(26, 25, 26, 26),
            stat(30, 10, 30, 30),
            stat(31, 30, 31, 31),
            stat(40, 10, 40, 40),
        ]
    }

    fn numbers(everybody: &[Stat], leader: i32, marked: &[i32]) -> Vec<i32> {
        let found = members(everybody, leader, |stat| marked.contains(&stat.pid));
        found.into_iter().map(|stat| stat.pid).collect()
    }

    #[test]
    fn a_tree_is_session_group_descendants_and_marked_orphans_and_nobody_elses() {
        let everybody = everybody();
        assert_eq!(numbers(&everybody, 20, &[25]), [20, 21, 22, 23, 24, 25, 26]);
        assert_eq!(numbers(&everybody, 30, &[]), [30, 31]);
        assert_eq!(numbers(&everybody, 50, &[]), [0; 0], "a leader that is gone has nobody");
    }

    #[test]
    fn a_child_that_comes_before_its_parent_in_the_list_is_found() {
        let mut everybody = everybody();
        everybody.reverse();
        assert_eq!(numbers(&everybody, 20, &[25]), [26, 25, 24, 23, 22, 21, 20]);
    }

    #[test]
    fn a_mark_is_a_whole_variable_of_the_environment() {
        let ourselves = i32::try_from(std::process::id()).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let mut mark = OsString::from("PATH=");
        mark.push(&path);
        assert!(Tree::new(1, Some(mark.clone()), None).is_marked(ourselves));
        mark.push("x");
        assert!(!Tree::new(1, Some(mark), None).is_marked(ourselves));
        assert!(!Tree::new(1, None, None).is_marked(ourselves));
    }
}
