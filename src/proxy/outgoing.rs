//! A request on its way to a worker, which may have to be sent again.
//!
//! Pure. Does not know workers, nor when a request may be sent again. Sending leaves a request as it is, but for a body that is
//! still coming; so what may be handled twice needs no copy. Invariant: what is sent again is what was sent before.

use std::mem::replace;
use std::net::IpAddr;

use bytes::Bytes;
use http::Response;
use http_body::Body as _;

use super::fault::Fault;
use super::request_head;
use super::upload::Upload;
use super::wire::WorkerRequest;

/// A request on its way.
pub(crate) struct Outgoing {
    request: WorkerRequest,
    /// Its head without a number, once it has one.
    bare: Option<Vec<u8>>,
    is_repeatable: bool,
    /// Can it be sent?
    is_left: bool,
    /// Whom trusted fronts say it is from; `None`: from our peer.
    client: Option<IpAddr>,
}

impl Outgoing {
    /// A request that may be sent again if it is safe by its method and has no body.
    pub(crate) fn new(request: WorkerRequest, is_safe: bool, client: Option<IpAddr>) -> Self {
        let is_repeatable = is_safe && request.body.is_end_stream();
        Self { request, bare: None, is_repeatable, is_left: true, client }
    }

    /// Its sender has said that it may be handled twice: a short body is read now and kept.
    ///
    /// # Errors
    /// When the body does not come.
    pub(crate) async fn take_body(&mut self) -> Result<(), Fault> {
        self.request.body = replace(&mut self.request.body, Upload::none()).whole().await?;
        self.is_repeatable = matches!(self.request.body, Upload::Whole(_));
        Ok(())
    }

    /// Waits for the end of a body without a byte.
    ///
    /// # Errors
    /// When it does not end, or has bytes.
    pub(crate) async fn take_end(&mut self) -> Result<(), Fault> {
        replace(&mut self.request.body, Upload::none()).whole().await.map(drop)
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
            let bare = self.bare.get_or_insert_with(|| self.request.head.clone());
            self.request.head = request_head::numbered(bare, attempt);
        }
    }

    /// The request to send.
    pub(crate) fn next(&mut self) -> Option<&mut WorkerRequest> {
        let is_left = replace(&mut self.is_left, self.is_repeatable);
        is_left.then_some(&mut self.request)
    }

    /// The request was sent, and nobody has read it; with what was taken of its body. Says whether it is whole.
    pub(crate) fn restore(&mut self, body: Option<Bytes>) -> bool {
        match body {
            Some(body) => self.request.body = Upload::Whole(body),
            None if matches!(self.request.body, Upload::Whole(_)) => {}
            None => return false,
        }
        self.is_left = true;
        true
    }

    /// The head of its response, once it has come.
    pub(crate) fn response(&mut self) -> &mut Response<()> {
        &mut self.request.response
    }

    /// The same, when nothing else is needed any more.
    pub(crate) fn into_response(self) -> Response<()> {
        self.request.response
    }

    /// The request was not sent after all.
    pub(crate) fn put_back(&mut self) {
        self.is_left = true;
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::proxy::headers::Framing;

    const HEAD: &str = "POST /x?y HTTP/1.1\r\nhost: a:80\r\nx-twice: one\r\nx-twice: two\r\n\r\n";

    fn request(body: &'static str) -> WorkerRequest {
        let framing = if body.is_empty() { Framing::Empty } else { Framing::Length(body.len() as u64) };
        WorkerRequest {
            head: HEAD.into(),
            is_head: false,
            framing,
            body: Upload::Whole(body.into()),
            response: Response::new(()),
        }
    }

    #[test]
    fn what_is_sent_again_is_what_was_sent_and_says_so() {
        let mut outgoing = Outgoing::new(request(""), true, None);
        outgoing.number(1);
        assert_eq!(outgoing.next().unwrap().head, HEAD.as_bytes());
        for attempt in [2, 3] {
            assert!(outgoing.is_left());
            outgoing.number(attempt);
            let numbered = HEAD.replace("two\r\n", &format!("two\r\nx-portreeve-attempt: {attempt}\r\n"));
            assert_eq!(outgoing.next().unwrap().head, numbered.as_bytes());
        }
    }

    #[test]
    fn nothing_is_kept_of_what_must_not_be_sent_again() {
        for (body, is_safe) in [("", false), ("body", true)] {
            let mut outgoing = Outgoing::new(request(body), is_safe, None);
            assert!(outgoing.next().is_some());
            assert!(!outgoing.is_left() && outgoing.next().is_none());
        }
    }

    #[test]
    fn what_was_not_sent_after_all_can_be_sent() {
        let mut outgoing = Outgoing::new(request("once"), false, None);
        assert!(outgoing.next().is_some() && !outgoing.is_left());
        outgoing.put_back();
        outgoing.number(2);
        let again = outgoing.next().unwrap();
        assert!(matches!(&again.body, Upload::Whole(body) if body == "once"));
        assert!(again.head.ends_with(b"\r\nx-portreeve-attempt: 2\r\n\r\n"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_body_that_is_here_is_kept_when_its_sender_allows_it() {
        let mut outgoing = Outgoing::new(request("twice"), false, None);
        outgoing.take_body().await.unwrap();
        assert!(outgoing.is_repeatable());
        for _ in 0..2 {
            let request = outgoing.next().unwrap();
            assert!(matches!(&request.body, Upload::Whole(body) if body == "twice"));
        }
    }
}
