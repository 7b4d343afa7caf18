//! Processes that were left to us: as PID 1 of a container, or as a subreaper, we inherit what our descendants leave.
//!
//! The dead among them must be reaped by somebody, but never one that somebody of ours waits for: a child is taken only
//! if it is none of the known ones and was seen dead a while before. Whose the living are is not known here.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use rustix::process::{Signal, getpid, set_child_subreaper};

use super::stat::Stat;
use super::tree;

/// The orphans that were left to this process.
#[derive(Debug, Default)]
pub struct Orphans {
    /// Children from before: a shell that ended in `exec` had them. They are only reaped.
    strangers: Vec<Stat>,
    /// Dead when last seen.
    dead: BTreeSet<(i32, u64)>,
}

impl Orphans {
    /// Makes this process the one to which its descendants' orphans are left.
    pub fn adopt() -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        Ok(Self { strangers: children(), dead: BTreeSet::new() })
    }

    /// Reaps those that were dead at the last look already and gives the living. `known` are children that somebody waits
    /// for.
    pub fn look(&mut self, known: &BTreeSet<u32>) -> Vec<Stat> {
        let is_known = |stat: &Stat| u32::try_from(stat.pid).is_ok_and(|pid| known.contains(&pid));
        let (dead, living): (Vec<Stat>, Vec<Stat>) =
            children().into_iter().filter(|stat| !is_known(stat)).partition(Stat::is_dead);
        let seen_before = std::mem::take(&mut self.dead);
        for stat in dead {
            let key = (stat.pid, stat.started);
            if seen_before.contains(&key) {
                tree::bury(&stat);
            } else {
                self.dead.insert(key);
            }
        }
        living.into_iter().filter(|stat| !self.strangers.iter().any(|stranger| stranger.is_same(stat))).collect()
    }

    /// Is there a dead one that the next look will reap?
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.dead.is_empty()
    }
}

/// Ends an orphan and, by and by, what it leaves; nothing happens when it has ended meanwhile.
pub fn kill(orphan: &Stat) {
    tree::send(orphan, Signal::KILL);
}

/// A variable in the environment that a process was started with; `None` when there is none, or none that we may read.
#[must_use]
pub fn variable(process: &Stat, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{}/environ", process.pid)).ok()?;
    let mut variables = environment.split(|byte| *byte == 0).filter_map(|variable| str::from_utf8(variable).ok());
    variables.find_map(|variable| variable.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}

/// All children of this process: threads share them, and the kernel lists them by the thread that has them.
fn children() -> Vec<Stat> {
    let ours = getpid().as_raw_pid();
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.map(|thread| fs::read_to_string(thread?.path().join("children")));
    match lists.collect::<io::Result<Vec<String>>>() {
        Ok(lists) => {
            let pids = lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok());
            pids.filter_map(|pid: i32| Stat::of(pid).ok()).filter(|stat| stat.parent == ours).collect()
        }
        // A thread has ended meanwhile, or the kernel keeps no such lists.
        Err(_) => super::stat::census().into_iter().filter(|stat| stat.parent == ours).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::sys::testing::{eventually, run_test_in_child};

    #[test]
    fn orphans_are_reaped_and_known_children_are_not() {
        run_test_in_child("sys::orphans::tests::in_a_child_adopt_orphans");
    }

    #[test]
    #[ignore = "run in a process of its own by the test above, as it adopts orphans"]
    fn in_a_child_adopt_orphans() {
        let mut stranger = Command::new("sleep").arg("3600").spawn().unwrap();
        let mut orphans = Orphans::adopt().unwrap();
        let mut known_child = Command::new("/bin/true").spawn().unwrap();
        let known = BTreeSet::from([known_child.id()]);
        // The first is left to us alive, the second dead.
        let shell = "setsid sleep 3600 >/dev/null 2>&1 & echo $!; (setsid true &)";
        let left = Command::new("sh").args(["-c", shell]).env("MARK", "7").output().unwrap();
        let sleeper: i32 = String::from_utf8(left.stdout).unwrap().trim().parse().unwrap();

        eventually(|| {
            let living: Vec<i32> = orphans.look(&known).iter().map(|stat| stat.pid).collect();
            if living == [sleeper] && !orphans.is_waiting() { Ok(()) } else { Err(living) }
        });
        let left = Stat::of(sleeper).unwrap();
        assert_eq!((variable(&left, "MARK").as_deref(), variable(&left, "MAR")), (Some("7"), None));
        kill(&left);
        eventually(
            || if orphans.look(&known).is_empty() && !orphans.is_waiting() { Ok(()) } else { Err("still there") },
        );
        assert!(known_child.wait().unwrap().success(), "nobody took it away");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert_eq!(nix::sys::wait::waitpid(None, None), Err(nix::errno::Errno::ECHILD), "no zombie is left");
    }
}
