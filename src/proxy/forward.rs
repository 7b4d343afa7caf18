//! Sends a request to a worker, and once more where the retry rule allows it.
//!
//! Knows claims and connections, not what a request says. Invariants: a request is sent only under a lease; it is sent
//! again only when [`retry::decide`] says so; a lease is given up before another one is waited for.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::time::{Instant, timeout};

use super::body::Carriage;
use super::fault::Fault;
use super::headers::Survey;
use super::introducing::Introduction;
use super::outgoing::Outgoing;
use super::peer::Peer;
use super::record::Record;
use super::retry::{self, Tries};
use super::wire::{self, Failure, Wire};
use super::world::App;
use crate::id::Serial;
use crate::sys::exhaustion::is_exhausted;
use crate::telemetry::exchange_metrics::{HoldEnd, RetryRule};
use crate::upstream::{Lease, Refused, Span};

/// The generations that a request is for, and workers that it is not sent to again.
type Wanted<'a> = (Span, &'a [Serial]);

/// Sends a request to a worker of the app, until the head of a response is there; what its fields are is returned.
///
/// Cancellation safe: the claim and the connection end with it.
///
/// # Errors
/// With the last attempt's fault, or the reason why no worker could be claimed.
pub(crate) async fn forward(
    peer: &Peer,
    app: &App,
    outgoing: &mut Outgoing,
    span: Span,
    record: &mut Record,
) -> Result<(Survey, Carriage), Fault> {
    let (mut tries, mut avoid) = (Tries::default(), Vec::new());
    let (mut lease, mut now) = claim(app, (span, &avoid), record.started()).await?;
    loop {
        record.attempt(&lease, tries.attempts(), now);
        let reusable = tries.may_reuse().then_some(now);
        let fault = match attempt(peer, app, &lease, outgoing, reusable).await {
            Ok((survey, wire)) => return Ok((survey, Carriage { lease, wire, keep: app.keepalive })),
            Err(fault) => fault,
        };
        record.blame(&lease, fault);
        let rule = another(app, outgoing, fault, tries).ok_or(fault)?;
        tries.note(rule);
        outgoing.number(tries.attempts());
        if rule != RetryRule::NotSent {
            avoid.push(lease.serial);
            drop(lease);
            let claimed = claim(app, (span, &avoid), Instant::now()).await;
            (lease, now) = claimed.map_err(|refused| if refused == Fault::Down { fault } else { refused })?;
        }
    }
}

/// Claims an endpoint; waits for one if need be and allowed. Also returns the time, which is still `now` without a wait.
async fn claim(app: &App, wanted: Wanted<'_>, now: Instant) -> Result<(Lease<Wire>, Instant), Fault> {
    match app.upstream.try_claim_of(wanted.0, wanted.1) {
        Some(lease) => Ok((lease, now)),
        None => Ok((Box::pin(hold(app, wanted)).await?, Instant::now())),
    }
}

async fn hold(app: &App, (span, avoid): Wanted<'_>) -> Result<Lease<Wire>, Fault> {
    let mut claim = pin!(app.upstream.claim_of(span, avoid));
    // What is decided at once was not held.
    let at_once = poll_fn(|cx| match claim.as_mut().poll(cx) {
        Poll::Ready(decided) => Poll::Ready(Some(decided)),
        Poll::Pending => Poll::Ready(None),
    });
    let claimed = if let Some(decided) = at_once.await {
        if let Err(Refused::Full | Refused::Overloaded) = decided {
            app.metrics.hold().end(hold_end(&decided));
        }
        decided
    } else {
        let held = app.metrics.hold();
        let claimed = claim.await;
        held.end(hold_end(&claimed));
        claimed
    };
    claimed.map_err(|refused| match refused {
        Refused::Down => Fault::Down,
        Refused::Full => Fault::HoldFull,
        Refused::Overloaded => Fault::Overload,
        Refused::TimedOut => Fault::HoldTimeout,
    })
}

fn hold_end(claimed: &Result<Lease<Wire>, Refused>) -> HoldEnd {
    match claimed {
        Ok(_) => HoldEnd::Served,
        Err(Refused::Full) => HoldEnd::Overflow,
        Err(Refused::Overloaded) => HoldEnd::Shed,
        Err(Refused::TimedOut) => HoldEnd::Timeout,
        Err(Refused::Down) => HoldEnd::Gone,
    }
}

