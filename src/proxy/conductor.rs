//! The main thread of a proxy: listens to the supervisor and does as it is told.
//!
//! Knows the link, not how anything is served. Invariants: what is acknowledged is in force on every thread; a supervisor
//! that has gone takes nothing with it, the last snapshot is served on; a proxy that retires ends when nothing is under way,
//! and at its deadline whatever is.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::Proxy;
use super::error::Error;
use super::load::Loads;
use super::notes::{Noted, Notes};
use super::thread::Threads;
use super::world::Atlas;
use crate::id::Serial;
use crate::link::{self, Epoch, FaultKind, FromProxy, Snapshot, ToProxy, codec};
use crate::sys::{handout, process};
use crate::telemetry::access::AccessLog;

/// The most that the supervisor may say before it is listened to, in messages.
const INBOX: usize = 16;

/// The supervisor hears of one kind of fault of one endpoint this often at most.
const SAME_FAULT: Duration = Duration::from_secs(1);

/// How long a message may take to be written. The supervisor reads all the time, unless it is stuck.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Descriptors that are not for connections: listeners, runtimes, the link, the log.
const RESERVED: u64 = 64;

/// The longest that an idle HTTP/1 connection of a retiring proxy waits for a last request.
const GRACE: Duration = Duration::from_secs(2);

/// The longest that a proxy whose workers have gone goes on.
const ALONE: Duration = Duration::from_secs(5);

/// The ticket of metrics that nobody has asked for.
const UNASKED: u64 = 0;

/// Does what the supervisor says.
pub(crate) struct Conductor {
    proxy: Arc<Proxy>,
    atlas: Atlas,
    threads: Threads,
    outbox: Outbox,
    /// What the supervisor has been told of lately.
    told: Vec<(Serial, FaultKind, Instant)>,
    loads: Loads,
    /// Of the snapshot in force; `None`: there is none yet.
    epoch: Option<Epoch>,
    /// When the proxy ends, finished or not.
    deadline: Option<Instant>,
}

/// What there is to tell the supervisor, and the way to it.
pub(crate) struct Outbox {
    /// Gone once it could not be written to.
    pub(crate) writer: Option<OwnedWriteHalf>,
    pub(crate) reports: mpsc::Receiver<FromProxy>,
    pub(crate) notes: Arc<Notes>,
}

impl Conductor {
    pub(crate) fn new(proxy: Arc<Proxy>, atlas: Atlas, threads: Threads, outbox: Outbox) -> Self {
        Self { proxy, atlas, threads, outbox, told: Vec::new(), loads: Loads::default(), epoch: None, deadline: None }
    }

    /// Says that every descriptor is claimed.
    pub(crate) async fn ready(&mut self) {
        self.outbox.say(FromProxy::Ready).await;
    }

    /// Stops the threads and all that runs on them. Blocks.
    pub(crate) fn stop(mut self) {
        self.threads.stop();
    }

