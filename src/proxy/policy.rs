//! Which requests are let in, and what they say once the ways of saying it are taken apart.
//!
//! Pure. Does not know apps or workers. Invariants: an accepted request names one host, and names it in one form, whether
//! in its target, its `Host` or its `:authority`; it has one path, which is routed and forwarded; and it says in one way how its
//! body ends.

pub(crate) mod answer;
mod identity;
mod names;
mod target;
mod trace;
mod websocket;

use std::net::IpAddr;

use http::header::{self, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};
use http_body::Body;

use super::fault::Fault;
use super::headers::{Framing, Survey};
use super::host::Host;
use super::world::World;

pub(crate) use identity::{Clients, Identity, forwarded};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use target::canonical;
pub(crate) use trace::{Trace, write_digits};

/// What an accepted request says.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) host: Host,
    /// Path and query; `None`: those of the request.
    target: Option<PathAndQuery>,
    pub(crate) survey: Survey,
    pub(crate) framing: Framing,
    /// If it asks to become a WebSocket: the proof that a worker has to give for that.
    pub(crate) websocket: Option<HeaderValue>,
    /// What trusted fronts say of it; `None`: our peer is its client.
    pub(crate) identity: Option<Box<Identity>>,
    /// Do workers get `Forwarded`?
    pub(crate) wants_forwarded: bool,
    /// Does a trace begin here, if it has not begun before?
    pub(crate) starts_trace: bool,
    /// Are workers told when it came in? Known once it is known whom it is for.
    pub(crate) wants_start: bool,
    /// Fields that go no further.
    pub(crate) refused: Vec<HeaderName>,
}

/// Looks a request over that has come from this peer.
///
/// # Errors
/// With the fault that its client is to be told.
pub(crate) fn check<B: Body>(request: &Request<B>, peer: IpAddr, world: &World) -> Result<Checked, Fault> {
    let World { limits, clients, .. } = world;
    check_method(request.method())?;
    if request.headers().len() > limits.header_count as usize {
        return Err(Fault::ManyHeaders);
    }
    let survey = Survey::of(request.headers(), names::is_doubtful);
    if survey.is_padded {
        return Err(Fault::Padding);
    }
    check_target(request)?;
    let target = target::canonical(request.uri())?;
    let host = host(request, survey)?;
    check_expectation(request, survey)?;
    check_coding(request, survey)?;
    let framing = framing(request);
    let may_upgrade =
        *request.method() == Method::GET && request.version() == Version::HTTP_11 && framing == Framing::Empty;
    let wants = may_upgrade && survey.wants_websocket(request.headers());
    let websocket = if wants { websocket::proof(request.headers()) } else { None };
    let identity = Identity::of(request.headers(), peer, clients).map(Box::new);
    let refused = if survey.is_doubtful {
        names::refused(request.headers(), &clients.allowed, identity.is_some())
    } else {
        Vec::new()
    };
    let (wants_forwarded, starts_trace) = (clients.forwarded, clients.starts_traces);
    Ok(Checked {
        host,
        target,
        survey,
        framing,
        websocket,
        identity,
        wants_forwarded,
        starts_trace,
        wants_start: false,
        refused,
    })
}

impl Checked {
    /// The path that is routed.
    pub(crate) fn path<'a>(&'a self, uri: &'a Uri) -> &'a str {
        self.target.as_ref().map_or_else(|| uri.path(), PathAndQuery::path)
    }

    /// The target for the worker, without scheme and authority: what a server that is no proxy is sent (RFC 9112, section
    /// 3.2.1). Of a path that is a fragment only, nothing is left but the slash.
    pub(crate) fn target<'a>(&'a self, uri: &'a Uri) -> &'a str {
        self.target.as_ref().or(uri.path_and_query()).map_or("/", PathAndQuery::as_str)
    }
}

/// Longest name of a method, in bytes: none in use has half of it.
const MOST_IN_METHOD: usize = 32;

/// `CONNECT` and `TRACE` are for proxies and debuggers. Any other name in the form that all have is the app's matter; in
/// another form it may be another method to the worker, as `get` is to many (RFC 9110, section 9.1).
fn check_method(method: &Method) -> Result<(), Fault> {
    if matches!(*method, Method::GET | Method::HEAD | Method::POST) {
        return Ok(());
    }
    let name = method.as_str();
    let is_usual = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    match *method {
        Method::CONNECT | Method::TRACE => Err(Fault::Method),
        _ if name.len() > MOST_IN_METHOD || !name.bytes().all(is_usual) => Err(Fault::MethodName),
        _ => Ok(()),
    }
}

/// A path, or `*` for `OPTIONS`; with a scheme only one of those that are served.
fn check_target<B>(request: &Request<B>) -> Result<(), Fault> {
    let uri = request.uri();
    let is_path = uri.path().starts_with('/') || (uri.path() == "*" && *request.method() == Method::OPTIONS);
    let is_served = match uri.scheme() {
        Some(scheme) => *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS,
        None => uri.authority().is_none(),
    };
    if is_path && is_served { Ok(()) } else { Err(Fault::Target) }
}

/// The one host of a request. Target and field must agree (RFC 9113, section 8.3.1; stricter than RFC 9112, section 3.2.2,
/// because a worker, or a cache before us, may go by the other one), and HTTP/1.1 has the field always (section 3.2).
fn host<B>(request: &Request<B>, survey: Survey) -> Result<Host, Fault> {
    if survey.hosts > 1 {
        return Err(Fault::Host);
    }
    let field = request.headers().get(header::HOST).map(|host| Host::parse(host).ok_or(Fault::Host)).transpose()?;
    let Some(authority) = request.uri().authority() else { return field.ok_or(Fault::Host) };
    let authority = HeaderValue::from_str(authority.as_str()).ok();
    let target = authority.and_then(|authority| Host::parse(&authority)).ok_or(Fault::Host)?;
    let agrees = match field {
        Some(field) => field == target,
        None => request.version() != Version::HTTP_11,
    };
    if agrees { Ok(target) } else { Err(Fault::Host) }
}

fn check_expectation<B>(request: &Request<B>, survey: Survey) -> Result<(), Fault> {
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !survey.has_expect() || request.headers().get_all(header::EXPECT).iter().all(is_known) {
        Ok(())
    } else {
        Err(Fault::Expectation)
    }
}

/// The transfer coding, where one is named, is `chunked` and nothing else: named twice or in a list, it has been read in
/// more than one way.
fn check_coding<B>(request: &Request<B>, survey: Survey) -> Result<(), Fault> {
    if !survey.has_coding() {
        return Ok(());
    }
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if is_chunked && codings.next().is_none() { Ok(()) } else { Err(Fault::Coding) }
}

/// How the body ends. A request that usually has a body and has none says so, as HTTP/2 clients need not.
fn framing<B: Body>(request: &Request<B>) -> Framing {
    let usually_has_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    match (request.body().is_end_stream(), request.body().size_hint().exact()) {
        (true, _) if usually_has_body => Framing::Length(0),
        (true, _) => Framing::Empty,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Chunked,
    }
}

#[cfg(test)]
mod tests;
