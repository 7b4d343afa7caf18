//! Who is left in a process group whose leader has ended but is not reaped.
//!
//! While the leader is a zombie its number, and so the group's, cannot mean anything else. The kernel has no event for
//! "the group is empty" outside of cgroups, hence a look through `/proc`. Where `/proc` shows nothing, nobody is left.

use std::fs;
use std::io;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Whether anything but the leader still runs in its group.
///
/// Members that died and were left to us (a supervisor that is PID 1, or a subreaper, inherits orphans) are reaped on
/// the way: they are in a group that only we signal, so nobody else waits for them.
pub(super) fn has_survivors(leader: Pid) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let members = processes.filter_map(Result::ok).filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok().and_then(Pid::from_raw).filter(|&pid| pid != leader)?;
        let stat = Stat::of(pid).ok().flatten()?;
        (stat.group == leader.as_raw_pid()).then_some((pid, stat))
    });
    let mut survivors = false;
    for (pid, stat) in members {
        if !stat.is_dead {
            survivors = true;
        } else if stat.parent == std::process::id() {
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }
    survivors
}

/// The processes of a group that have not ended, its leader among them.
pub(in crate::sys) fn group_members(leader: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|process| process.ok()?.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    let is_member = |pid: &Pid| {
        let stat = Stat::of(*pid).ok().flatten();
        stat.is_some_and(|stat| stat.group.unsigned_abs() == leader && !stat.is_dead)
    };
    pids.filter(is_member).map(|pid| pid.as_raw_pid().unsigned_abs()).collect()
}

/// What we need of `proc_pid_stat(5)`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    is_dead: bool,
    parent: u32,
    group: i32,
}

impl Stat {
    fn of(pid: Pid) -> io::Result<Option<Self>> {
        let line = fs::read(format!("/proc/{}/stat", pid.as_raw_pid()))?;
        Ok(Self::parse(&String::from_utf8_lossy(&line)))
    }

    /// The second field is the program's name in parentheses and may hold anything, parentheses too.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let is_dead = matches!(fields.next()?, "Z" | "X");
        Some(Self { is_dead, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_program_calls_itself() {
        let running = Stat { is_dead: false, parent: 7, group: 12 };
        assert_eq!(Stat::parse("15 (sleep) S 7 12 12 0 -1 4194304"), Some(running));
        let dead = Stat { is_dead: true, parent: 7, group: 12 };
        assert_eq!(Stat::parse("15 (a) Z 1 (b) Z 7 12 12 0 -1"), Some(dead));
        assert_eq!(Stat::parse("15 (sleep"), None);
        assert_eq!(Stat::parse("15 (sleep) S x"), None);
    }

    #[test]
    fn our_own_group_is_not_empty() {
        let leader = rustix::process::getpgrp();
        let ours = Stat::of(rustix::process::getpid()).unwrap().unwrap();
        assert_eq!(ours.group, leader.as_raw_pid());
    }
}
