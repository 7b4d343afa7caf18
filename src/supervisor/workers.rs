//! A running worker, as the supervisor holds it: its process, its place, its last lines, and how it is asked to end.
//!
//! How it came to run is the affair of `launch`, when it is to end of its machine.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::channel::Channel;
use super::launch::{Berth, StartingLine};
use super::lookout::Lookout;
use super::notify::Notify;
use super::output::Tail;
use super::process::Process;
use crate::config::{self, Command, StopSignal};
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
    pub(super) ends: Ends,
    pub(super) started: Instant,
    /// As the clock on the wall has it.
    pub(super) started_at: Timestamp,
    pub(super) berth: Berth,
    pub(super) lookout: Lookout,
}

/// Our ends of what it was given.
#[derive(Debug, Default)]
pub(super) struct Ends {
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) starting_line: Option<StartingLine>,
    /// Copies, by what they are, for whoever takes over from us.
    pub(super) copies: Vec<(&'static str, OwnedFd)>,
}

impl Worker {
    /// Asks it to end: by a message where that can be, and by the signal if the message has not helped when half of the
    /// time is over. An app may know only one of the two, and there is no telling which; both at once would cut short
    /// what an app without a signal handler does upon the message.
    pub(super) fn stop(&self) {
        let StopOrder { signal, kill_timeout, word, .. } = self.stop;
        let is_told = self.channel.as_ref().is_some_and(|channel| match word {
            Word::None => false,
            Word::ShutDown => channel.shut_down(),
            Word::Disconnect => channel.disconnect(),
        });
        // Who has said that it stops need not be told; a signal on the way could cut short what it does.
        let is_leaving = self.notify.as_ref().is_some_and(Notify::is_leaving);
        if is_told || is_leaving {
            self.process.signal_in(kill_timeout / 2, signal);
        } else {
            self.process.signal(signal);
        }
    }

    /// What was put off before we took over comes when it is time.
    pub(super) fn signal_in(&self, wait: Duration) {
        self.process.signal_in(wait, self.stop.signal);
    }

    /// Asks it to write down what it does, if there is a signal for that; gives the signal.
    pub(super) fn dump(&self) -> Option<Signal> {
        self.stop.dump.inspect(|signal| self.process.tell(*signal))
    }

    /// It has closed the channel. If it was asked to, it has finished what it had in hand, and the signal can come.
    pub(super) fn left_channel(&self) {
        if self.channel.as_ref().is_some_and(Channel::is_to_be_left) {
            self.process.signal(self.stop.signal);
        }
    }
}

/// How a worker is asked to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct StopOrder {
    signal: Signal,
    /// From the order to the kill.
    kill_timeout: Duration,
    /// What it is told before the signal.
    word: Word,
    /// What it is sent when it hangs, before that.
    dump: Option<Signal>,
}

/// A message that asks a worker to end.
#[derive(Clone, Copy, Debug)]
enum Word {
    None,
    /// PM2's.
    ShutDown,
    /// That of a cluster's primary.
    Disconnect,
}

impl StopOrder {
    pub(super) fn of(command: &Command) -> Self {
        let word = match command.contract.channel {
            _ if command.contract.node.disconnect => Word::Disconnect,
            config::Channel::Absent => Word::None,
            config::Channel::Present => Word::ShutDown,
        };
        let dump = command.live.as_ref().and_then(|live| live.dump_signal).map(signal);
        Self { signal: signal(command.contract.stop_signal), kill_timeout: command.timeouts.kill, word, dump }
    }
}

pub(super) fn signal(configured: StopSignal) -> Signal {
    match configured {
        StopSignal::Term => Signal::Term,
        StopSignal::Int => Signal::Int,
        StopSignal::Quit => Signal::Quit,
        StopSignal::Hup => Signal::Hup,
        StopSignal::Usr1 => Signal::Usr1,
        StopSignal::Usr2 => Signal::Usr2,
    }
}
