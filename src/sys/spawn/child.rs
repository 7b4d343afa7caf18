//! A running program: its end is awaited, its process group signalled, and nothing of its tree left behind.
//!
//! The leader is reaped through its pidfd and by nobody else, so until then its number, and its group's, can mean nothing
//! else: signals go out only before. When to stop a program, and how long it may take, is decided elsewhere.
//!
//! ```text
//! Running ── signal ──▶ Asked ── kill ──▶ Killed        the leader ends in any of them:
//!    └──────── kill ──────────────────────▶ Killed        Running: the rest of the tree is killed with it
//!                                                         Asked:   the rest may end by itself, until `kill`
//! ```
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, kill_process_group, pidfd_open, pidfd_send_signal, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::super::stat::Stat;
use super::super::tree::Tree;
use super::exit::{Exit, Signal};

/// How long killed processes may take to vanish; longer means that the kernel is stuck in one, which no wait mends.
const DEATH_LIMIT: Duration = Duration::from_secs(2);

/// How often a tree that outlived its leader is looked at: soon at first, then ever less often.
const LOOKS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// One program with all processes of its [`Tree`].
///
/// Dropping it before its end was awaited kills the tree and reaps the leader, for which the calling thread waits two
/// seconds at most.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    tree: Tree,
    phase: AtomicU8,
    /// When the wait for killed members of the tree is given up.
    give_up: Option<Instant>,
    exit: Option<Exit>,
    /// Its parent is somebody else, who reaps it: we may see that it has ended, and not how.
    is_foreign: bool,
}

/// What was sent to the group so far, as `Child::phase` holds it.
mod phase {
    pub(super) const RUNNING: u8 = 0;
    pub(super) const ASKED: u8 = 1;
    pub(super) const KILLED: u8 = 2;
}

impl Child {
    pub(super) fn new(pid: Pid, pidfd: OwnedFd, tree: Tree) -> Self {
        let phase = AtomicU8::new(phase::RUNNING);
        Self { pid, pidfd, tree, phase, give_up: None, exit: None, is_foreign: false }
    }

