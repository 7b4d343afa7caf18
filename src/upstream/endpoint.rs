//! One endpoint: where a worker is reached, who is on it, and the idle connections to it.
//!
//! It does not know why it is opened or closed, nor who else serves its app. Invariants: once closed, it takes no claim
//! and keeps no connection that is given back; each closing is reported once, when its last exchange has ended.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::departure::{Departure, Streams};
use super::gate::{Gate, Left};
use super::hold::Hold;
use super::pool::Pool;
use super::queue;
use super::ramp::Ramp;
use super::tally::{Seen, Tally, Waiting};
use crate::id::{Address, Generation, Serial, Slot};

/// Called when a closed endpoint has no exchange in flight, once per closing, on whichever thread ended the last one.
///
/// It may be called before [`Upstream::set`](super::Upstream::set) returns, and must not call back into it.
pub type OnIdle = Arc<dyn Fn(Serial) + Send + Sync>;

/// Connections to one endpoint that may be about to be made at a time. A worker whose queue of them is full answers none for
/// a while; who waits for a turn here may meanwhile get one that was given back.
const STARTS: usize = 256;

/// What is said of an endpoint when it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub serial: Serial,
    pub slot: Slot,
    pub generation: Generation,
    pub address: Address,
    /// May it be claimed?
    pub open: bool,
    /// Is each connection made for one client, who is introduced on it?
    pub introduced: bool,
    /// Is it closed for good, and its process soon to end?
    pub leaving: bool,
    /// Counts from the first time that it is listed.
    pub streams: Streams,
    /// How its share of the claims grows; `None`: it has its full one.
    pub ramp: Option<Ramp>,
}

/// Where one worker, or one server that something else runs, is reached. `C` is a connection to it.
pub struct Endpoint<C> {
    pub serial: Serial,
    pub slot: Slot,
    pub generation: Generation,
    pub address: Address,
    introduced: AtomicBool,
    gate: Gate,
    idle: Pool<C>,
    /// The right to make a connection.
    starts: Semaphore,
    tally: Tally,
    departure: Departure,
    hold: Arc<Hold<C>>,
    on_idle: OnIdle,
}

impl<C> Endpoint<C> {
    pub(super) fn new(spec: &Spec, threads: usize, hold: Arc<Hold<C>>, on_idle: OnIdle) -> Self {
        let endpoint = Self {
            serial: spec.serial,
            slot: spec.slot,
            generation: spec.generation,
            address: spec.address.clone(),
            introduced: AtomicBool::new(spec.introduced),
            gate: Gate::new(None),
            idle: Pool::new(threads),
            starts: Semaphore::new(STARTS),
            tally: Tally::new(threads),
            departure: Departure::new(spec.streams),
            hold,
            on_idle,
        };
        if !spec.open {
            endpoint.close();
        }
        endpoint
    }

    /// Is each connection made for one client, who is introduced on it?
    #[must_use]
    pub fn is_introduced(&self) -> bool {
        self.introduced.load(Relaxed)
    }

