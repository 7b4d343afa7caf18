//! A running worker, as the supervisor holds it: its process, its place, its last lines, and how it is asked to end.
//!
//! How it came to run is the affair of `launch`, when it is to end of its machine.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::channel::Channel;
use super::launch::{Berth, StartingLine};
use super::notify::Notify;
use super::output::Tail;
use super::process::Process;
use crate::config::{Command, StopSignal};
use crate::id::WorkerId;
use crate::sys::spawn::Signal;
use crate::sys::tree::Tree;

/// A running worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) process: Process,
    pub(super) tree: Tree,
    pub(super) tail: Tail,
    pub(super) stop: StopOrder,
    pub(super) channel: Option<Channel>,
    pub(super) notify: Option<Notify>,
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) starting_line: Option<StartingLine>,
    pub(super) started: Instant,
    /// As the clock on the wall has it.
    pub(super) started_at: Timestamp,
    pub(super) berth: Berth,
}

impl Worker {
    /// Asks it to end: by the message that PM2 sends where that can be, and by the signal if the message has not helped
    /// when half of the time is over. An app may know only one of the two, and there is no telling which; both at once
    /// would cut short what an app without a signal handler does upon the message.
    pub(super) fn stop(&self) {
        let StopOrder { signal, kill_timeout } = self.stop;
        if self.channel.as_ref().is_some_and(Channel::shut_down) {
            self.process.signal_in(kill_timeout / 2, signal);
        } else {
            self.process.signal(signal);
        }
    }
}

/// How a worker is asked to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct StopOrder {
    signal: Signal,
    /// From the order to the kill.
    kill_timeout: Duration,
}

impl StopOrder {
    pub(super) fn of(command: &Command) -> Self {
        let signal = match command.stop_signal {
            StopSignal::Term => Signal::Term,
            StopSignal::Int => Signal::Int,
            StopSignal::Quit => Signal::Quit,
            StopSignal::Hup => Signal::Hup,
            StopSignal::Usr1 => Signal::Usr1,
            StopSignal::Usr2 => Signal::Usr2,
        };
        Self { signal, kill_timeout: command.timeouts.kill }
    }
}
