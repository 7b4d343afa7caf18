//! A request on its way to a worker, which may have to be sent again.
//!
//! Pure. Does not know workers, nor when a request may be sent again. Sending leaves a request as it is, but for a body that is
//! still coming; so what may be handled twice needs no copy. Invariant: what is sent again is what was sent before.

use std::net::IpAddr;

use http::Request;
use http::header::HeaderValue;
use http_body::Body as _;

use super::fault::Fault;
use super::headers;
use super::retry;
use super::upload::Upload;

/// A request on its way.
pub(crate) struct Outgoing {
    request: Box<Request<Upload>>,
    is_repeatable: bool,
    /// Can it be sent?
    is_left: bool,
    /// Whom trusted fronts say it is from; `None`: from our peer.
    client: Option<IpAddr>,
}

impl Outgoing {
    /// A request that may be sent again if it is safe by its method and has no body.
    pub(crate) fn new(request: Request<Upload>, client: Option<IpAddr>) -> Self {
        let is_repeatable = retry::is_safe(request.method()) && request.body().is_end_stream();
        Self { request: Box::new(request), is_repeatable, is_left: true, client }
    }

    /// The same request, whose sender has said that it may be handled twice: a short body is read now and kept.
    ///
    /// # Errors
    /// When the body does not come.
    pub(crate) async fn with_body(self) -> Result<Self, Fault> {
        let (head, body) = self.request.into_parts();
        let body = body.whole().await?;
        let is_repeatable = matches!(body, Upload::Whole(_));
        let request = Box::new(Request::from_parts(head, body));
        Ok(Self { request, is_repeatable, is_left: true, client: self.client })
    }

    /// The same request, once its body has ended without a byte.
    ///
    /// # Errors
    /// When it does not end, or has bytes.
    pub(crate) async fn once_ended(self) -> Result<Self, Fault> {
        let (head, body) = self.request.into_parts();
        body.whole().await?;
        Ok(Self { request: Box::new(Request::from_parts(head, Upload::none())), ..self })
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
        self.is_left
    }

    /// It will be tried for the so many-th time. From the second time on the worker is told.
    pub(crate) fn number(&mut self, attempt: u32) {
        if attempt > 1 {
            self.request.headers_mut().insert(headers::ATTEMPT, HeaderValue::from(attempt));
        }
    }

    /// The request to send.
    pub(crate) fn next(&mut self) -> Option<&mut Request<Upload>> {
        let is_left = std::mem::replace(&mut self.is_left, self.is_repeatable);
        is_left.then_some(&mut *self.request)
    }

    /// The request was not sent after all.
    pub(crate) fn put_back(&mut self) {
        self.is_left = true;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method, Uri};

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
        assert_eq!(parts(first), parts(&request(Method::GET, "")));
        let mut expected = request(Method::GET, "");
        for attempt in [2, 3] {
            expected.headers_mut().insert(headers::ATTEMPT, HeaderValue::from(attempt));
            assert!(outgoing.is_left());
            outgoing.number(attempt);
            assert_eq!(parts(outgoing.next().unwrap()), parts(&expected));
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
        assert!(outgoing.next().is_some() && !outgoing.is_left());
        outgoing.put_back();
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
