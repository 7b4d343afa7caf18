//! What is noted of one exchange from its head to its last byte, and then counted, logged and reported.
//!
//! Does not know how an exchange is carried out. Invariants: each exchange is counted once, whichever way it ends, because
//! that happens when its record is dropped; one that is dropped without a word has lost its client. The access line is put
//! together only when there is a log.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Version};
use tokio::time::Instant;

use super::body::Body;
use super::fault::{Fault, Side};
use super::headers;
use super::peer::Peer;
use super::policy::{Identity, write_digits};
use super::pulse::Pulse;
use super::upload::Progress;
use super::wire::Wire;
use super::world::App;
use crate::id::{Generation, Slot};
use crate::link::FromProxy;
use crate::telemetry::access::{self, AccessLog, Asked};
use crate::telemetry::exchange_metrics::Raised;
use crate::upstream::Lease;

/// What is known of an exchange so far. It goes from hand to hand, and so it is held as a pointer.
pub(crate) struct Record {
    peer: Arc<Peer>,
    started: Instant,
    /// The exchange's name, as headers carry it.
    id: HeaderValue,
    noted: Option<Noted>,
    is_head: bool,
    app: Option<(Arc<App>, Raised)>,
    served: Served,
    upload: Option<Arc<Progress>>,
    sent: u64,
    /// What the client was told; `None`: nothing so far.
    status: Option<u16>,
    fault: Option<Fault>,
    ended: Option<Instant>,
}

/// What is kept of a request for its access line.
struct Noted {
    /// `None`: the peer.
    client: Option<Box<str>>,
    time: SystemTime,
    asked: Asked,
}

/// Who answered, and after which trouble.
#[derive(Default)]
struct Served {
    worker: Option<(Generation, Slot)>,
    attempts: u32,
    queued: Duration,
}

impl Record {
    /// An exchange begins: its head has been read.
    pub(crate) fn begin<B>(peer: &Arc<Peer>, request: &Request<B>) -> Box<Self> {
        peer.pulse.begin();
        if peer.is_http2 {
            peer.pulse.conduct().begin();
        }
        Box::new(Self {
            peer: Arc::clone(peer),
            started: Instant::now(),
            id: random_id(),
            noted: peer.proxy.access.as_ref().map(|log| Noted::of(log, request)),
            is_head: *request.method() == Method::HEAD,
            app: None,
            served: Served::default(),
            upload: None,
            sent: 0,
            status: None,
            fault: Some(Fault::ClientGone),
            ended: None,
        })
    }

    /// When the exchange began.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The exchange's name as a header carries it.
    pub(crate) fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// Fronts that are trusted say whom it is from, and maybe by which name they know it.
    pub(crate) fn identify(&mut self, said: &Identity) {
        if let Some(noted) = &mut self.noted {
            noted.client = Some(said.client().to_string().into());
        }
        if let Some(id) = &said.id {
            self.id = id.clone();
            self.id.set_sensitive(true);
        }
    }

    /// Is it one of many on its connection?
    pub(crate) fn is_http2(&self) -> bool {
        self.peer.is_http2
    }

    /// What its connection is doing.
    pub(crate) fn pulse(&self) -> &Arc<Pulse> {
        &self.peer.pulse
    }

    /// The thread it is on.
    pub(crate) fn thread(&self) -> usize {
        self.peer.thread
    }

    /// The request is for this app.
    pub(crate) fn route(&mut self, app: &Arc<App>) {
        self.app = Some((Arc::clone(app), app.metrics.begin()));
    }

    /// The app that it is for, once that is known.
    pub(crate) fn app(&self) -> Option<&Arc<App>> {
        self.app.as_ref().map(|(app, _)| app)
    }

    /// The request has a body.
    pub(crate) fn upload(&mut self, progress: &Arc<Progress>) {
        self.upload = Some(Arc::clone(progress));
    }

    /// It is about to be sent to a worker, for the so many-th time.
    pub(crate) fn attempt(&mut self, lease: &Lease<Wire>, number: u32, now: Instant) {
        if let (1, Some((app, _))) = (number, &self.app) {
            if now != self.started {
                self.served.queued = now.saturating_duration_since(self.started);
            }
            app.metrics.claimed(self.served.queued);
            app.budget.count(now.into_std());
        }
        self.served.attempts = number;
        self.served.worker = Some((lease.generation, lease.slot));
    }

    /// A worker failed it: counts that and tells the supervisor. What the client did wrong is not the worker's fault.
    pub(crate) fn blame(&self, lease: &Lease<Wire>, fault: Fault) {
        let (Some((app, _)), row) = (&self.app, fault.row()) else { return };
        let Side::Worker(kind) = row.side else { return };
        app.metrics.upstream_fault(row.label);
        lease.note_failure();
        if lease.is_closed() && !lease.gone().is_cancelled() && matches!(fault, Fault::Silent | Fault::Cut) {
            self.peer.proxy.metrics.invariants().upstream_reset_stopping.inc();
        }
        self.peer.proxy.tell(FromProxy::Fault { app: app.name.clone(), serial: lease.serial, kind });
    }