    /// Waits for a turn to make a connection. Cancellation safe.
    ///
    /// # Panics
    /// Never: nobody closes the semaphore.
    pub async fn start(&self) -> SemaphorePermit<'_> {
        self.starts.acquire().await.expect("it is never closed")
    }

    /// The idle connection that `thread` gave back last and that is a right one, unless none is left that has not expired at
    /// `now`.
    ///
    /// # Panics
    /// When `thread` is not below the number of threads of the upstream; so do [`put_idle`](Self::put_idle) and
    /// [`sweep`](Self::sweep).
    pub fn take_idle(&self, thread: usize, now: Instant, is_right: impl Fn(&C) -> bool) -> Option<C> {
        self.idle.take(thread, now, is_right)
    }

    /// Keeps a connection for the next exchange of `thread`, to be used before `until`.
    ///
    /// It is dropped instead when the endpoint is closed or the thread keeps many already.
    pub fn put_idle(&self, thread: usize, connection: C, until: Instant) {
        self.idle.put(thread, connection, until, || !self.is_closed());
    }

    /// Drops the idle connections of `thread` that have expired at `now`, or are of no use any more.
    pub fn sweep(&self, thread: usize, now: Instant, is_fit: impl Fn(&C) -> bool) {
        self.idle.sweep(thread, now, is_fit);
    }

    /// Drops the idle connections of all threads. A closed endpoint gets no new ones.
    pub fn drop_idle(&self) {
        self.idle.clear();
    }

    /// How many idle connections all threads keep.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// A request of `thread` is about to be sent, and waits for the head of its response until the returned value is
    /// dropped. The same thread must drop it.
    ///
    /// # Panics
    /// As [`take_idle`](Self::take_idle) does.
    pub fn wait(&self, thread: usize) -> Waiting<'_> {
        self.tally.wait(thread)
    }

    /// It has failed an exchange.
    pub fn note_failure(&self) {
        self.tally.fail();
    }

    /// It has answered with an error of its own (5xx).
    pub fn note_error(&self) {
        self.tally.err();
    }

    /// What has been asked of it, at `now`. Ages are as coarse as the time between two looks: look about once a second.
    #[must_use]
    pub fn look(&self, now: Instant) -> Seen {
        self.tally.look(now)
    }

    /// How many exchanges are on it.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.gate.in_flight()
    }

    /// Does it take no new claim? Leases from before the closing may still be at work, or about to begin.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Is it closed, with nothing in flight? Then it has been reported idle, and its worker may be told to stop:
    /// whoever holds a lease and sees this has found the gate broken (invariant I1).
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.gate.is_drained()
    }

    /// Cancelled once the endpoint is no longer listed: tunnels on it must end.
    #[must_use]
    pub fn gone(&self) -> &CancellationToken {
        &self.departure.gone
    }

    /// Cancelled once the endpoint leaves: what is to become of exchanges that last is said by [`streams`](Self::streams).
    #[must_use]
    pub fn leaving(&self) -> &CancellationToken {
        &self.departure.leaving
    }

    /// What becomes of exchanges that last when it leaves.
    #[must_use]
    pub fn streams(&self) -> Streams {
        self.departure.streams
    }

    /// How many exchanges are on it; `None` when it cannot be claimed.
    pub(super) fn load(&self) -> Option<u32> {
        self.gate.load()
    }

    /// Takes a place, which the caller must make a [`Lease`](super::Lease) of, if the endpoint is open and not full.
    pub(super) fn try_enter(&self) -> bool {
        self.gate.try_enter()
    }

    /// The same for a request on hold: if it is full, the next place that is given up goes to the line.
    pub(super) fn try_enter_or_want(&self) -> bool {
        self.gate.try_enter_or_want()
    }

    /// Says whether clients are introduced on connections that are made from now on.
    pub(super) fn set_introduced(&self, introduced: bool) {
        self.introduced.store(introduced, Relaxed);
    }

    /// Sets how many exchanges it takes at once.
    pub(super) fn set_limit(&self, limit: Option<NonZeroU32>) {
        self.gate.set_limit(limit);
    }

    /// Takes claims again.
    pub(super) fn open(&self) {
        self.gate.open();
    }

    /// Takes no claim from now on; reports itself idle at once if it is.
    pub(super) fn close(&self) {
        self.report(self.gate.close());
    }

    /// Has it leave: exchanges that last are to end. It is closed already, for good.
    pub(super) fn leave(&self) {
        self.departure.leaving.cancel();
    }

    /// Ends its life: takes no claim, keeps no connection, ends its tunnels.
    pub(super) fn retire(&self) {
        self.close();
        self.departure.leaving.cancel();
        self.departure.gone.cancel();
        self.idle.clear();
    }

    /// Gives up one claim: to the oldest request held that does not avoid this endpoint, if any.
    pub(super) fn release(self: &Arc<Self>) {
        let accepts = |waiting: &_| self.hold.accepts(waiting, self);
        let give = |waiting| Hold::give(waiting, Arc::clone(self));
        self.report(queue::release(&self.gate, self.hold.queue(), accepts, give));
    }

    fn report(&self, left: Left) {
        if left.now_idle {
            (self.on_idle)(self.serial);
        }
    }
}
