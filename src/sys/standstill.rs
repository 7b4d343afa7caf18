//! Standing a program still, so that what it has and has not done can be told.
//!
//! For programs that are killed next: nobody lets it go on. Blocks. Invariant: when it is said to stand still, no thread of any
//! of its processes was left to read or write anything.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::stat::{Stat, census};
use super::tree::{self, Tree};

/// Between two looks whether all have stopped.
const PAUSE: Duration = Duration::from_millis(1);

/// Stops every process of a program (`SIGSTOP`), and says whether all stand still within this time. One that waits in the kernel
/// and cannot be interrupted does not, nor does one that has the kernel read for it (`io_uring(7)`).
#[must_use]
pub fn stand_still(program: &Tree, patience: Duration) -> bool {
    let began = Instant::now();
    loop {
        let everybody = census();
        let members = program.members(&everybody);
        let moving: Vec<_> = members.into_iter().filter(|stat| !stat.is_dead() && !is_still(stat)).collect();
        if moving.is_empty() {
            return true;
        }
        if began.elapsed() >= patience {
            return false;
        }
        for stat in moving {
            tree::send(stat, Signal::STOP);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Has each thread of the process stopped, or ended? Threads of the kernel that work for it count as moving.
fn is_still(process: &Stat) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", process.pid)) else { return false };
    threads.flatten().all(|thread| {
        let file = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let is_ours = !file("comm").starts_with("iou-");
        is_ours && Stat::parse(&file("stat")).is_none_or(|stat| stat.is_dead() || stat.state == 'T')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::spawn::{Spawn, find_program, spawn};

    #[tokio::test]
    async fn a_program_stands_still_with_all_that_it_has_started() {
        let shell = find_program("sh", "/usr/bin:/bin".as_ref(), "/".as_ref()).unwrap();
        let words = ["sh", "-c", "sh -c 'while :; do :; done' & while :; do :; done"];
        let args = words.map(Into::into).to_vec();
        let mut child = spawn(Spawn { args, ..Spawn::new(shell) }).unwrap();
        let program = Tree::adopt(child.pid(), None, None);
        let count = || program.members(&census()).len();
        let began = Instant::now();
        while count() < 2 {
            assert!(began.elapsed() < Duration::from_secs(10), "it starts another one");
            tokio::task::yield_now().await;
        }
        assert!(stand_still(&program, Duration::from_secs(10)));
        let spent = || program.members(&census()).iter().map(|stat| stat.cpu_ticks).sum::<u64>();
        let before = spent();
        assert!(program.members(&census()).iter().all(|stat| stat.state == 'T'));
        assert_eq!(spent(), before);
        child.kill().unwrap();
        child.wait().await.unwrap();
    }

    #[test]
    fn a_program_that_is_gone_stands_still() {
        assert!(stand_still(&Tree::of_nobody(i32::MAX), Duration::ZERO));
    }

    #[test]
    fn one_that_does_not_stop_in_time_is_not_said_to_stand_still() {
        // Ourselves, who run: there is no time in which to stop.
        let ourselves = Tree::of_nobody(i32::try_from(std::process::id()).unwrap());
        assert!(!stand_still(&ourselves, Duration::ZERO));
    }
}
