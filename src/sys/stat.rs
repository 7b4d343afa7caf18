//! Processes as `proc_pid_stat(5)` shows them: one of them, or all there are.
//!
//! Only reads. A process may end, and its number be given to another, between any two looks: [`Stat::started`] tells the
//! two apart.

use std::fs;
use std::io;

/// What we need of a process's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    /// As the kernel has it: `R`, `S`, `D` (cannot be interrupted), `Z` (dead, not reaped), ...
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Clock ticks since the machine's start.
    pub started: u64,
    /// Pages of physical memory, shared ones included.
    pub resident_pages: u64,
    /// CPU time in clock ticks: its own, and that of its children that it has reaped.
    pub cpu_ticks: u64,
}

impl Stat {
    /// A process as it is now.
    ///
    /// # Errors
    /// `NotFound` when there is none of this number.
    pub fn of(pid: i32) -> io::Result<Self> {
        let line = fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&String::from_utf8_lossy(&line)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Has it ended?
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// Is it the same process, and not another with its number?
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }

    /// The second field is the program's name in parentheses and may hold anything, parentheses too.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let pid = line.split_once(' ')?.0.parse().ok()?;
        let (_, rest) = line.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.trim_end().split(' ').collect();
        // The manual counts from 1 and the name is its second: field n is here at n - 3.
        let number = |field: usize| fields.get(field - 3)?.parse::<i32>().ok();
        let large = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            pid,
            state: fields.first()?.chars().next()?,
            parent: number(4)?,
            group: number(5)?,
            session: number(6)?,
            started: large(22)?,
            resident_pages: large(24)?,
            cpu_ticks: (14..=17).map(large).sum::<Option<u64>>()?,
        })
    }
}

/// All processes that `/proc` shows; none where it shows nothing.
#[must_use]
pub fn census() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Stat::of(pid).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 10000 321 18446744073709551615 1 1 0";

    #[test]
    fn a_line_is_read_whatever_the_program_calls_itself() {
        let running = Stat::parse(&format!("15 (sleep) S 7 12 11 {TAIL}\n")).unwrap();
        let expected = Stat {
            pid: 15,
            state: 'S',
            parent: 7,
            group: 12,
            session: 11,
            started: 98_765,
            resident_pages: 321,
            cpu_ticks: 26,
        };
        assert_eq!(running, expected);
        let dead = Stat::parse(&format!("15 (a) Z 1 (b) Z 7 12 11 {TAIL}")).unwrap();
        assert!(dead.is_dead() && dead.is_same(&running) && !running.is_dead());
        assert_eq!(Stat::parse("15 (sleep"), None);
        assert_eq!(Stat::parse("15 (sleep) S x"), None);
        assert_eq!(Stat::parse("15 (sleep) S 7 12 11 0"), None);
    }

    #[test]
    fn everybody_is_counted_ourselves_too() {
        let ourselves = i32::try_from(std::process::id()).unwrap();
        let seen = census().into_iter().find(|stat| stat.pid == ourselves).unwrap();
        assert!(seen.is_same(&Stat::of(ourselves).unwrap()) && seen.resident_pages > 0);
        assert_eq!(Stat::of(i32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