    /// The client is told this status.
    pub(crate) fn answer(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// So many bytes of body went to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The exchange has ended well.
    pub(crate) fn finish(mut self: Box<Self>, now: Instant) {
        self.fault = None;
        self.ended = Some(now);
    }

    /// The exchange has ended, for this reason.
    pub(crate) fn fail(mut self: Box<Self>, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Ends the exchange with the answer that belongs to a fault.
    pub(crate) fn finish_with(mut self: Box<Self>, fault: Fault) -> Response<Body> {
        let row = fault.row();
        let mut response = Response::new(Body::none());
        *response.status_mut() = fault.status();
        let fields = response.headers_mut();
        fields.insert(headers::REQUEST_ID, self.id.clone());
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(seconds) = row.retry_after {
            fields.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if fault == Fault::Method {
            let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
            fields.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        let page = self.app.as_ref().and_then(|(app, _)| app.maintenance.clone());
        let text = match page.filter(|_| fault == Fault::Maintenance) {
            Some(page) => {
                let kind = HeaderValue::from_static("text/html; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                page
            }
            None => Bytes::from_static(row.text.as_bytes()),
        };
        if !self.is_head {
            self.sent = text.len() as u64;
            *response.body_mut() = Body::Text(text);
        }
        self.status = Some(row.status);
        self.fail(fault);
        response
    }

    fn log(&self, took: Duration) {
        let (Some(log), Some(noted)) = (&self.peer.proxy.access, &self.noted) else { return };
        let client = noted.client.as_ref().map_or(self.peer.lines.address(), |client| client.as_bytes());
        let line = access::Line {
            time: noted.time,
            client: access::Client { address: client, tls: self.peer.is_tls },
            id: self.id.as_bytes(),
            service: access::Service {
                app: self.app.as_ref().map(|(app, _)| &app.name),
                worker: self.served.worker,
                attempts: self.served.attempts,
                queued: self.served.queued,
            },
            status: self.status(),
            received: self.upload.as_ref().map_or(0, |progress| progress.received()),
            sent: self.sent,
            took,
            fault: self.fault.map(|fault| fault.row().label),
        };
        log.write(&noted.asked, &line);
    }

    fn status(&self) -> u16 {
        self.status.unwrap_or_else(|| self.fault.unwrap_or(Fault::ClientGone).row().status)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = self.ended.unwrap_or_else(Instant::now);
        let took = now.saturating_duration_since(self.started);
        if self.fault == Some(Fault::ClientGone) && self.peer.proxy.is_over() {
            self.fault = Some(Fault::Retired);
        }
        self.peer.pulse.end(now);
        if self.peer.is_http2 {
            self.peer.pulse.conduct().end(self.status.is_none());
        }
        let metrics = self.app.as_ref().map_or(&self.peer.proxy.no_app, |(app, _)| &app.metrics);
        metrics.finish(self.status(), took);
        // A maintenance is no failure: it was asked for.
        if self.fault.is_some_and(|fault| fault.row().side != Side::Client && fault != Fault::Maintenance) {
            metrics.fail();
        }
        self.log(took);
    }
}

/// 128 random bits as hexadecimal digits.
pub(crate) fn random_id() -> HeaderValue {
    let mut digits = [0; 32];
    write_digits(fastrand::u128(..).to_be_bytes(), &mut digits);
    let mut id = HeaderValue::from_bytes(&digits).expect("hexadecimal digits are a valid field value");
    // Keeps it out of HPACK's table (RFC 7541, section 7.1.3), where it would push out what does come again.
    id.set_sensitive(true);
    id
}

impl Noted {
    fn of<B>(log: &AccessLog, request: &Request<B>) -> Self {
        Self { client: None, time: SystemTime::now(), asked: log.asked(&said(request)) }
    }
}

/// What the access line says of a request. Of a field that is there twice it is the first one.
fn said<B>(request: &Request<B>) -> access::Request<'_> {
    let (mut host, mut referer, mut user_agent) = (None, None, None);
    for (name, value) in request.headers() {
        let field = match *name {
            header::HOST => &mut host,
            header::REFERER => &mut referer,
            header::USER_AGENT => &mut user_agent,
            _ => continue,
        };
        field.get_or_insert(value.as_bytes());
    }
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    access::Request {
        method: request.method().as_str(),
        host: authority.or(host).unwrap_or_default(),
        path: request.uri().path_and_query().map_or("", http::uri::PathAndQuery::as_str),
        protocol: match request.version() {
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        },
        referer,
        user_agent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_32_digits_and_is_new_each_time() {
        let ids: std::collections::HashSet<_> = (0..100).map(|_| random_id().to_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 100);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|digit| b"0123456789abcdef".contains(&digit))));
    }
}
