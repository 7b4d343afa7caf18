//! How much memory a program needs with all its processes, how much there is, and what CPU time they have had.
//!
//! A control group knows best. Without one, the pages of each process are counted in proportion to those who share them
//! (PSS): their plain sum would count a page that ten processes share ten times. As that takes the kernel a walk over all
//! pages, the plain sum (RSS), which is never smaller, is looked at first, and is enough while it is within the limit.
//! CPU time of a process that has ended is its parent's, once that has waited for it.

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::time::Duration;

use super::cgroup;
use super::process;
use super::stat::{Stat, census};
use super::tree::Tree;

/// How a number of bytes came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The control group's working set.
    ControlGroup,
    /// Shared pages counted in proportion.
    Pss,
    /// Shared pages counted in full: the truth is no larger.
    Rss,
}

impl Metric {
    /// The name for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControlGroup => "cgroup",
            Self::Pss => "pss",
            Self::Rss => "rss",
        }
    }
}

/// What a program needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub bytes: u64,
    pub metric: Metric,
    /// CPU time since its start; it may fall where processes are forgotten.
    pub cpu: Duration,
}

/// One look at the machine, for any number of programs.
#[derive(Debug, Default)]
pub struct Survey {
    /// Taken when first needed.
    everybody: OnceCell<Vec<Stat>>,
}

impl Survey {
    /// Measures a program; `limit` is the number of bytes from which on it must be exact.
    pub fn measure(&self, tree: &Tree, limit: Option<u64>) -> Measured {
        let group = tree.group();
        let counted = group.and_then(|group| group.cpu_time());
        if let (Some(bytes), Some(cpu)) = (group.and_then(|group| group.working_set()), counted) {
            return Measured { bytes, metric: Metric::ControlGroup, cpu };
        }
        let members = tree.members(self.everybody.get_or_init(census));
        let ticks: u64 = members.iter().map(|stat| stat.cpu_ticks).sum();
        let cpu = counted.unwrap_or_else(|| Duration::from_secs_f64(ticks as f64 / process::ticks_per_second() as f64));
        let page = process::page_size();
        let resident = members.iter().map(|stat| stat.resident_pages * page).sum();
        if limit.is_none_or(|limit| resident <= limit) {
            return Measured { bytes: resident, metric: Metric::Rss, cpu };
        }
        let exact = members.iter().filter_map(|stat| proportional(stat.pid).ok()).sum();
        Measured { bytes: exact, metric: Metric::Pss, cpu }
    }
}

/// The share of a process; where it may not be read, what the process shares with nobody or chose to share.
fn proportional(pid: i32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    if let Some(bytes) = rollup.ok().and_then(|text| kibibytes(&text, "Pss:")) {
        return Ok(bytes);
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let own = |name| kibibytes(&status, name).unwrap_or(0);
    Ok(own("RssAnon:") + own("RssShmem:"))
}

/// Bytes of memory that all programs together may have here: the machine's, or what our control group may use.
///
/// # Errors
/// When `/proc` does not say.
pub fn total() -> io::Result<u64> {
    let machine = kibibytes(&fs::read_to_string("/proc/meminfo")?, "MemTotal:");
    let machine = machine.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "/proc/meminfo has no MemTotal"))?;
    Ok(cgroup::memory_limit().map_or(machine, |limit| limit.min(machine)))
}

/// Is there so little memory left that programs wait for it, or soon will? Where `/proc` does not say, there is enough.
#[must_use]
pub fn is_scarce() -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    scarce(&read("/proc/meminfo"), &read("/proc/pressure/memory"))
}

/// Less than a twentieth is available, or some task has waited for memory a tenth of the last 10 s (PSI, the kernel's
/// `accounting/psi`).
fn scarce(meminfo: &str, pressure: &str) -> bool {
    let number = |name| kibibytes(meminfo, name);
    let is_short = number("MemAvailable:").zip(number("MemTotal:")).is_some_and(|(left, all)| left < all / 20);
    is_short || waits(pressure)
}

