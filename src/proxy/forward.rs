//! Sends a request to a worker, and once more where the retry rule allows it.
//!
//! Knows claims and connections, not what a request says. Invariants: a request is sent only under a lease; it is sent
//! again only when [`retry::decide`] and the app's budget both say so; a lease is given up before another one is waited
//! for.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::body::Carriage;
use super::connection::Peer;
use super::fault::Fault;
use super::headers;
use super::record::Record;
use super::retry::{self, Tries};
use super::upload::Upload;
use super::wire::Wire;
use super::world::App;
use crate::id::Serial;
use crate::telemetry::exchange_metrics::{HoldEnd, RetryRule};
use crate::upstream::{Lease, Refused};

/// A request on its way, with what is needed to send it again.
pub(crate) struct Outgoing {
    /// `None` once it has been sent for good.
    request: Option<Request<Upload>>,
    is_repeatable: bool,
}

impl Outgoing {
    /// `has_key`: its sender has said that it may be handled twice.
    pub(crate) fn new(request: Request<Upload>, has_key: bool) -> Self {
        let is_whole = matches!(request.body(), Upload::Whole(_));
        let is_safe = retry::is_safe(request.method()) && http_body::Body::is_end_stream(request.body());
        Self { is_repeatable: is_whole && (has_key || is_safe), request: Some(request) }
    }

    /// The request to send: a copy if it may be sent twice, else itself.
    fn next(&mut self) -> Option<Request<Upload>> {
        if self.is_repeatable { copy(self.request.as_ref()?) } else { self.request.take() }
    }

    /// Gives back a request that was not sent after all.
    fn put_back(&mut self, request: Request<Upload>) {
        self.request.get_or_insert(request);
    }

    /// Tells the worker how often it has been tried, once there was more than one attempt.
    fn number(&mut self, attempt: u32) {
        if let Some(request) = &mut self.request {
            request.headers_mut().insert(headers::ATTEMPT, HeaderValue::from(attempt));
        }
    }

    fn is_left(&self) -> bool {
        self.request.is_some()
    }
}

fn copy(request: &Request<Upload>) -> Option<Request<Upload>> {
    let mut copy = Request::new(request.body().copy()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Sends a request to a worker of the app and returns the head of its response.
///
/// Cancellation safe: the claim and the connection end with it.
///
/// # Errors
/// With the last attempt's fault, or the reason why no worker could be claimed.
pub(crate) async fn forward(
    peer: &Peer,
    app: &Arc<App>,
    mut outgoing: Outgoing,
    record: &mut Record,
) -> Result<(Response<Incoming>, Carriage), Fault> {
    let (mut tries, mut avoid) = (Tries::default(), Vec::new());
    app.budget.count(std::time::Instant::now());
    let mut lease = claim(app, &avoid).await?;
    loop {
        record.attempt(&lease, tries.attempts());
        let fault = match attempt(peer, app, &lease, &mut outgoing, tries).await {
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
            lease = claim(app, &avoid).await.map_err(|refused| if refused == Fault::Down { fault } else { refused })?;
        }
    }
}

/// Claims an endpoint; waits for one if need be and allowed.
async fn claim(app: &App, avoid: &[Serial]) -> Result<Lease<Wire>, Fault> {
    match app.upstream.try_claim(avoid) {
        Some(lease) => Ok(lease),
        None => Box::pin(hold(app, avoid)).await,
    }
}

async fn hold(app: &App, avoid: &[Serial]) -> Result<Lease<Wire>, Fault> {
    let mut claim = pin!(app.upstream.claim(avoid));
    // What is decided at once was not held.
    let at_once = poll_fn(|cx| match claim.as_mut().poll(cx) {
        Poll::Ready(decided) => Poll::Ready(Some(decided)),
        Poll::Pending => Poll::Ready(None),
    });
    let claimed = match at_once.await {
        Some(Err(Refused::Full)) => {
            app.metrics.hold().end(HoldEnd::Overflow);
            Err(Refused::Full)
        }
        Some(decided) => decided,
        None => {
            let held = app.metrics.hold();
            let claimed = claim.await;
            held.end(hold_end(&claimed));
            claimed
        }
    };
    claimed.map_err(|refused| match refused {
        Refused::Down => Fault::Down,
        Refused::Full => Fault::HoldFull,
        Refused::TimedOut => Fault::HoldTimeout,
    })
}

fn hold_end(claimed: &Result<Lease<Wire>, Refused>) -> HoldEnd {
    match claimed {
        Ok(_) => HoldEnd::Served,
        Err(Refused::Full) => HoldEnd::Overflow,
        Err(Refused::TimedOut) => HoldEnd::Timeout,
        Err(Refused::Down) => HoldEnd::Gone,
    }
}

/// One attempt under a lease.
async fn attempt(
    peer: &Peer,
    app: &App,
    lease: &Lease<Wire>,
    outgoing: &mut Outgoing,
    tries: Tries,
) -> Result<(Response<Incoming>, Wire), Fault> {
    let reused = if tries.may_reuse() { idle_wire(lease, peer.thread) } else { None };
    let mut wire = match reused {
        Some(wire) => wire,
        None => Box::pin(Wire::connect(&lease.address, app.connect_timeout)).await.map_err(|_| Fault::Connect)?,
    };
    if lease.is_drained() {
        peer.proxy.metrics.invariants().dispatch_after_quiesce.inc();
    }
    let request = outgoing.next().ok_or(Fault::Unsent)?;
    match wire.send(request, app.response_timeout, Instant::now()).await {
        Ok(response) => Ok((response, wire)),
        Err(failure) => {
            if let Some(request) = failure.unsent {
                outgoing.put_back(*request);
            }
            Err(failure.fault)
        }
    }
}

/// The connection given back last that still works, as far as is known.
fn idle_wire(lease: &Lease<Wire>, thread: usize) -> Option<Wire> {
    let now = std::time::Instant::now();
    // At most as many turns as there are idle connections.
    loop {
        let wire = lease.take_idle(thread, now)?;
        if wire.is_idle() {
            return Some(wire);
        }
    }
}

/// The rule under which there may be another attempt, granted and counted.
fn another(app: &App, outgoing: &Outgoing, fault: Fault, tries: Tries) -> Option<RetryRule> {
    let rule = retry::decide(fault.row().class, outgoing.is_repeatable, tries)?;
    let is_granted = outgoing.is_left() && app.budget.try_retry(std::time::Instant::now());
    is_granted.then(|| {
        app.metrics.retry(rule);
        rule
    })
}
