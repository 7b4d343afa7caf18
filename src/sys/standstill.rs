//! Standing a program still, so that what it has and has not done can be told.
//!
//! For programs that are killed next: nobody lets it go on. Invariant: when it is said to stand still, no thread of any
//! of its processes was left to read or write anything.

use std::fs;

use rustix::process::Signal;

use super::stat::{Stat, census};
use super::tree::{self, Tree};

/// Stops every process of a program that still moves (`SIGSTOP`); says whether none did. To be asked again until then. One that
/// waits in the kernel and cannot be interrupted moves, and so does one that has the kernel read for it (`io_uring(7)`).
#[must_use]
pub fn stand_still(program: &Tree) -> bool {
    let everybody = census();
    let members = program.members(&everybody);
    let moving: Vec<_> = members.into_iter().filter(|stat| !stat.is_dead() && !is_still(stat)).collect();
    for stat in &moving {
        tree::send(stat, Signal::STOP);
    }
    moving.is_empty()
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
    use std::time::{Duration, Instant};

    use super::*;
    use crate::sys::spawn::{Spawn, find_program, spawn};

    async fn until(is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(10), "not in time");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_program_stands_still_with_all_that_it_has_started() {
        let shell = find_program("sh", "/usr/bin:/bin".as_ref(), "/".as_ref()).unwrap();
        let words = ["sh", "-c", "sh -c 'while :; do :; done' & while :; do :; done"];
        let args = words.map(Into::into).to_vec();
        let mut child = spawn(Spawn { args, ..Spawn::new(shell) }).unwrap();
        let program = Tree::adopt(child.pid(), None, None);
        let count = || program.members(&census()).len();
        until(|| count() == 2).await;
        until(|| stand_still(&program)).await;
        let spent = || program.members(&census()).iter().map(|stat| stat.cpu_ticks).sum::<u64>();
        let before = spent();
        assert!(program.members(&census()).iter().all(|stat| stat.state == 'T'));
        assert_eq!(spent(), before);
        child.kill().unwrap();
        child.wait().await.unwrap();
    }

    #[test]
    fn a_program_that_is_gone_stands_still() {
        assert!(stand_still(&Tree::of_nobody(i32::MAX)));
    }
}
