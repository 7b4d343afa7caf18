//! Which requests are let in, and what they say once the ways of saying it are taken apart.
//!
//! Pure. Does not know apps or workers. Invariants: an accepted request names one host, and names it in one form, whether
//! in its target, its `Host` or its `:authority`; and it says in one way how its body ends.

use http::header::{self, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Uri};
use http_body::Body;

use super::fault::Fault;
use super::headers::{Framing, Survey};
use super::host::Host;
use crate::link::Limits;

/// What an accepted request says.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) host: Host,
    pub(crate) survey: Survey,
    pub(crate) framing: Framing,
    /// Does it ask to become a WebSocket?
    pub(crate) is_websocket: bool,
}

/// Looks a request over.
///
/// # Errors
/// With the fault that its client is to be told.
pub(crate) fn check<B: Body>(request: &Request<B>, limits: &Limits) -> Result<Checked, Fault> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Fault::Method);
    }
    if request.headers().len() > limits.header_count as usize {
        return Err(Fault::ManyHeaders);
    }
    let survey = Survey::of(request.headers());
    check_target(request)?;
    let host = host(request, survey)?;
    check_expectation(request, survey)?;
    check_coding(request, survey)?;
    let framing = framing(request);
    if let (Framing::Length(length), Some(limit)) = (framing, limits.body_bytes)
        && length > limit
    {
        return Err(Fault::LargeBody);
    }
    let may_upgrade =
        *request.method() == Method::GET && request.version() == http::Version::HTTP_11 && framing == Framing::Empty;
    let is_websocket = may_upgrade && survey.wants_websocket(request.headers());
    Ok(Checked { host, survey, framing, is_websocket })
}

/// The target without scheme and authority: what a server that is no proxy is sent (RFC 9112, section 3.2.1).
pub(crate) fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    uri.into_parts().path_and_query.map_or(Uri::from_static("/"), Uri::from)
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
/// because a worker, or a cache before us, may go by the other one).
fn host<B>(request: &Request<B>, survey: Survey) -> Result<Host, Fault> {
    if survey.hosts > 1 {
        return Err(Fault::Host);
    }
    let field = request.headers().get(header::HOST).map(|host| Host::parse(host).ok_or(Fault::Host)).transpose()?;
    let Some(authority) = request.uri().authority() else { return field.ok_or(Fault::Host) };
    let authority = HeaderValue::from_str(authority.as_str()).ok();
    let target = authority.and_then(|authority| Host::parse(&authority)).ok_or(Fault::Host)?;
    if field.is_none_or(|field| field == target) { Ok(target) } else { Err(Fault::Host) }
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
#[path = "policy_tests.rs"]
mod tests;
