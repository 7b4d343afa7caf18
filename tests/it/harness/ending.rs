//! How a run ends, and what must hold then.
//!
//! Dropping a run stops it. A test that has not failed by then fails when it does not end in time, when a process of its
//! family is left, or when one of [`MUST_STAY_ZERO`] has moved.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use super::client::{Reply, Target};
use super::exposition::Exposition;
use super::poll::SOON;
use super::process::{self, Process};
use super::running::Running;

/// Counters whose every increment is a lost or endangered request.
const MUST_STAY_ZERO: [&str; 8] = [
    "portreeve_dispatch_after_quiesce_total",
    "portreeve_drain_forced_total",
    "portreeve_upstream_reset_stopping_total",
    "portreeve_self_emptied_total",
    "portreeve_promote_ungated_total",
    "portreeve_close_unread_total",
    "portreeve_fd_unclaimed_total",
    "portreeve_generation_leaked_total",
];

/// What is known of a run's end.
#[derive(Debug, Default)]
pub(super) struct End {
    status: Option<ExitStatus>,
    /// Seen before the end, to be looked for after it.
    family: BTreeSet<Process>,
    excused: Vec<&'static str>,
}

impl Running {
    /// This counter may move: the test provokes it.
    pub(crate) fn excuse(&mut self, counter: &'static str) {
        assert!(MUST_STAY_ZERO.contains(&counter), "{counter} needs no excuse");
        self.end.excused.push(counter);
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.remember();
        process::send(self.pid(), signal);
    }

    pub(super) fn has_ended(&self) -> bool {
        Process::find(self.pid()).is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(&mut self, limit: Duration) -> ExitStatus {
        let status = self.end.status.or_else(|| process::wait(&mut self.child, limit));
        self.end.status = status;
        status.unwrap_or_else(|| panic!("portreeve has not ended within {limit:?}"))
    }

    /// Stops it, and starts it anew in the same place.
    #[track_caller]
    pub(crate) fn start_anew(&mut self) {
        self.signal(Signal::TERM);
        let status = self.ended(SOON);
        assert!(status.success(), "{status}");
        self.assert_nothing_left();
        let folder = self.parts.folder.path();
        let append = |name| std::fs::File::options().append(true).open(folder.join(name)).expect("it is there");
        let mut command = super::isolated(super::portreeve());
        command.args(["run", "-c", "portreeve.toml"]).current_dir(folder).envs(self.parts.mark.split_once('='));
        command.env("STATE_DIRECTORY", folder.join("state")).stdin(std::process::Stdio::null());
        command.stdout(append("stdout")).stderr(append("stderr"));
        self.child = command.spawn().expect("the program can be started");
        self.end.status = None;
        super::until(SOON, "the admin socket answers", || self.try_status().ok().map(|_| ()));
    }

    /// Panics unless every process that was ever seen below it is gone.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let left = self.left();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    fn left(&self) -> Vec<Process> {
        let known: BTreeMap<_, _> = process::marked(&self.parts.mark)
            .into_iter()
            .chain(self.end.family.iter().cloned())
            .map(|process| (process.key(), process))
            .collect();
        // The kernel may still be at it, just after a kill.
        known.into_values().filter(|process| !process.ends_within(Duration::from_secs(1))).collect()
    }

    fn remember(&mut self) {
        self.end.family.extend(process::family(self.pid()));
    }

    fn moved(&self) -> Vec<String> {
        let Ok(status) = self.try_status() else { return Vec::new() };
        let Some(metrics) = status.metrics else { return Vec::new() };
        let reply = Target::Plain(metrics).try_get("/metrics").and_then(Reply::ok);
        let exposition = match reply.map(|reply| Exposition::parse(reply.text())) {
            Ok(Ok(exposition)) => exposition,
            broken => return vec![format!("no metrics: {broken:?}")],
        };
        let counters = MUST_STAY_ZERO.iter().filter(|name| !self.end.excused.contains(name));
        let values = counters.map(|name| (name, exposition.sum(name, &[])));
        values.filter(|(_, value)| *value != 0.0).map(|(name, value)| format!("{name} is {value}")).collect()
    }

    /// Stops it if it still runs, and says what is wrong with its end.
    fn end(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.end.status.is_none() && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            faults.extend(self.moved());
            self.signal(Signal::TERM);
            if process::wait(&mut self.child, SOON).is_none() {
                faults.push(format!("it has not ended {SOON:?} after SIGTERM"));
            }
        }
        let left = self.left();
        if !left.is_empty() {
            faults.push(format!("left behind: {left:?}"));
            for process in &left {
                process::send(process.pid, Signal::KILL);
            }
        }
        faults
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let faults = self.end();
        if failed || !faults.is_empty() {
            self.output().show();
        }
        if failed {
            for fault in &faults {
                eprintln!("moreover, {fault}");
            }
        } else {
            assert!(faults.is_empty(), "{}", faults.join("\n"));
        }
    }
}
