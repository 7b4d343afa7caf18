//! Sends a request to a worker, and once more where the retry rule allows it.
//!
//! Knows claims and connections, not what a request says. Invariants: a request is sent only under a lease; it is sent
//! again only when [`retry::decide`] says so; a lease is given up before another one is waited for.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use http::Response;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::body::Carriage;
use super::fault::Fault;
use super::outgoing::Outgoing;
use super::peer::Peer;
use super::record::Record;
use super::retry::{self, Tries};
use super::wire::Wire;
use super::world::App;
use crate::id::Serial;
use crate::telemetry::exchange_metrics::{HoldEnd, RetryRule};
use crate::upstream::{Lease, Refused};

/// Sends a request to a worker of the app and returns the head of its response.
///
/// Cancellation safe: the claim and the connection end with it.
///
/// # Errors
/// With the last attempt's fault, or the reason why no worker could be claimed.
pub(crate) async fn forward(
    peer: &Peer,
    app: &App,
    mut outgoing: Outgoing,
    record: &mut Record,
) -> Result<(Response<Incoming>, Carriage), Fault> {
    let (mut tries, mut avoid) = (Tries::default(), Vec::new());
    let (mut lease, mut now) = claim(app, &avoid, record.started()).await?;
    loop {
        record.attempt(&lease, tries.attempts(), now);
        let idle = if tries.may_reuse() { idle_wire(&lease, peer.thread, now) } else { None };
        let fault = match attempt(peer, app, &lease, &mut outgoing, idle.map(|wire| (wire, now))).await {
            Ok((response, wire)) => return Ok((response, Carriage { lease, wire, keep: app.keepalive })),
            Err(fault) => fault,
        };
        record.blame(&lease, fault);
        let rule = another(app, &outgoing, fault, tries).ok_or(fault)?;
        tries.note(rule);
        outgoing.number(tries.attempts());
        if rule != RetryRule::NotSent {
            avoid.push(lease.serial);
            drop(lease);
            let claimed = claim(app, &avoid, Instant::now()).await;
            (lease, now) = claimed.map_err(|refused| if refused == Fault::Down { fault } else { refused })?;
        }
    }
}

/// Claims an endpoint; waits for one if need be and allowed. Also returns the time, which is still `now` without a wait.
async fn claim(app: &App, avoid: &[Serial], now: Instant) -> Result<(Lease<Wire>, Instant), Fault> {
    match app.upstream.try_claim(avoid) {
        Some(lease) => Ok((lease, now)),
        None => Ok((Box::pin(hold(app, avoid)).await?, Instant::now())),
    }
}

async fn hold(app: &App, avoid: &[Serial]) -> Result<Lease<Wire>, Fault> {
    let mut claim = pin!(app.upstream.claim(avoid));
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

/// One attempt under a lease, on this connection or on a fresh one.
async fn attempt(
    peer: &Peer,
    app: &App,
    lease: &Lease<Wire>,
    outgoing: &mut Outgoing,
    idle: Option<(Wire, Instant)>,
) -> Result<(Response<Incoming>, Wire), Fault> {
    let (mut wire, now) = match idle {
        Some(idle) => idle,
        None => Box::pin(connect(lease, app)).await?,
    };
    if lease.is_drained() {
        peer.proxy.metrics.invariants().dispatch_after_quiesce.inc();
    }
    let request = outgoing.next().ok_or(Fault::Unsent)?;
    let waiting = lease.wait(peer.thread);
    match wire.send(request, app.response_timeout, now).await {
        Ok(response) => Ok((response, wire)),
        Err(failure) => {
            if failure.fault == Fault::Unsent {
                waiting.take_back();
            }
            if let Some(request) = failure.unsent {
                outgoing.put_back(request);
            }
            Err(failure.fault)
        }
    }
}

async fn connect(lease: &Lease<Wire>, app: &App) -> Result<(Wire, Instant), Fault> {
    let wire = Wire::connect(&lease.address, app.connect_timeout).await.map_err(|_| Fault::Connect)?;
    Ok((wire, Instant::now()))
}

/// The connection given back last that still works, as far as is known.
fn idle_wire(lease: &Lease<Wire>, thread: usize, now: Instant) -> Option<Wire> {
    // At most as many turns as there are idle connections.
    loop {
        let wire = lease.take_idle(thread, now.into_std())?;
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