/// One attempt under a lease, on a fresh connection or, if it may be one that was used before, now, on such a one.
async fn attempt(
    peer: &Peer,
    app: &App,
    lease: &Lease<Wire>,
    outgoing: &mut Outgoing,
    reusable: Option<Instant>,
) -> Result<(Survey, Wire), Fault> {
    // What is not needed any more has no room in the future that waits for the answer.
    let (mut wire, now) = {
        let introduction = lease.is_introduced().then(|| Introduction::of(peer, outgoing.client()));
        let idle = reusable.and_then(|now| Some((idle_wire(lease, peer.thread, now, introduction.as_ref())?, now)));
        match idle {
            Some(idle) => idle,
            None => Box::pin(connect(peer, app, lease, introduction, reusable.is_some())).await?,
        }
    };
    if lease.is_drained() {
        peer.proxy.metrics.invariants().dispatch_after_quiesce.inc();
    }
    let request = outgoing.next().ok_or(Fault::Unsent)?;
    let waiting = lease.wait(peer.thread);
    match wire.send(request, app.response_timeout, now).await {
        Ok(survey) => Ok((survey, wire)),
        Err(failure) => {
            let fault = judge(&failure, peer, lease.serial, &wire);
            if matches!(fault, Fault::Unsent | Fault::Unread) {
                waiting.take_back();
            }
            if failure.is_unsent {
                outgoing.put_back();
            }
            let is_unread = fault == Fault::Unread;
            Err(if is_unread && !outgoing.restore(failure.body) { Fault::Silent } else { fault })
        }
    }
}

/// The fault of a failed attempt. Of a worker that was killed it may be known that it has not read the request.
fn judge(failure: &Failure, peer: &Peer, worker: Serial, wire: &Wire) -> Fault {
    let is_unread = || {
        let place = wire.local_address()?;
        Some(peer.proxy.unread.has(worker, place, failure.written))
    };
    match failure.fault {
        Fault::Silent if is_unread() == Some(true) => Fault::Unread,
        fault => fault,
    }
}

/// Makes a connection as soon as it is this request's turn, or takes one that was given back before that.
async fn connect(
    peer: &Peer,
    app: &App,
    lease: &Lease<Wire>,
    introduction: Option<Introduction>,
    may_reuse: bool,
) -> Result<(Wire, Instant), Fault> {
    let connected = async {
        let _turn = lease.start().await;
        let idle = || idle_wire(lease, peer.thread, Instant::now(), introduction.as_ref());
        match may_reuse.then(idle).flatten() {
            Some(wire) => Ok(wire),
            None => wire::connect(&lease.address, introduction).await,
        }
    };
    match timeout(app.connect_timeout, connected).await {
        Ok(Ok(wire)) => Ok((wire, Instant::now())),
        Ok(Err(error)) if is_exhausted(&error) => Err(Fault::Exhausted),
        Ok(Err(_)) | Err(_) => Err(Fault::Connect),
    }
}

/// The connection given back last that still works, as far as is known, and was made for this client.
fn idle_wire(lease: &Lease<Wire>, thread: usize, now: Instant, introduction: Option<&Introduction>) -> Option<Wire> {
    let is_right = |wire: &Wire| wire.is_for(introduction);
    // At most as many turns as there are idle connections.
    loop {
        let wire = lease.take_idle(thread, now.into_std(), is_right)?;
        if wire.is_idle() {
            return Some(wire);
        }
    }
}

/// The rule under which there may be another attempt, granted and counted.
///
/// Only R3 needs the budget's consent: what no worker has read makes none of them work twice, and so cannot multiply an
/// overload.
fn another(app: &App, outgoing: &Outgoing, fault: Fault, tries: Tries) -> Option<RetryRule> {
    let rule = retry::decide(fault.row().class, outgoing.is_repeatable(), tries)?;
    let is_granted = rule != RetryRule::Repeatable || app.budget.try_retry(std::time::Instant::now());
    (is_granted && outgoing.is_left()).then(|| {
        app.metrics.retry(rule);
        rule
    })
}