/// Has some task waited for memory a tenth of the last 10 s? Where the kernel does not say, none has.
#[must_use]
pub fn is_pressed() -> bool {
    waits(&fs::read_to_string("/proc/pressure/memory").unwrap_or_default())
}

fn waits(pressure: &str) -> bool {
    let line = pressure.lines().find_map(|line| line.strip_prefix("some avg10="));
    let share = line.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    share.is_some_and(|share| share > 10.0)
}

/// Bytes of memory that programs could still have here: of the machine, and of what our control group and those above it may
/// use. What was read from files and not touched for long counts as free. `None`: nobody says.
#[must_use]
pub fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kibibytes(&text, "MemAvailable:"));
    machine.into_iter().chain(cgroup::memory_left()).min()
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let size = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = size.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::run_test_in_child;

    #[test]
    fn sizes_are_read_in_bytes() {
        assert_eq!(kibibytes("Rss:  9 kB\nPss:      1536 kB\nPss_Dirty: 1 kB\n", "Pss:"), Some(1536 * 1024));
        assert_eq!(kibibytes("Name:\\tkthreadd\n", "Pss:"), None);
        assert_eq!(kibibytes("Pss: many kB\n", "Pss:"), None);
    }

    #[test]
    fn memory_is_scarce_when_little_is_left_or_when_programs_wait_for_it() {
        let left = |left: u32| format!("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: {left} kB\n");
        let waits = |share: &str| format!("some avg10={share} avg60=0.00 avg300=0.00 total=9\nfull avg10=99.00\n");
        for (meminfo, pressure, expected) in [
            (left(50), waits("0.00"), false),
            (left(49), waits("0.00"), true),
            (left(900), waits("10.01"), true),
            (left(900), waits("10.00"), false),
            (left(900), String::new(), false),
            (String::new(), String::new(), false),
        ] {
            assert_eq!(scarce(&meminfo, &pressure), expected, "{meminfo}{pressure}");
        }
    }

    #[test]
    fn there_is_memory_here() {
        assert!(total().unwrap() > 1 << 20);
        let available = available().unwrap();
        assert!(available > 1 << 20 && available <= total().unwrap(), "{available}");
    }

    #[test]
    fn what_processes_share_is_counted_once() {
        run_test_in_child("sys::memory::tests::in_a_child_share_memory");
    }

    #[test]
    #[ignore = "run in a process of its own by the test above, whose memory must be its own"]
    fn in_a_child_share_memory() {
        const SIZE: u64 = 64 << 20;
        let shared = vec![7_u8; SIZE as usize];
        let ourselves = i32::try_from(std::process::id()).unwrap();
        let tree = Tree::new(ourselves, None, None);
        let held = |limit| {
            let measured = Survey::default().measure(&tree, limit);
            (measured.metric, measured.bytes)
        };
        // A copy of this process that shares all its pages.
        let child = fork_a_copy();
        let (rss, pss) = (held(None), held(Some(SIZE)));
        nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
        nix::sys::wait::waitpid(child, None).unwrap();
        assert_eq!((rss.0, pss.0), (Metric::Rss, Metric::Pss));
        assert!(rss.1 > 2 * SIZE, "counted twice: {rss:?}");
        assert!(pss.1 > SIZE && pss.1 < SIZE * 3 / 2, "counted once: {pss:?}");
        assert_eq!(held(Some(u64::MAX)).0, Metric::Rss, "no need to be exact");
        assert!(Survey::default().measure(&tree, None).cpu > Duration::ZERO, "64 MiB were written");
        drop(shared);
    }

    #[allow(unsafe_code)]
    fn fork_a_copy() -> nix::unistd::Pid {
        // SAFETY: the child makes one plain system call again and again, until it is killed.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Parent { child } => child,
            nix::unistd::ForkResult::Child => loop {
                // SAFETY: no arguments, no memory.
                unsafe { nix::libc::pause() };
            },
        }
    }
}
