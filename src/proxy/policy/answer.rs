//! Which responses of a worker are answers.
//!
//! Pure. Does not know bodies: where they end, hyper has checked.

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use super::super::fault::Fault;
use super::super::headers::{self, Survey};
use super::websocket;

/// May it be passed on? A 101 only as the consent to a WebSocket that was asked for, whose `proof` it must give; and only
/// with a status that there can be (RFC 9110, section 15), and uncoded but for chunks: a coding that we took off without
/// undoing it would be lost (RFC 9112, section 6.1).
///
/// # Errors
/// [`Fault::Malformed`].
pub(crate) fn check<B>(response: &Response<B>, survey: Survey, proof: Option<&HeaderValue>) -> Result<(), Fault> {
    let fields = response.headers();
    let is_answer = match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            headers::is_websocket(fields) && proof.is_some_and(|proof| websocket::is_proven(fields, proof))
        }
        status => (200..600).contains(&status.as_u16()) && (!survey.has_coding() || is_uncoded(response)),
    };
    if is_answer { Ok(()) } else { Err(Fault::Malformed) }
}

fn is_uncoded<B>(response: &Response<B>) -> bool {
    let mut codings = response.headers().get_all(header::TRANSFER_ENCODING).iter();
    codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is called for a response whose fields have been looked over.
    fn check<B>(response: &Response<B>, proof: Option<&HeaderValue>) -> Result<(), Fault> {
        super::check(response, Survey::of(response.headers(), |_| false), proof)
    }

    fn response(status: u16, fields: &[(&str, &str)]) -> Response<()> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap()
    }

    #[test]
    fn only_a_status_that_there_can_be_is_an_answer() {
        for status in [200, 204, 304, 404, 500, 599] {
            assert_eq!(check(&response(status, &[]), None), Ok(()), "{status}");
        }
        for status in [100, 101, 103, 199, 600, 999] {
            assert_eq!(check(&response(status, &[]), None), Err(Fault::Malformed), "{status}");
        }
    }

    #[test]
    fn what_was_coded_for_the_way_is_no_answer() {
        let chunked = ("transfer-encoding", "Chunked");
        assert_eq!(check(&response(200, &[chunked]), None), Ok(()));
        for bad in
            [&[("transfer-encoding", "gzip, chunked")] as &[_], &[("transfer-encoding", "gzip")], &[chunked, chunked]]
        {
            assert_eq!(check(&response(200, bad), None), Err(Fault::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn only_the_websocket_that_was_asked_for_is_opened() {
        let proof = HeaderValue::from_static("proof");
        let good = [("upgrade", "WebSocket"), ("sec-websocket-accept", "proof")];
        assert_eq!(check(&response(101, &good), Some(&proof)), Ok(()));
        assert_eq!(check(&response(101, &good), None), Err(Fault::Malformed));
        for bad in [&good[..1], &good[1..], &[("upgrade", "h2c"), good[1]], &[good[0], ("sec-websocket-accept", "x")]] {
            assert_eq!(check(&response(101, bad), Some(&proof)), Err(Fault::Malformed), "{bad:?}");
        }
    }
}
