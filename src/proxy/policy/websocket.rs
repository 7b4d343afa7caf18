//! What makes a request one to become a WebSocket, and a response the consent to it (RFC 6455, sections 4.1 and 4.2.2).
//!
//! Pure. A 101 opens a tunnel in which nothing is checked any more; so neither side's word is enough for it: the worker must
//! prove that it has read this very request as one for a WebSocket.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderMap, HeaderValue};
use sha1::{Digest, Sha1};

/// Put after the client's key to make the proof (RFC 6455, section 1.3).
const SEAL: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The proof that a worker owes to this request; `None` when it has not all that a handshake takes, `Connection` and
/// `Upgrade` apart.
pub(crate) fn proof(headers: &HeaderMap) -> Option<HeaderValue> {
    let key = only(headers, header::SEC_WEBSOCKET_KEY)?;
    let is_key = BASE64_STANDARD.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16);
    let is_version = only(headers, header::SEC_WEBSOCKET_VERSION)?.as_bytes() == b"13";
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(SEAL).finalize();
    let proof = || HeaderValue::try_from(BASE64_STANDARD.encode(digest)).ok();
    if is_key && is_version { proof() } else { None }
}

/// Does this response prove that it opens the WebSocket that was asked for?
pub(crate) fn is_proven(headers: &HeaderMap, proof: &HeaderValue) -> bool {
    only(headers, header::SEC_WEBSOCKET_ACCEPT).is_some_and(|said| said == proof)
}

/// The value of a field that is there once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The handshake of RFC 6455, section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const PROOF: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn the_proof_is_that_of_the_rfc() {
        let asked = [("sec-websocket-key", KEY), ("sec-websocket-version", "13")];
        let proof = proof(&fields(&asked)).unwrap();
        assert_eq!(proof, PROOF);
        assert!(is_proven(&fields(&[("sec-websocket-accept", PROOF)]), &proof));
        for answer in [&[] as &[_], &[("sec-websocket-accept", KEY)], &[("sec-websocket-accept", PROOF); 2]] {
            assert!(!is_proven(&fields(answer), &proof), "{answer:?}");
        }
    }

    #[test]
    fn a_handshake_that_lacks_something_is_none() {
        let (key, version) = (("sec-websocket-key", KEY), ("sec-websocket-version", "13"));
        for asked in [
            &[key] as &[_],
            &[version],
            &[key, key, version],
            &[key, version, version],
            &[key, ("sec-websocket-version", "8")],
            &[("sec-websocket-key", "c2hvcnQ="), version],
            &[("sec-websocket-key", "no base64 at all!"), version],
        ] {
            assert_eq!(proof(&fields(asked)), None, "{asked:?}");
        }
    }
}
