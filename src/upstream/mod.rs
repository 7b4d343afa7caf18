//! An app as the proxy sees it: its endpoints, who is on them, and who waits for one.
//!
//! It does not know processes, configuration or HTTP: who lists the endpoints and what a connection is, is given. The
//! way of a claim: `pick` names an endpoint, its `gate` lets the exchange in, the [`Lease`] stands for the place until
//! the last byte; when nothing can be claimed the request is put on `hold`, and a place that is given up goes to the
//! oldest in that line. Invariant: after [`Upstream::set`] has returned, nobody claims an endpoint that it listed as
//! closed or did not list.

mod atomic;
mod budget;
mod departure;
mod endpoint;
mod gate;
mod hold;
mod lease;
mod pick;
mod pool;
mod queue;
mod ramp;
mod span;
mod tally;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

pub use budget::Budget;
pub use departure::Streams;
pub use endpoint::{Endpoint, OnIdle, Spec};
pub use hold::Refused;
pub use lease::Lease;
pub use ramp::Ramp;
pub use span::Span;
pub use tally::{Seen, Waiting};

use crate::id::Serial;
use hold::{Answer, Hold, Waiter};
use ramp::Ramps;

/// Called when a request is put on hold, or is on hold as endpoints are listed anew, where [`Bounds::wakes`] says so: once for
/// each listing. Must not call back into the upstream.
pub type OnWanted = Arc<dyn Fn() + Send + Sync>;

/// The endpoints of one app and the requests held for it. Lives as long as the app is configured; `C` is a connection.
pub struct Upstream<C> {
    world: ArcSwap<World<C>>,
    hold: Arc<Hold<C>>,
    threads: usize,
    on_idle: OnIdle,
    on_wanted: Option<OnWanted>,
    /// Taken by whoever replaces `world`.
    setting: Mutex<()>,
}

/// What an app may be asked to bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Exchanges on one endpoint at once; `None`: unlimited.
    pub max_inflight: Option<NonZeroU32>,
    /// Requests on hold at once.
    pub hold_requests: u32,
    /// How long one is held.
    pub hold_time: Duration,
    /// When the oldest one has waited for so long, others are refused at once, as long as an endpoint is open: more comes in
    /// than is worked off, and who joins now would wait in vain.
    pub shed_after: Option<Duration>,
    /// While no endpoint is open: is one expected, so that it is worth waiting?
    pub expected: bool,
    /// Is somebody to be told of requests on hold, because it sleeps?
    pub wakes: bool,
}

/// What [`Upstream::set`] replaces as one.
struct World<C> {
    endpoints: Vec<Arc<Endpoint<C>>>,
    bounds: Bounds,
    ramps: Ramps,
    /// It was told that somebody waits.
    is_wanted: AtomicBool,
}

