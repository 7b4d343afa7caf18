//! A child process and the task that waits for it.
//!
//! The task owns the child, so a signal can never reach a process that has been reaped; whoever holds the [`Process`]
//! sends orders. Does not know what the child is for.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::sys::spawn::{Child, Exit, Signal};
use crate::sys::stat::Stat;

/// Orders that may wait for the task; it takes them at once.
const QUEUED_ORDERS: usize = 8;

/// Holds the leash of one child.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    /// Of the process, in clock ticks since the machine's start.
    started: u64,
    orders: mpsc::Sender<Order>,
    asked: Cell<Asked>,
}

/// What it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// To end.
    pub(super) to_end: bool,
    /// When the signal comes that was put off.
    pub(super) signal_at: Option<Instant>,
}

/// What is wanted of whoever waits for a child.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Signal(Signal),
    SignalIn(Duration, Signal),
    Tell(Signal),
    Kill,
}

impl Process {
    /// Hands the child to a task, which calls `ended` once the child is reaped.
    pub(super) fn watch<F>(child: Child, tasks: &TaskTracker, ended: impl FnOnce(Exit) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let (mut leash, queue) = Self::leash(child.pid());
        let stat = i32::try_from(child.pid()).ok().and_then(|pid| Stat::of(pid).ok());
        leash.started = stat.map_or(0, |stat| stat.started);
        tasks.spawn(async move {
            let exit = wait(child, queue).await;
            ended(exit).await;
        });
        leash
    }

    /// A leash and its other end, for whoever waits for the child.
    pub(super) fn leash(pid: u32) -> (Self, mpsc::Receiver<Order>) {
        let (orders, queue) = mpsc::channel(QUEUED_ORDERS);
        (Self { pid, started: 0, orders, asked: Cell::default() }, queue)
    }

    /// When the process began, by which it is known from others that had or will have its number.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    pub(super) fn asked(&self) -> Asked {
        self.asked.get()
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the process group; nothing happens when the process has ended.
    pub(super) fn signal(&self, signal: Signal) {
        self.asked.set(Asked { to_end: true, signal_at: None });
        self.order(Order::Signal(signal));
    }

    /// Sends a signal to the process group if the process has not ended after this time.
    pub(super) fn signal_in(&self, wait: Duration, signal: Signal) {
        self.asked.set(Asked { to_end: true, signal_at: Some(Instant::now() + wait) });
        self.order(Order::SignalIn(wait, signal));
    }

    /// Sends a signal to the process alone, by which it is not asked to end.
    pub(super) fn tell(&self, signal: Signal) {
        self.order(Order::Tell(signal));
    }

    /// Kills the process group.
    pub(super) fn kill(&self) {
        self.order(Order::Kill);
    }

    fn order(&self, order: Order) {
        // The task drains this queue without ever waiting in between, so it is full only when the order is already there;
        // it is closed when there is nobody left to signal.
        let _ = self.orders.try_send(order);
    }
}

async fn wait(mut child: Child, mut orders: mpsc::Receiver<Order>) -> Exit {
    let mut later = None;
    loop {
        tokio::select! {
            exit = child.wait() => {
                return exit.unwrap_or_else(|error| {
                    tracing::error!(pid = child.pid(), %error, "cannot wait for a child");
                    Exit::Code(-1)
                });
            }
            Some(order) = orders.recv() => match order {
                Order::SignalIn(wait, signal) => later = Some((Instant::now() + wait, signal)),
                Order::Signal(signal) => {
                    later = None;
                    send(&child, signal);
                }
                Order::Tell(signal) => drop(child.tell(signal)),
                Order::Kill => kill(&child),
            },
            signal = due(later) => {
                later = None;
                send(&child, signal);
            }
        }
    }
}

/// The signal that is to be sent later, once it is time.
async fn due(later: Option<(Instant, Signal)>) -> Signal {
    match later {
        Some((at, signal)) => {
            tokio::time::sleep_until(at).await;
            signal
        }
        None => std::future::pending().await,
    }
}

fn send(child: &Child, signal: Signal) {
    if let Err(error) = child.signal(signal) {
        tracing::error!(pid = child.pid(), ?signal, %error, "cannot signal a child");
    }
}

fn kill(child: &Child) {
    if let Err(error) = child.kill() {
        tracing::error!(pid = child.pid(), %error, "cannot kill a child");
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::sys::spawn::{Spawn, find_program, spawn};

    /// Longer than any test waits.
    const NEVER: Duration = Duration::from_hours(1);

    fn sleeper(tasks: &TaskTracker) -> (Process, oneshot::Receiver<Exit>) {
        let sleep = find_program("sleep", "/usr/bin:/bin".as_ref(), "/".as_ref()).unwrap();
        let child = spawn(Spawn { args: vec!["sleep".into(), "3600".into()], ..Spawn::new(sleep) }).unwrap();
        let (told, end) = oneshot::channel();
        let process = Process::watch(child, tasks, async move |exit| {
            told.send(exit).expect("the test waits for it");
        });
        (process, end)
    }

    async fn how_it_ended(end: oneshot::Receiver<Exit>) -> String {
        let end = tokio::time::timeout(Duration::from_secs(10), end).await;
        end.expect("it ends in time").expect("its end is told").to_string()
    }

    #[tokio::test]
    async fn a_signal_for_later_comes_when_its_time_is_over() {
        let (process, end) = sleeper(&TaskTracker::new());
        process.signal_in(Duration::from_millis(20), Signal::Usr1);
        assert_eq!(how_it_ended(end).await, "signal 10 (SIGUSR1)");
    }

    #[tokio::test]
    async fn a_signal_for_later_does_not_hold_up_other_orders() {
        let (process, end) = sleeper(&TaskTracker::new());
        process.signal_in(NEVER, Signal::Usr1);
        process.signal(Signal::Term);
        assert_eq!(how_it_ended(end).await, "signal 15 (SIGTERM)");

        let (process, end) = sleeper(&TaskTracker::new());
        process.signal_in(NEVER, Signal::Usr1);
        process.kill();
        assert_eq!(how_it_ended(end).await, "signal 9 (SIGKILL)");
    }
}
