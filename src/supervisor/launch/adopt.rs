//! Taking over one worker that an earlier supervisor has started: the same tasks watch it, at the same descriptors.
//!
//! Invariant: a worker that is there and cannot be watched is killed.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::task::TaskTracker;

use super::streams::{self, Reading, Streams};
use super::{Berth, Starter, StartingLine, bounds};
use crate::config::{Command, Server};
use crate::id::{Serial, WorkerId};
use crate::supervisor::adoption::{Estate, WorkerEntry};
use crate::supervisor::channel::{Channel, Subject};
use crate::supervisor::clock;
use crate::supervisor::lookout::Lookout;
use crate::supervisor::notify::Notify;
use crate::supervisor::output::{Files, Tail};
use crate::supervisor::release::Release;
use crate::supervisor::workers::{Ends, StopOrder, Worker};
use crate::sys::cgroup::Group;
use crate::sys::spawn::Child;
use crate::sys::tree::Tree;

/// A worker that was there before us.
#[derive(Clone, Copy, Debug)]
pub(in crate::supervisor) struct Found<'a> {
    pub(in crate::supervisor) serial: Serial,
    pub(in crate::supervisor) id: &'a WorkerId,
    pub(in crate::supervisor) entry: &'a WorkerEntry,
    /// It has not been found ready yet, so its word still counts.
    pub(in crate::supervisor) is_starting: bool,
}

/// Where its descriptors are, and its copies of those go that it keeps for the next in line.
struct Heirloom<'a> {
    estate: &'a Estate,
    serial: Serial,
    copies: Vec<(&'static str, OwnedFd)>,
}

impl Heirloom<'_> {
    /// `None`: it had none such, or it is lost.
    fn take(&mut self, name: &'static str) -> Option<OwnedFd> {
        let taken = self.estate.take(&format!("worker.{}.{name}", self.serial))?;
        self.copies.push((name, taken.try_clone().ok()?));
        Some(taken)
    }
}

impl Starter {
    /// Takes over a worker of a release that ran before us. `files`: see [`Starter::start`].
    ///
    /// # Errors
    /// A sentence, when it is not there any more, or cannot be watched; then it is killed.
    pub(in crate::supervisor) fn adopt(
        &self,
        found: Found<'_>,
        estate: &Estate,
        release: &Release,
        files: &mut Option<Files>,
    ) -> Result<Worker, String> {
        let Server::Command(command) = &release.app.server else { return Err("the app has no command".to_owned()) };
        let Found { serial, id, entry, is_starting } = found;
        if command.output.has_files() && files.is_none() {
            *files = Some(self.logs.open(&id.app)?);
            self.remember(&id.app, command);
        }
        let group = entry.control_group.clone().and_then(|folder| Group::adopt(folder).ok()).map(Arc::new);
        let tree = Tree::adopt(entry.process.pid, Some(bounds::variable(self.line, serial)), group);
        let child = Child::adopt(entry.process.pid, entry.process.started, tree.clone(), entry.asked)
            .map_err(|error| format!("process {}: {error}", entry.process.pid))?;
        let subject =
            || Subject { worker: id.clone(), serial, events: self.events.clone(), metrics: self.metrics.clone() };
        let mut ends = Heirloom { estate, serial, copies: Vec::new() };
        let berth = Berth::adopt(entry, estate.take(&format!("worker.{serial}.port")))
            .map_err(|error| format!("its place: {error}"))?;
        let tail = Tail::default();
        let readers = self.read_on(found, &mut ends, command, (&tail, files.as_ref()));
        let channel = ends.take("channel").map(|end| Channel::open(end, subject(), &self.tasks)).transpose()?;
        let notify = ends.take("notify").map(UnixDatagram::from);
        let notify = notify.map(|end| Notify::open(end, child.pid(), subject(), &self.tasks)).transpose()?;
        let ready = command.contract.ready;
        let line = ends.take("ready").filter(|_| is_starting);
        let starting_line =
            line.map(|end| StartingLine::open(end, ready, child.pid(), subject(), &self.tasks)).transpose()?;
        let ends = Ends { starting_line, copies: ends.copies };
        let process = self.watch(child, subject(), readers);
        let (started, started_at) = began(&entry.started_at);
        let (stop, lookout) = (StopOrder::of(command), Lookout::default());
        let id = id.clone();
        let worker =
            Worker { id, process, tree, tail, stop, channel, notify, ends, started, started_at, berth, lookout };
        entry.signal_in.into_iter().for_each(|wait| worker.signal_in(wait));
        Ok(worker)
    }

    /// Goes on reading its output. One whose pipes are lost is not heard any more.
    fn read_on(
        &self,
        found: Found<'_>,
        ends: &mut Heirloom<'_>,
        command: &Command,
        (tail, files): (&Tail, Option<&Files>),
    ) -> TaskTracker {
        let (stdout, stderr) = (ends.take(streams::NAMES[0]), ends.take(streams::NAMES[1]));
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            let nobody = TaskTracker::new();
            nobody.close();
            return nobody;
        };
        let Found { serial, id, entry, .. } = found;
        let reading = self.reading((id, serial), command, tail, files);
        Streams::adopt([stdout, stderr]).read(Reading { half_lines: entry.half_lines.clone(), ..reading }, &self.tasks)
    }
}

/// When it began, on both clocks.
fn began(told: &str) -> (Instant, Timestamp) {
    let (now, today) = (clock::now(), Timestamp::now());
    let began = told.parse().unwrap_or(today);
    let age = Duration::try_from(today.duration_since(began)).unwrap_or_default();
    (now.checked_sub(age).unwrap_or(now), began)
}