impl<C: Send + 'static> Upstream<C> {
    /// An app without endpoints, with none expected. `threads` is how many keep idle connections.
    #[must_use]
    pub fn new(threads: usize, on_idle: OnIdle) -> Self {
        let world = World::of(Vec::new(), Bounds::default(), &[]);
        let (hold, setting) = (Arc::new(Hold::new()), Mutex::new(()));
        Self { world: ArcSwap::from_pointee(world), hold, threads, on_idle, on_wanted: None, setting }
    }

    /// The same, and `on_wanted` hears of requests that wait while it sleeps.
    #[must_use]
    pub fn waking(self, on_wanted: OnWanted) -> Self {
        Self { on_wanted: Some(on_wanted), ..self }
    }

    /// Lists the endpoints anew, and settles what this means for requests on hold.
    ///
    /// An endpoint listed before is the same one still, with its exchanges and connections, opened or closed as is said
    /// now. One that leaves has what lasts on it told. One that is no longer listed is retired: closed for ever, its idle
    /// connections dropped, its tunnels ended.
    /// At no instant is nothing open that was and stays open, or that replaces what was.
    pub fn set(&self, specs: &[Spec], bounds: Bounds) {
        let _one_at_a_time = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.world.load_full();
        let endpoints: Vec<_> = specs.iter().map(|spec| self.endpoint(&before, spec)).collect();
        for (endpoint, spec) in endpoints.iter().zip(specs) {
            endpoint.set_limit(bounds.max_inflight);
            endpoint.set_introduced(spec.introduced);
            if spec.open {
                endpoint.open();
            }
        }
        self.world.store(Arc::new(World::of(endpoints.clone(), bounds, specs)));
        for (endpoint, _) in endpoints.iter().zip(specs).filter(|(_, spec)| !spec.open) {
            endpoint.close();
        }
        for (endpoint, _) in endpoints.iter().zip(specs).filter(|(_, spec)| spec.leaving) {
            endpoint.leave();
        }
        for endpoint in before.endpoints.iter().filter(|old| !specs.iter().any(|spec| spec.serial == old.serial)) {
            endpoint.retire();
        }
        self.hold.note_open(specs.iter().filter(|spec| spec.open).map(|spec| spec.generation));
        self.settle();
        // Whoever has joined after this has seen what is listed now.
        if self.held() > 0 {
            self.want();
        }
    }

    /// Retires all endpoints and refuses all requests, now and from now on: the app is no longer configured.
    pub fn retire(&self) {
        self.set(&[], Bounds::default());
    }

    /// Claims an open endpoint that is not full and not to be avoided, the less loaded of two drawn at random.
    #[must_use]
    pub fn try_claim(&self, avoid: &[Serial]) -> Option<Lease<C>> {
        self.try_claim_of(Span::Any, avoid)
    }

    /// The same of these generations; of any while none of them is open that is not to be avoided.
    #[must_use]
    pub fn try_claim_of(&self, span: Span, avoid: &[Serial]) -> Option<Lease<C>> {
        self.world.load().enter(span, avoid).map(Lease::of)
    }

    /// Claims an endpoint as [`try_claim`](Self::try_claim) does, and waits in line for one if need be.
    ///
    /// `avoid` is strict: an endpoint in it is not claimed even when it is the only one. Cancellation safe: a request
    /// that goes away leaves the line, and what it was just handed goes to the next one.
    ///
    /// # Errors
    /// [`Refused::Down`] at once when no endpoint but those avoided is open and none is expected, or as soon as that is
    /// so; [`Refused::Full`] at once when as many wait as may, [`Refused::Overloaded`] when they have waited for too long; [`Refused::TimedOut`] after the time to hold.
    pub async fn claim(&self, avoid: &[Serial]) -> Result<Lease<C>, Refused> {
        self.claim_of(Span::Any, avoid).await
    }

    /// The same of these generations; of any while none of them is open that is not to be avoided.
    ///
    /// # Errors
    /// As of a claim of any.
    pub async fn claim_of(&self, span: Span, avoid: &[Serial]) -> Result<Lease<C>, Refused> {
        if let Some(lease) = self.try_claim_of(span, avoid) {
            return Ok(lease);
        }
        let (waiter, limit) = self.join(span, avoid)?;
        waiter.wait(limit).await
    }

    /// How many requests are on hold.
    #[must_use]
    pub fn held(&self) -> usize {
        self.hold.queue().len()
    }

    /// The endpoints listed, open and closed.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<Endpoint<C>>> {
        self.world.load().endpoints.clone()
    }

    /// Drops the idle connections of `thread` that have expired at `now`, or are of no use any more, on all endpoints.
    pub fn sweep(&self, thread: usize, now: Instant, is_fit: impl Fn(&C) -> bool) {
        self.world.load().endpoints.iter().for_each(|endpoint| endpoint.sweep(thread, now, &is_fit));
    }

    /// The endpoint listed before under this serial, or a new one.
    fn endpoint(&self, before: &World<C>, spec: &Spec) -> Arc<Endpoint<C>> {
        let known = before.endpoints.iter().find(|endpoint| endpoint.serial == spec.serial);
        known.cloned().unwrap_or_else(|| {
            Arc::new(Endpoint::new(spec, self.threads, Arc::clone(&self.hold), Arc::clone(&self.on_idle)))
        })
    }

    /// Joins the line of requests on hold; also says for how long to wait.
    fn join(&self, span: Span, avoid: &[Serial]) -> Result<(Waiter<'_, C>, Duration), Refused> {
        let bounds = self.world.load().may_hold(avoid)?;
        let is_late = |limit| self.held() < bounds.hold_requests as usize && self.is_late(limit);
        if bounds.shed_after.is_some_and(is_late) {
            return Err(Refused::Overloaded);
        }
        let span = self.world.load().span(span, avoid);
        let waiter = self.hold.join((span, avoid), bounds.hold_requests)?;
        // What was given up or listed before we joined was not offered to us.
        if let Some(answer) = self.world.load().answer(span, avoid) {
            waiter.tell(answer);
        } else {
            self.want();
        }
        Ok((waiter, bounds.hold_time))
    }

    /// Do requests wait for so long although an endpoint is open? When none is, it is not a matter of load.
    fn is_late(&self, limit: Duration) -> bool {
        let oldest = self.hold.oldest();
        oldest.is_some_and(|since| since.elapsed() >= limit)
            && self.world.load().first_that(Span::Any, &[], |endpoint| !endpoint.is_closed()).is_some()
    }

    /// Tells that a request waits, if that is to be told and was not yet.
    fn want(&self) {
        let world = self.world.load();
        if world.bounds.wakes && !world.is_wanted.swap(true, Relaxed) {
            self.on_wanted.iter().for_each(|tell| tell());
        }
    }

    /// Gives every request on hold what it would get if it came now.
    fn settle(&self) {
        let world = self.world.load();
        self.hold.settle(|span, avoid| world.answer(span, avoid));
    }
}

