//! One request, start to end: read this page first.
//!
//! It says in which order things happen and leaves each of them to the file that owns it; the request travels down those
//! files and nothing calls back up. Invariant: the snapshot is looked at once, so an exchange is carried out under one set
//! of routes and limits, whatever is published meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use super::body::{self, Body, Carriage};
use super::crowd::Deed;
use super::fault::Fault;
use super::forward;
use super::headers::{self, Framing};
use super::outgoing::Outgoing;
use super::pace::Pace;
use super::peer::Peer;
use super::policy::{self, Checked, Trace, answer};
use super::pulse::Turn;
use super::record::Record;
use super::request_head::{self, ClientLines, REQUEST_START, Start, Vouched};
use super::retry;
use super::tunnel;
use super::upload::{self, Streamed, Upload};
use super::versions::Client;
use super::wire::WorkerRequest;
use super::world::{App, World};
use crate::telemetry::exchange_metrics::Cut;

/// A request that was let in: whom it is for, and what is to be sent. It is large, and so it is held as a pointer.
struct Prepared {
    app: Arc<App>,
    outgoing: Outgoing,
    /// If it asks for a tunnel.
    upgrade: Option<Box<Upgrade>>,
    awaits: Awaits,
    client: Client,
}

/// A request to become a tunnel.
struct Upgrade {
    /// The client's side, once it is one.
    client: OnUpgrade,
    /// What its worker has to say for it.
    proof: HeaderValue,
}

/// What of its body has to be here before a request is sent.
#[derive(Clone, Copy)]
enum Awaits {
    Nothing,
    /// A short body: its sender has said that it may be handled twice.
    Body,
    /// The end of a body that is to have no byte. Over HTTP/2 some may come all the same, and then it was no request.
    End,
}

