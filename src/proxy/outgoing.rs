//! A request on its way to a worker, with what is needed to send it again.
//!
//! Pure. Does not know workers, nor when a request may be sent again. The copy that is kept of a head is its text: that is
//! cheap to make, which is done for nearly every request, and dear to read, which is done for hardly any. Invariant: what is
//! sent again is what was sent before.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body::Body as _;

use super::fault::Fault;
use super::headers;
use super::retry;
use super::upload::Upload;

/// A request on its way.
pub(crate) struct Outgoing {
    /// `None` while it is being sent, and once that was for good.
    request: Option<Box<Request<Upload>>>,
    is_repeatable: bool,
    kept: Option<Kept>,
    attempt: u32,
    /// Whom trusted fronts say it is from; `None`: from our peer.
    client: Option<IpAddr>,
}

/// A copy of a request.
struct Kept {
    method: Method,
    uri: Uri,
    /// Lines of name, colon and value: a name has no colon, a value no line feed (RFC 9110, sections 5.1 and 5.5).
    fields: Vec<u8>,
    body: Bytes,
}

impl Outgoing {
    /// A request that may be sent again if it is safe by its method and has no body.
    pub(crate) fn new(request: Request<Upload>, client: Option<IpAddr>) -> Self {
        let is_repeatable = retry::is_safe(request.method()) && request.body().is_end_stream();
        Self { request: Some(Box::new(request)), is_repeatable, kept: None, attempt: 1, client }
    }

    /// The same request, whose sender has said that it may be handled twice: a short body is read now and kept.
    ///
    /// # Errors
    /// When the body does not come.
    pub(crate) async fn with_body(mut self) -> Result<Self, Fault> {
        let Some(request) = self.request.take() else { return Ok(self) };
        let (head, body) = request.into_parts();
        let body = body.whole().await?;
        let is_repeatable = matches!(body, Upload::Whole(_));
        let request = Some(Box::new(Request::from_parts(head, body)));
        Ok(Self { request, is_repeatable, ..self })
    }

    /// Whom it is from, if not from our peer.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// May it be handled twice?
    pub(crate) fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// Is there something to send?
    pub(crate) fn is_left(&self) -> bool {
        self.request.is_some() || self.kept.is_some()
    }

    /// It will be tried for the so many-th time. From the second time on the worker is told.
    pub(crate) fn number(&mut self, attempt: u32) {
        self.attempt = attempt;
    }

    /// The request to send.
    pub(crate) fn next(&mut self) -> Option<Box<Request<Upload>>> {
        let mut request = match self.request.take() {
            Some(request) => request,
            None => Box::new(self.kept.take()?.into_request()),
        };
        if self.attempt > 1 {
            request.headers_mut().insert(headers::ATTEMPT, HeaderValue::from(self.attempt));
        }
        if self.is_repeatable {
            self.kept = Kept::of(&request);
        }
        Some(request)
    }

    /// Gives back a request that was not sent after all.
    pub(crate) fn put_back(&mut self, request: Box<Request<Upload>>) {
        self.request = Some(request);
    }
}

impl Kept {
    /// `None` when the body is not all here.
    fn of(request: &Request<Upload>) -> Option<Self> {
        let Upload::Whole(body) = request.body() else { return None };
        let mut fields = Vec::with_capacity(512);
        for (name, value) in request.headers() {
            fields.extend_from_slice(name.as_str().as_bytes());
            fields.push(b':');
            fields.extend_from_slice(value.as_bytes());
            fields.push(b'\n');
        }
        Some(Self { method: request.method().clone(), uri: request.uri().clone(), fields, body: body.clone() })
    }

    fn into_request(self) -> Request<Upload> {
        let mut request = Request::new(Upload::Whole(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = read_fields(&self.fields);
        request
    }
}

fn read_fields(lines: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').expect("every line was written with a colon");
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        fields.append(name.expect("it was a name"), value.expect("it was a value"));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, body: &'static str) -> Request<Upload> {
        Request::builder()
            .method(method)
            .uri("/x?y")
            .header("host", "a:80")
            .header("x-twice", "one")
            .header("x-twice", "two: three")
            .header("x-bytes", HeaderValue::from_bytes(b"\xff\x80 \t").unwrap())
            .header("x-empty", "")
            .body(Upload::Whole(Bytes::from_static(body.as_bytes())))
            .unwrap()
    }

    fn parts(request: &Request<Upload>) -> (&Method, &Uri, &HeaderMap) {
        (request.method(), request.uri(), request.headers())
    }

    #[test]
    fn what_is_sent_again_is_what_was_sent_and_says_so() {
        let mut outgoing = Outgoing::new(request(Method::GET, ""), None);
        let first = outgoing.next().unwrap();
        assert_eq!(parts(&first), parts(&request(Method::GET, "")));
        let mut expected = request(Method::GET, "");
        for attempt in [2, 3] {
            expected.headers_mut().insert(headers::ATTEMPT, HeaderValue::from(attempt));
            assert!(outgoing.is_left());
            outgoing.number(attempt);
            assert_eq!(parts(&outgoing.next().unwrap()), parts(&expected));
        }
    }

    #[test]
    fn nothing_is_kept_of_what_must_not_be_sent_again() {
        for request in [request(Method::POST, ""), request(Method::GET, "body"), request(Method::PUT, "")] {
            let mut outgoing = Outgoing::new(request, None);
            assert!(outgoing.next().is_some());
            assert!(!outgoing.is_left() && outgoing.next().is_none());
        }
    }

    #[test]
    fn what_was_not_sent_after_all_can_be_sent() {
        let mut outgoing = Outgoing::new(request(Method::POST, "once"), None);
        let unsent = outgoing.next().unwrap();
        outgoing.put_back(unsent);
        outgoing.number(2);
        let again = outgoing.next().unwrap();
        assert!(matches!(again.body(), Upload::Whole(body) if body == "once"));
        assert_eq!(again.headers()[headers::ATTEMPT], "2");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_body_that_is_here_is_kept_when_its_sender_allows_it() {
        let mut outgoing = Outgoing::new(request(Method::POST, "twice"), None).with_body().await.unwrap();
        assert!(outgoing.is_repeatable());
        for _ in 0..2 {
            let request = outgoing.next().unwrap();
            assert!(matches!(request.body(), Upload::Whole(body) if body == "twice"));
        }
    }
}