    /// Does as it is told until the proxy has retired, by whoever has the other end of the latest link.
    pub(crate) async fn listen(&mut self, reader: OwnedReadHalf, relink: UnixStream) -> Result<(), Error> {
        let mut inbox = Inbox::of(reader);
        let (mut is_linked, mut may_be_linked) = (true, true);
        let mut looks = interval(link::LOAD_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = inbox.messages.recv(), if is_linked => match message {
                    Some(message) => self.obey(message).await,
                    None => is_linked = self.lose_link(may_be_linked)?,
                },
                link = next_link(&relink), if may_be_linked => match link {
                    Some(link) => {
                        inbox = self.take_link(link).await;
                        is_linked = true;
                    }
                    None => may_be_linked = self.lose_relink(is_linked),
                },
                Some(report) = self.outbox.reports.recv() => self.pass_on(report).await,
                () = self.outbox.notes.changed.notified() => self.report_notes().await,
                now = looks.tick(), if is_linked => self.report_load(now).await,
                () = self.threads.ended() => return Err(Error::ThreadEnded),
                () = finished(&self.proxy, self.deadline) => {
                    // What is left is cut off now, so that it is counted.
                    self.proxy.end();
                    self.threads.stop();
                    self.report_metrics(UNASKED).await;
                    return Ok(());
                }
            }
        }
    }

    async fn obey(&mut self, message: ToProxy) {
        match message {
            ToProxy::Manifest(_) => tracing::warn!("a second manifest is of no use"),
            ToProxy::Publish(snapshot) => self.publish(*snapshot).await,
            ToProxy::Retire { within, is_last } => self.retire(within, is_last),
            ToProxy::Scrape { ticket } => self.report_metrics(ticket).await,
            ToProxy::Unread { serial, connections } => {
                self.proxy.unread.note(serial, connections);
                self.outbox.say(FromProxy::Noted { serial }).await;
            }
            ToProxy::Reopen => self.proxy.access.iter().for_each(AccessLog::reopen),
        }
    }

    /// Puts a snapshot in force on every thread and says so, or says why not.
    async fn publish(&mut self, snapshot: Snapshot) {
        let epoch = snapshot.epoch;
        let draft = match self.atlas.draft(snapshot) {
            Ok(draft) => draft,
            Err(rejected) => return self.outbox.say(FromProxy::Rejected { epoch, reason: rejected.to_string() }).await,
        };
        let (proxy, is_first) = (&self.proxy, self.epoch.is_none());
        self.atlas.apply(draft, |world| {
            proxy.door.permits.set_limit(affordable(world.limits.connections, is_first));
            proxy.door.turns.set_limit(world.limits.crowd.handshakes);
            proxy.world.store(Arc::new(world));
        });
        if self.epoch.replace(epoch).is_none() {
            self.threads.open();
        }
        self.threads.settle().await;
        self.outbox.say(FromProxy::Published { epoch }).await;
    }

    fn retire(&mut self, within: Duration, is_last: bool) {
        // One supervisor may have said it, and the next says it again.
        let deadline = Instant::now() + within;
        self.deadline = Some(self.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
        // Nobody is here to be flooded by clients that come back.
        let spread = if is_last { Duration::ZERO } else { within.saturating_sub(link::FAREWELL.min(within / 4)) };
        self.proxy.retire(GRACE.min(within / 2), spread);
        self.proxy.work.close();
    }

    /// The supervisor has gone: without a world there is nothing to do, with one everything.
    fn lose_link(&mut self, may_be_linked: bool) -> Result<bool, Error> {
        if self.epoch.is_none() {
            return Err(Error::Abandoned);
        }
        tracing::warn!("the supervisor has gone; serving on as it last said");
        self.outbox.writer = None;
        self.end_alone(may_be_linked);
        Ok(false)
    }

    /// Nobody will give us another link.
    fn lose_relink(&mut self, is_linked: bool) -> bool {
        self.end_alone(is_linked);
        false
    }

    /// Finishes and goes, if there is nobody any more and was told so for that case.
    fn end_alone(&mut self, has_anybody: bool) {
        if !has_anybody && self.proxy.world.load().ends_alone {
            tracing::warn!("nobody can take over: finishing");
            self.retire(ALONE, true);
        }
    }

    /// Another supervisor has taken over, and knows nothing of us but that we are here: it is told where we stand.
    async fn take_link(&mut self, link: UnixStream) -> Inbox {
        tracing::info!("linked to another supervisor");
        let (reader, writer) = link.into_split();
        self.outbox.writer = Some(writer);
        self.loads = Loads::default();
        // What waits is found anew with the first snapshot.
        self.outbox.notes.take();
        if let Some(epoch) = self.epoch {
            self.outbox.say(FromProxy::Published { epoch }).await;
            let world = self.proxy.world.load_full();
            for endpoint in world.endpoints().filter(|endpoint| endpoint.is_drained()) {
                self.outbox.say(FromProxy::Idle { serial: endpoint.serial }).await;
            }
        }
        Inbox::of(reader)
    }

    async fn pass_on(&mut self, report: FromProxy) {
        if let FromProxy::Fault { serial, kind, .. } = report {
            self.told.retain(|(_, _, at)| at.elapsed() < SAME_FAULT);
            if self.told.iter().any(|told| (told.0, told.1) == (serial, kind)) {
                return;
            }
            self.told.push((serial, kind, Instant::now()));
        }
        self.outbox.say(report).await;
    }

    async fn report_metrics(&mut self, ticket: u64) {
        let (families, longest_holds) = (self.proxy.metrics.gather(), self.proxy.metrics.take_longest_holds());
        self.outbox.say(FromProxy::Metrics { ticket, families, longest_holds }).await;
    }

    async fn report_load(&mut self, now: Instant) {
        let news = self.loads.news(&self.proxy.world.load(), now.into_std());
        if !news.is_empty() {
            self.outbox.say(FromProxy::Load(news)).await;
        }
    }

    async fn report_notes(&mut self) {
        let Noted { idle, wanted } = self.outbox.notes.take();
        for app in wanted {
            self.outbox.say(FromProxy::Wanted { app }).await;
        }
        let world = self.proxy.world.load_full();
        // One that has been opened since, and maybe closed once more, is not idle for having been so before.
        let is_busy = |serial| world.endpoints().any(|one| one.serial == serial && !one.is_drained());
        for serial in idle.into_iter().filter(|serial| !is_busy(*serial)) {
            self.outbox.say(FromProxy::Idle { serial }).await;
        }
    }
}