impl<C> World<C> {
    fn of(endpoints: Vec<Arc<Endpoint<C>>>, bounds: Bounds, specs: &[Spec]) -> Self {
        Self { endpoints, bounds, ramps: Ramps::of(specs), is_wanted: AtomicBool::new(false) }
    }

    /// Takes a place at the endpoint picked. The caller makes a [`Lease`] of it.
    fn enter(&self, span: Span, avoid: &[Serial]) -> Option<Arc<Endpoint<C>>> {
        let span = self.span(span, avoid);
        let is_meant = |one: &Endpoint<C>| span.contains(one.generation) && !avoid.contains(&one.serial);
        let load = |endpoint: &Arc<Endpoint<C>>| endpoint.load().filter(|_| is_meant(endpoint));
        // Others may fill or close what was picked before we get in: pick again then, and at last try each in turn.
        for _ in 0..3 {
            let dice = (fastrand::u32(..), fastrand::u32(..));
            let picked = match self.ramps.growing_at(Instant::now) {
                None => pick::pick(&self.endpoints, dice, load)?,
                Some(now) => {
                    let scaled = |one: &Arc<Endpoint<C>>| {
                        Some(self.ramps.scaled(one.serial, load(one)?, now, fastrand::u16(..)))
                    };
                    pick::pick(&self.endpoints, dice, scaled)?
                }
            };
            if picked.try_enter() {
                return Some(Arc::clone(picked));
            }
        }
        self.first_that(span, avoid, Endpoint::try_enter)
    }

    /// What to tell a request in line; `None`: to wait.
    fn answer(&self, span: Span, avoid: &[Serial]) -> Option<Answer<C>> {
        let span = self.span(span, avoid);
        let place = self.enter(span, avoid).or_else(|| self.first_that(span, avoid, Endpoint::try_enter_or_want));
        place.map(Ok).or_else(|| self.may_hold(avoid).err().map(Err))
    }

    /// The bounds of waiting for an endpoint, if there is one to wait for.
    fn may_hold(&self, avoid: &[Serial]) -> Result<Bounds, Refused> {
        let is_worth_it =
            self.bounds.expected || self.first_that(Span::Any, avoid, |endpoint| !endpoint.is_closed()).is_some();
        if is_worth_it { Ok(self.bounds) } else { Err(Refused::Down) }
    }

    fn first_that(
        &self,
        span: Span,
        avoid: &[Serial],
        takes: impl Fn(&Endpoint<C>) -> bool,
    ) -> Option<Arc<Endpoint<C>>> {
        let is_meant = |one: &Endpoint<C>| span.contains(one.generation) && !avoid.contains(&one.serial);
        self.endpoints.iter().find(|endpoint| is_meant(endpoint) && takes(endpoint)).cloned()
    }

    /// The generations that a claim for these can be had of.
    fn span(&self, span: Span, avoid: &[Serial]) -> Span {
        let open = self.endpoints.iter().filter(|one| !one.is_closed() && !avoid.contains(&one.serial));
        span.among(open.map(|one| one.generation))
    }
}

#[cfg(test)]
mod tests;
