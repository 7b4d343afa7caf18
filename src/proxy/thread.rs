//! The threads that serve, each with a runtime of its own.
//!
//! Knows what a thread runs, not why. Invariants: a thread accepts only once the first snapshot is in force; it ends when it
//! is told to stop, and what still runs on it ends with it.

use std::io;
use std::mem::replace;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Proxy;
use super::listener::{Accepting, Listener};
use crate::sys::{allocator, program_text};

/// How often connections to workers are looked through for those that have expired.
const SWEEP: Duration = Duration::from_secs(1);

/// How long a thread may take to answer [`Threads::settle`]; one that takes longer is stuck, and its exchanges with it.
const SETTLE: Duration = Duration::from_secs(5);

/// The threads that serve.
pub(crate) struct Threads {
    members: Vec<Member>,
    opened: CancellationToken,
    stopped: CancellationToken,
    /// Cancelled when any thread has ended, for whatever reason.
    ended: CancellationToken,
}

struct Member {
    handle: JoinHandle<()>,
    rounds: mpsc::Sender<oneshot::Sender<()>>,
}

/// What one thread works with.
struct Station {
    proxy: Arc<Proxy>,
    index: usize,
    rounds: mpsc::Receiver<oneshot::Sender<()>>,
    opened: CancellationToken,
    stopped: CancellationToken,
}

impl Threads {
    /// Starts a thread for each hand of listeners. They accept once [`open`](Self::open) has been called.
    ///
    /// # Errors
    /// When the system refuses a thread or a runtime; threads that were started have been stopped then.
    pub(crate) fn start(proxy: &Arc<Proxy>, hands: Vec<Vec<Listener>>) -> io::Result<Self> {
        let token = CancellationToken::new;
        let mut threads = Self { members: Vec::new(), opened: token(), stopped: token(), ended: token() };
        for (index, hand) in hands.into_iter().enumerate() {
            match threads.start_one(proxy, index, hand) {
                Ok(member) => threads.members.push(member),
                Err(error) => {
                    threads.stop();
                    return Err(error);
                }
            }
        }
        Ok(threads)
    }

    fn start_one(&self, proxy: &Arc<Proxy>, index: usize, hand: Vec<Listener>) -> io::Result<Member> {
        let (sender, rounds) = mpsc::channel(1);
        let (opened, stopped) = (self.opened.clone(), self.stopped.clone());
        let station = Station { proxy: Arc::clone(proxy), index, rounds, opened, stopped };
        let ended = self.ended.clone().drop_guard();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listeners = {
            let _inside = runtime.enter();
            hand.into_iter().map(Listener::register).collect::<io::Result<Vec<_>>>()?
        };
        let body = move || {
            let _ended = ended;
            runtime.block_on(station.run(listeners));
        };
        let handle = std::thread::Builder::new().name(format!("proxy-{index}")).spawn(body)?;
        Ok(Member { handle, rounds: sender })
    }

    /// Lets the threads accept.
    pub(crate) fn open(&self) {
        self.opened.cancel();
    }

    /// Waits until every thread has done what it had been told before: what was dropped is closed, what was aborted has
    /// ended. Not waited for longer than [`SETTLE`].
    pub(crate) async fn settle(&self) {
        for member in &self.members {
            let (sender, done) = oneshot::channel();
            let round = async {
                if member.rounds.send(sender).await.is_ok() {
                    let _ = done.await;
                }
            };
            if timeout(SETTLE, round).await.is_err() {
                tracing::error!("a thread does not answer");
            }
        }
    }

    /// Ends when a thread has ended, which none does unless it is stopped.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Stops the threads and waits for their end, which comes with the task that each is polling. Blocks.
    pub(crate) fn stop(&mut self) {
        self.stopped.cancel();
        for member in self.members.drain(..) {
            if member.handle.join().is_err() {
                tracing::error!("a thread has panicked");
            }
        }
    }
}

impl Station {
    async fn run(self, listeners: Vec<Accepting>) {
        let stopped = self.stopped.clone();
        stopped.run_until_cancelled(self.serve(listeners)).await;
    }

    async fn serve(self, listeners: Vec<Accepting>) {
        let accepting = async {
            self.opened.cancelled().await;
            for listener in listeners {
                self.proxy.work.spawn(listener.run(Arc::clone(&self.proxy), self.index));
            }
        };
        let _answering = AbortOnDropHandle::new(tokio::spawn(answer(self.rounds)));
        tokio::join!(accepting, sweep(&self.proxy, self.index));
    }
}

/// Drops connections to workers that have been idle for too long, forgets clients that have gone, and gives back their memory.
async fn sweep(proxy: &Proxy, index: usize) {
    let mut ticks = interval_at(Instant::now() + SWEEP, SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_started = false;
    loop {
        ticks.tick().await;
        let now = std::time::Instant::now();
        proxy.world.load().sweep(index, now);
        if index == 0 {
            proxy.door.crowd.sweep(now);
            allocator::give_back();
            if !replace(&mut has_started, true) {
                program_text::give_back();
            }
        }
    }
}

/// Answers rounds. A task of its own, since tasks are polled in the order in which they were woken: those that were woken
/// before the question came have had their turn before the answer goes, after one more turn through all of them.
async fn answer(mut rounds: mpsc::Receiver<oneshot::Sender<()>>) {
    while let Some(done) = rounds.recv().await {
        tokio::task::yield_now().await;
        let _ = done.send(());
    }
}
