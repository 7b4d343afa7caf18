//! Which fields of a request a worker must not take for ours, or for another field.
//!
//! Pure. Does not know values. WSGI, CGI and PHP turn `-` and `_` into the same letter, so a name with anything but letters,
//! digits and hyphens can pass for another one; and frameworks believe a whole family of fields that only a front may set.

use http::header::{HeaderMap, HeaderName};

/// Fields in which fronts name the client, its certificate or what it asked for. None of them is ours.
const CLAIMS: [&str; 15] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "true-client-ip",
    "fastly-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-url-scheme",
    "x-client-cert",
    "x-ssl-client-cert",
    "client-cert",
    "client-cert-chain",
];

/// Those of the `x-forwarded-` family that we set ourselves, and so need not be taken off.
const OURS: [&str; 3] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// Must this field be looked at before it goes to a worker?
pub(crate) fn is_doubtful(name: &str) -> bool {
    let is_claim = || match name.as_bytes()[0] {
        b'c' | b't' | b'f' | b'x' => is_claim(name),
        _ => false,
    };
    !is_usual(name) || is_claim()
}

/// What a usual name is made of.
const USUAL: [bool; 256] = {
    let (mut usual, mut byte) = ([false; 256], 0);
    while byte < usual.len() {
        usual[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'-';
        byte += 1;
    }
    usual
};

fn is_usual(name: &str) -> bool {
    name.bytes().all(|byte| USUAL[usize::from(byte)])
}

/// Does only a front say this?
fn is_claim(name: &str) -> bool {
    (name.starts_with("x-forwarded-") && !OURS.contains(&name)) || CLAIMS.contains(&name)
}

/// The fields that go no further; `allowed` are names out of the usual that an app wants, and `is_trusted` says that a front
/// of the operator's speaks, whose claims are true. It passes on what it does not know, so a claim of an unusual name is some
/// client's.
pub(crate) fn refused(headers: &HeaderMap, allowed: &[HeaderName], is_trusted: bool) -> Vec<HeaderName> {
    let goes = |name: &&HeaderName| {
        is_doubtful(name.as_str())
            && !allowed.contains(name)
            && !(is_trusted && is_usual(name.as_str()) && is_claim(name.as_str()))
    };
    headers.keys().filter(goes).cloned().collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_can_pass_for_another_field_or_for_ours_is_doubtful() {
        for name in
            ["x_real_ip", "a.b", "a!b", "a~", "x-forwarded-port", "x-forwarded-ssl", "cf-connecting-ip", "client-cert"]
        {
            assert!(is_doubtful(name), "{name}");
        }
        for name in ["accept", "x-real-ip", "x-forwarded-for", "x-forwarded-proto", "cookie", "x-2", "traceparent"] {
            assert!(!is_doubtful(name), "{name}");
        }
    }

    #[test]
    fn what_the_operator_allows_or_a_trusted_front_says_is_kept() {
        let mut headers = HeaderMap::new();
        for name in ["x_custom", "x_other", "x-forwarded-port", "x-forwarded-client_cert", "accept"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        let refused = |allowed: &[HeaderName], is_trusted| {
            let mut names: Vec<_> = refused(&headers, allowed, is_trusted).iter().map(ToString::to_string).collect();
            names.sort();
            names
        };
        let custom = [HeaderName::from_static("x_custom")];
        assert_eq!(refused(&[], false), ["x-forwarded-client_cert", "x-forwarded-port", "x_custom", "x_other"]);
        assert_eq!(refused(&custom, false), ["x-forwarded-client_cert", "x-forwarded-port", "x_other"]);
        assert_eq!(refused(&custom, true), ["x-forwarded-client_cert", "x_other"]);
    }
}