/// Answers one request, and always has an answer. Dropping the future ends the exchange: its client has gone.
///
/// What needs no waiting is done before the future is made. A connection keeps room for the future as long as it lives, and
/// the request, which is large, need not be in it. What is in it is passed on by reference: each future that took it would
/// have room of its own for it, and all of that is copied when the library puts this one in its place.
pub(crate) fn handle(
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send {
    let version = request.version();
    let mut record = Record::begin(&peer, &request);
    let has_body = !request.body().is_end_stream();
    let mut prepared = prepare(&peer, request, &mut record);
    if has_body && prepared.is_err() {
        // Nobody will read it, and it may still be on its way.
        peer.pulse.leave_unread();
    }
    async move {
        let answered = match &mut prepared {
            Ok(prepared) => attempt(&peer, prepared, &mut record).await,
            Err(fault) => Err(*fault),
        };
        let is_last = answered.as_ref().is_err_and(|fault| fault.ends_connection());
        let mut response = match (prepared, answered) {
            (Ok(prepared), Ok(carriage)) => prepared.into_response(&peer, carriage, record),
            (_, Err(fault)) | (Err(fault), _) => record.finish_with(fault),
        };
        if version == Version::HTTP_2 {
            // From now on it is the client's turn.
            peer.pulse.note_turn(Turn::Client);
        }
        let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if version != Version::HTTP_2 && (is_last || peer.proxy.is_retiring()) && !is_tunnel {
            // The last one on this connection. The client is told, and so loses nothing when the connection closes.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

/// Looks at the snapshot, once: may the request come in, and whom is it for? Then makes it fit for the worker.
fn prepare(peer: &Arc<Peer>, mut request: Request<Incoming>, record: &mut Record) -> Result<Box<Prepared>, Fault> {
    let world = peer.proxy.world.load();
    let mut checked = policy::check(&request, peer.address.ip(), &world)?;
    let app = Arc::clone(admit(peer, &request, &checked, &world)?);
    checked.wants_start = app.tells_start;
    let pace = Pace::new(world.limits.body_idle, world.limits.body_rate);
    let bounds = upload::Bounds { bytes: app.body_bytes, pace };
    record.route(&app);
    if let Some(identity) = &checked.identity {
        record.identify(identity);
    }
    let upgrade = |proof| Box::new(Upgrade { client: hyper::upgrade::on(&mut request), proof });
    let upgrade = checked.websocket.clone().map(upgrade);
    let has_key = app.retries_by_key && request.headers().contains_key(headers::IDEMPOTENCY_KEY);
    let awaits = match checked.framing {
        Framing::Length(0) if !request.body().is_end_stream() => Awaits::End,
        _ if has_key => Awaits::Body,
        _ => Awaits::Nothing,
    };
    let client = checked.identity.as_ref().map(|said| said.client());
    let side = app.versions.as_ref().map_or_else(Client::default, |versions| {
        let is_https = checked.identity.as_ref().and_then(|said| said.is_https).unwrap_or(peer.is_tls);
        versions.client(client.unwrap_or(peer.address.ip()), request.headers(), is_https)
    });
    let is_safe = retry::is_safe(request.method());
    let outgoing = Outgoing::new(toward_worker(peer, &checked, bounds, request, record), is_safe, client);
    Ok(Box::new(Prepared { app, outgoing, upgrade, awaits, client: side }))
}

/// Has a worker answer. The head of its response is with the request then, and what is held of it until the last byte is
/// returned.
async fn attempt(peer: &Peer, prepared: &mut Prepared, record: &mut Record) -> Result<Carriage, Fault> {
    let Prepared { app, outgoing, upgrade, awaits, client } = prepared;
    if app.maintenance.is_some() {
        return Err(Fault::Maintenance);
    }
    match awaits {
        Awaits::Nothing => {}
        Awaits::Body => Box::pin(outgoing.take_body()).await?,
        Awaits::End => Box::pin(outgoing.take_end()).await?,
    }
    let (survey, mut carriage) = forward::forward(peer, app, outgoing, client.span, record).await?;
    let response = outgoing.response();
    let proof = upgrade.as_ref().map(|upgrade| &upgrade.proof);
    answer::check(response, survey, proof).inspect_err(|fault| record.blame(&carriage.lease, *fault))?;
    let is_204 = response.status() == StatusCode::NO_CONTENT;
    if let Some(keep) = headers::toward_client(response.headers_mut(), survey, is_204, record.id()) {
        carriage.keep = keep;
    }
    if let Some(versions) = &app.versions {
        versions.mark(response.headers_mut(), *client, carriage.lease.generation);
    }
    if response.version() == Version::HTTP_10 {
        // The next request on the connection would be written as HTTP/1.0, and lose a body of unknown length.
        carriage.keep = Duration::ZERO;
    }
    Ok(carriage)
}

/// Whom a request is for that has been checked.
fn admit<'a>(
    peer: &Peer,
    request: &Request<Incoming>,
    checked: &Checked,
    world: &'a World,
) -> Result<&'a Arc<App>, Fault> {
    if let Some(rate) = world.limits.crowd.requests_per_ip {
        let client = checked.identity.as_ref().map_or(peer.address.ip(), |said| said.client());
        if !world.is_exempt(client)
            && !peer.proxy.door.crowd.admits(client, Deed::Request, rate, Instant::now().into_std())
        {
            peer.proxy.metrics.cut(Cut::RequestsPerIp);
            return Err(Fault::Often);
        }
    }
    if peer.is_misdirected(&checked.host) {
        return Err(Fault::Misdirected);
    }
    let (host, path) = (checked.host.name_bytes(), checked.path(request.uri()));
    let app = world.find(peer.listener, host, path).ok_or(Fault::NoRoute)?;
    if let (Framing::Length(length), Some(most)) = (checked.framing, app.body_bytes)
        && length > most
    {
        return Err(Fault::LargeBody);
    }
    Ok(app)
}

/// The request as the worker is to see it.
fn toward_worker(
    peer: &Arc<Peer>,
    checked: &Checked,
    bounds: upload::Bounds,
    request: Request<Incoming>,
    record: &mut Record,
) -> WorkerRequest {
    let head = head(peer, checked, &request, record.id());
    let (is_head, is_http2) = (*request.method() == Method::HEAD, request.version() == Version::HTTP_2);
    let (parts, incoming) = request.into_parts();
    // The map of the request's fields has room for those of the answer.
    let mut response = Response::new(());
    *response.headers_mut() = parts.headers;
    response.headers_mut().clear();
    let body = match checked.framing {
        Framing::Empty => Upload::none(),
        Framing::Length(0) if incoming.is_end_stream() => Upload::none(),
        Framing::Length(_) | Framing::Chunked => {
            let streamed = Streamed::new(incoming, is_http2, bounds, peer);
            record.upload(streamed.progress());
            Upload::Streamed(Box::new(streamed))
        }
    };
    WorkerRequest { head, is_head, framing: checked.framing, body, response }
}

/// Its head, with what we say of the client: what we see, or what fronts say that we trust.
fn head(peer: &Peer, checked: &Checked, request: &Request<Incoming>, id: &HeaderValue) -> Vec<u8> {
    let (said, host) = (checked.identity.as_ref(), checked.host.value());
    let forwarded_host = said.and_then(|said| said.host.as_ref()).unwrap_or(host);
    let is_https = said.and_then(|said| said.is_https).unwrap_or(peer.is_tls);
    let from_front = said.map(|said| ClientLines::new(&said.forwarded_for(), &said.client().to_string(), is_https));
    let is_ours = said.is_none_or(|said| said.id.is_none());
    let forwarded = || {
        let own = [peer.address.ip()];
        policy::forwarded(said.map_or(&own[..], |said| &said.chain), is_https, forwarded_host)
    };
    let vouched = Vouched {
        host,
        client: from_front.as_ref().unwrap_or(&peer.lines),
        forwarded_host,
        forwarded: if checked.wants_forwarded { forwarded() } else { None },
        id,
        trace: Trace::of(request.headers(), checked.survey, checked.starts_trace, id, is_ours),
        start: start(checked, request),
        framing: checked.framing,
        is_websocket: checked.websocket.is_some(),
        refused: &checked.refused,
    };
    let target = checked.target(request.uri());
    request_head::write(request.method(), target, request.headers(), checked.survey, &vouched)
}

/// When it came in: as it is, and not when it is sent, for in between it may be held.
fn start(checked: &Checked, request: &Request<Incoming>) -> Start {
    match checked.wants_start {
        _ if checked.identity.is_some() && request.headers().contains_key(REQUEST_START) => Start::Said,
        true => Start::At(SystemTime::now()),
        false => Start::Untold,
    }
}

impl Prepared {
    fn into_response(self: Box<Self>, peer: &Peer, carriage: Carriage, mut record: Box<Record>) -> Response<Body> {
        let Self { outgoing, upgrade, .. } = *self;
        let response = outgoing.into_response();
        let status = response.status();
        record.answer(status.as_u16());
        if status.is_server_error() {
            carriage.lease.note_error();
        }
        match upgrade {
            Some(upgrade) if status == StatusCode::SWITCHING_PROTOCOLS => {
                tunnel::open(peer, upgrade.client, response, carriage, record)
            }
            _ => body::finish_with(peer, response, carriage, record),
        }
    }
}