    /// A program that an earlier image of ours has started, or another process. `started`: as [`Stat::started`] has it;
    /// `is_asked`: it was asked to end.
    ///
    /// # Errors
    /// `NotFound` when it has ended and somebody has reaped it, whoever has its number by now.
    pub fn adopt(pid: u32, started: u64, tree: Tree, is_asked: bool) -> io::Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        let pidfd = pidfd_open(number, PidfdFlags::empty()).map_err(|_| io::ErrorKind::NotFound)?;
        // Held by the descriptor its number cannot become another's any more; before, it could.
        let stat = Stat::of(number.as_raw_pid())?;
        if stat.started != started {
            return Err(io::ErrorKind::NotFound.into());
        }
        let is_foreign = stat.parent != rustix::process::getpid().as_raw_pid();
        let mut child = Self::new(number, pidfd, tree);
        child.is_foreign = is_foreign;
        child.phase.store(if is_asked { phase::ASKED } else { phase::RUNNING }, Ordering::Relaxed);
        Ok(child)
    }

    /// The leader's process ID, which is its session's and group's too.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// All its processes.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Sends a signal to the whole process group.
    ///
    /// From now on the program is taken to be asked to end: when its leader does, those that have left the group get a
    /// SIGTERM, and all may finish: [`Child::wait`] goes on until they have or [`Child::kill`] is called.
    ///
    /// # Errors
    /// ESRCH once the end was awaited; EPERM when every process of the group runs as somebody we may not signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.phase.fetch_max(phase::ASKED, Ordering::Relaxed);
        self.send(signal.into())
    }

    /// Sends a signal to the program alone, and nothing is taken to be asked of it. Errors as [`Child::signal`].
    pub fn tell(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, signal.into())?)
    }

    /// Lets go of it: it outlives us, and whoever inherits orphans will reap it.
    pub fn set_free(self) {
        std::mem::forget(self);
    }

    /// Ends the whole process group at once (SIGKILL), and all of the tree that is in a control group. What else belongs to
    /// the tree is ended by [`Child::wait`]. Errors as [`Child::signal`].
    pub fn kill(&self) -> io::Result<()> {
        self.phase.fetch_max(phase::KILLED, Ordering::Relaxed);
        self.tree.kill_group();
        self.send(rustix::process::Signal::KILL)
    }

    /// Waits until the program has ended, and with it its whole tree; then reaps it. Later calls answer the same.
    ///
    /// A leader that ends unasked takes its tree with it. One that was asked by [`Child::signal`] leaves the others
    /// their time (a shell or `npm` ends on a signal at once, the server that it started only when it is done): bound
    /// that time by [`Child::kill`].
    ///
    /// Cancel safe. Needs a Tokio runtime with I/O and time.
    ///
    /// # Errors
    /// When the leader cannot be watched or was reaped by somebody else.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        self.leader_ended().await?;
        self.tree_ended().await;
        self.reap()?.ok_or_else(|| io::Error::other("the leader has ended but cannot be reaped"))
    }

    async fn leader_ended(&self) -> io::Result<()> {
        // SAFETY: the pidfd is owned by `self`, is never replaced, and stays open for as long as this borrow of it.
        let watched = unsafe { AsyncFd::register_with_interest(self.pidfd.as_fd(), Interest::READABLE) }?;
        loop {
            let mut ready = watched.readable().await?;
            if self.has_leader_ended(Duration::ZERO)? {
                return Ok(());
            }
            ready.clear_ready();
        }
    }

    async fn tree_ended(&mut self) {
        if *self.phase.get_mut() == phase::RUNNING {
            let _ = self.kill();
        }
        let (mut pause, longest) = LOOKS;
        let mut asked: Vec<Stat> = Vec::new();
        loop {
            let survivors = self.tree.survivors();
            if survivors.is_empty() || self.is_given_up() {
                return;
            }
            self.press(&survivors, &mut asked);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Asks each of those who have left the group to end, once, or kills them all.
    fn press(&mut self, survivors: &[Stat], asked: &mut Vec<Stat>) {
        if *self.phase.get_mut() == phase::KILLED {
            self.tree.kill_group();
            self.tree.signal_strays(survivors, rustix::process::Signal::KILL);
            return;
        }
        let is_new = |stat: &&Stat| !asked.iter().any(|known| known.is_same(stat));
        let new: Vec<Stat> = survivors.iter().filter(is_new).copied().collect();
        self.tree.signal_strays(&new, rustix::process::Signal::TERM);
        asked.extend(new);
    }

    /// Whether the tree was killed long enough ago to stop looking. Begins to count at the first look.
    fn is_given_up(&mut self) -> bool {
        if *self.phase.get_mut() != phase::KILLED {
            return false;
        }
        let now = Instant::now();
        now >= *self.give_up.get_or_insert(now + DEATH_LIMIT)
    }

    /// Only before the leader is reaped: afterwards the group's number may be somebody else's.
    fn send(&self, signal: rustix::process::Signal) -> io::Result<()> {
        if self.exit.is_some() {
            return Err(Errno::SRCH.into());
        }
        if self.is_foreign && self.has_leader_ended(Duration::ZERO)? {
            // Reaped it may be, and its number another's; those of its tree that are left are known by more than that.
            self.tree.signal_survivors(signal);
            return Ok(());
        }
        Ok(kill_process_group(self.pid, signal)?)
    }

    fn has_leader_ended(&self, limit: Duration) -> io::Result<bool> {
        let mut poll = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let limit = Timespec::try_from(limit).expect("a few seconds fit");
        Ok(rustix::io::retry_on_intr(|| rustix::event::poll(&mut poll, Some(&limit)))? > 0)
    }

    /// `None` while the leader runs.
    fn reap(&mut self) -> io::Result<Option<Exit>> {
        if self.is_foreign {
            self.exit = self.has_leader_ended(Duration::ZERO)?.then_some(Exit::Unseen);
            return Ok(self.exit);
        }
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?;
        self.exit = status.as_ref().and_then(Exit::from_status);
        Ok(self.exit)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exit.is_some() {
            return;
        }
        // The leader itself as well: a child that failed before it had its own group is in none that we may signal.
        let _ = pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        let _ = self.kill();
        let _ = self.has_leader_ended(DEATH_LIMIT);
        let _ = self.reap();
    }
}
