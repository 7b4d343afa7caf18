//! Processes as the kernel shows them: who lives, whose child, in which group, and how they end.
//!
//! A process is known by pid *and* start time, so a recycled pid is never taken for the one that was meant. Zombies count
//! as gone: they hold nothing any more, and whoever should reap them may be a container's careless pid 1.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::poll::within;

/// One living process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    start: u64,
    parent: u32,
    group: u32,
    name: String,
}

impl Process {
    /// The process with this pid, if one lives.
    pub(crate) fn find(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may hold anything, parentheses included (proc_pid_stat(5)).
        let (open, close) = (text.find('(')?, text.rfind(')')?);
        let fields: Vec<&str> = text[close + 1..].split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        if matches!(fields.first(), Some(&("Z" | "X")) | None) {
            return None;
        }
        Some(Self {
            pid,
            start: number(19)?,
            parent: u32::try_from(number(1)?).ok()?,
            group: u32::try_from(number(2)?).ok()?,
            name: text[open + 1..close].to_owned(),
        })
    }

    /// Who it is for as long as it lives; the rest may change.
    pub(crate) fn key(&self) -> (u32, u64) {
        (self.pid, self.start)
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::find(self.pid).is_some_and(|now| now.key() == self.key())
    }

    /// Waits for its end; false when it still lives after `limit`.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        within(limit, || (!self.is_alive()).then_some(())).is_some()
    }
}

/// All living processes.
fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(Process::find).collect()
}

/// The process, its descendants, and whatever shares a process group with one of those.
pub(crate) fn family(root: u32) -> BTreeSet<Process> {
    let everybody = all();
    let mut pids = BTreeSet::from([root]);
    let mut groups = BTreeSet::new();
    loop {
        let before = pids.len();
        for process in &everybody {
            if process.pid == root || pids.contains(&process.parent) || groups.contains(&process.group) {
                pids.insert(process.pid);
                // The test's own group is shared with strangers; a group that its leader shares with us is ours.
                if pids.contains(&process.group) {
                    groups.insert(process.group);
                }
            }
        }
        if pids.len() == before {
            break;
        }
    }
    everybody.into_iter().filter(|process| pids.contains(&process.pid)).collect()
}

/// All living processes whose environment holds this `NAME=value`.
pub(crate) fn marked(mark: &str) -> BTreeSet<Process> {
    all().into_iter().filter(|process| environment(process.pid).iter().any(|entry| entry == mark)).collect()
}

/// The environment that a process was started with, as `NAME=value`; empty when it may not be read.
pub(crate) fn environment(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

/// The sockets that a process holds, as `socket:[INODE]`.
pub(crate) fn sockets(pid: u32) -> BTreeSet<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives and is ours");
    let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.map(|target| target.display().to_string()).filter(|target| target.starts_with("socket:")).collect()
}

/// The threads of a process.
pub(crate) fn threads(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A field of `/proc/PID/status`.
pub(crate) fn status_field(pid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Largest resident size that a process ever had, in bytes.
pub(crate) fn peak_bytes(pid: u32) -> u64 {
    let field = status_field(pid, "VmHWM").expect("the process lives");
    let kibibytes: u64 = field.trim_end_matches(" kB").parse().expect("VmHWM is a number of kB");
    kibibytes * 1024
}

/// Sends a signal; a process that is gone already is fine.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid is positive");
    // ESRCH is the only failure that can happen to one's own children.
    let _ = kill_process(pid, signal);
}

/// Kills a process with `SIGKILL` and waits until it is gone.
#[track_caller]
pub(crate) fn kill(pid: u32) {
    let Some(process) = Process::find(pid) else { panic!("no process {pid} to kill") };
    send(pid, Signal::KILL);
    assert!(process.ends_within(super::poll::SOON), "{process:?} survives SIGKILL");
}

/// Waits for a child's end; `None` when it has not ended within `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    if let Some(status) = child.try_wait().expect("a child can be waited for") {
        return Some(status);
    }
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("an unreaped child has a pidfd");
    let deadline = Instant::now() + limit;
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).expect("limits are short");
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Ok(0) => return None,
            Ok(_) => return Some(child.wait().expect("an ended child can be reaped")),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}