/// What a supervisor says.
struct Inbox {
    messages: mpsc::Receiver<ToProxy>,
    /// Ends with it.
    _reader: AbortOnDropHandle<()>,
}

impl Inbox {
    fn of(reader: OwnedReadHalf) -> Self {
        let (sender, messages) = mpsc::channel(INBOX);
        Self { messages, _reader: AbortOnDropHandle::new(tokio::spawn(read(reader, sender))) }
    }
}

impl Outbox {
    /// Writes a message, while there is somebody to read it.
    async fn say(&mut self, message: FromProxy) {
        let Some(writer) = &mut self.writer else { return };
        if let Ok(Ok(())) = timeout(WRITE_LIMIT, codec::write(writer, &message)).await {
            return;
        }
        tracing::warn!("the supervisor does not listen");
        // Half a message may have been written: nothing that follows could be understood.
        self.writer = None;
    }
}

/// So many connections as there are descriptors for. Each may take one to a worker, and one that could not be accepted would
/// only keep the others from their workers.
fn affordable(connections: u32, is_first: bool) -> u32 {
    let most = u32::try_from(process::descriptor_limit().saturating_sub(RESERVED) / 2).unwrap_or(u32::MAX).max(1);
    // A little less than was asked for is what the round defaults of most systems come to, and no news.
    if most < connections / 10 * 9 && is_first {
        tracing::info!(connections, most, "fewer connections than the configuration allows: open files are limited");
    }
    connections.min(most)
}

/// Reads messages until there are no more.
async fn read(mut reader: OwnedReadHalf, inbox: mpsc::Sender<ToProxy>) {
    loop {
        match codec::read(&mut reader).await {
            Ok(Some(message)) => {
                if inbox.send(message).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "the link to the supervisor"),
        }
    }
}

/// The next link that we are given; `None`: there will be none. Cancellation safe.
async fn next_link(relink: &UnixStream) -> Option<UnixStream> {
    loop {
        match relink.async_io(Interest::READABLE, || handout::receive(relink)).await {
            Ok(end) => match super::run::open(end) {
                Ok(link) => return Some(link),
                Err(error) => tracing::warn!(%error, "a link that cannot be used"),
            },
            Err(error) if error.kind() == ErrorKind::InvalidData => tracing::warn!(%error, "no link"),
            Err(_) => return None,
        }
    }
}

/// Ends when a retiring proxy has nothing left to do, or its deadline has passed.
async fn finished(proxy: &Proxy, deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => {
            let _ = timeout_at(deadline, proxy.work.wait()).await;
        }
        None => std::future::pending().await,
    }
}
