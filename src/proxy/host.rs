//! The one form of a host: `name[:port]`, lower case, without a trailing dot (RFC 9110, section 7.2).
//!
//! Pure. Does not know where the text came from. Narrower than RFC 3986: no userinfo, no percent-encoding, none of the
//! characters that no name in the DNS has. Invariant: equal hosts have
//! equal [`Host`]s.

use std::net::Ipv6Addr;

use http::HeaderValue;

/// Longest name of a host, in bytes (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;

/// A host in its one form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    value: HeaderValue,
    /// Where the name ends and the port, if any, begins.
    end: usize,
}

impl Host {
    /// Reads a host; `None` when it is none. Allocates only when it has to change something.
    pub(crate) fn parse(host: &HeaderValue) -> Option<Self> {
        if let Some(end) = plain_name(host.as_bytes()) {
            return Some(Self { value: host.clone(), end });
        }
        let text = host.to_str().ok()?;
        let (name, port) = split(text)?;
        if !is_name(name) || !is_port(port) {
            return None;
        }
        let bare = name.strip_suffix('.').unwrap_or(name);
        let is_canonical =
            bare.len() == name.len() && !text.ends_with(':') && !text.bytes().any(|b| b.is_ascii_uppercase());
        if is_canonical {
            return Some(Self { value: host.clone(), end: bare.len() });
        }
        let mut canonical = bare.to_ascii_lowercase();
        if !port.is_empty() {
            canonical.push(':');
            canonical.push_str(port);
        }
        Some(Self { end: bare.len(), value: HeaderValue::try_from(canonical).ok()? })
    }

    /// Name and port, for a header.
    pub(crate) fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Name and port as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.value.as_bytes()).unwrap_or_default()
    }

    /// The name without its port, as bytes; all of them are ASCII.
    pub(crate) fn name_bytes(&self) -> &[u8] {
        &self.value.as_bytes()[..self.end]
    }

    /// The name without its port; an IPv6 address keeps its brackets.
    pub(crate) fn name(&self) -> &str {
        &self.text()[..self.end]
    }
}

/// What may stand in a name as it is, and what divides it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Dot,
    Colon,
    Other,
}

const KINDS: [Kind; 256] = {
    let (mut kinds, mut byte) = ([Kind::Other; 256], 0);
    while byte < kinds.len() {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => Kind::Letter,
            b'.' => Kind::Dot,
            b':' => Kind::Colon,
            _ => Kind::Other,
        };
        byte += 1;
    }
    kinds
};

/// Where the name ends, if this is a DNS name in canonical form, maybe with a port: as nearly every host is. One pass.
fn plain_name(host: &[u8]) -> Option<usize> {
    // As after a dot, so that a name can neither begin with one nor have two in a row.
    let mut previous = Kind::Dot;
    let mut end = host.len();
    for (at, &byte) in host.iter().enumerate() {
        let kind = KINDS[usize::from(byte)];
        match kind {
            Kind::Letter => {}
            Kind::Dot if previous != Kind::Dot => {}
            Kind::Colon => {
                end = at;
                break;
            }
            Kind::Dot | Kind::Other => return None,
        }
        previous = kind;
    }
    let has_good_port = host.get(end + 1..).is_none_or(is_plain_port);
    (previous != Kind::Dot && end <= MAX_NAME && has_good_port).then_some(end)
}

fn is_plain_port(port: &[u8]) -> bool {
    let value = |number: u32, digit: &u8| number * 10 + u32::from(digit - b'0');
    let is_number = matches!(port.len(), 1..=5) && port.iter().all(u8::is_ascii_digit);
    is_number && u16::try_from(port.iter().fold(0, value)).is_ok()
}

/// Name and port; the port is empty when there is none.
fn split(text: &str) -> Option<(&str, &str)> {
    let end = match text.find(']') {
        Some(bracket) => bracket + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (name, rest) = text.split_at(end);
    if rest.is_empty() { Some((name, "")) } else { Some((name, rest.strip_prefix(':')?)) }
}

fn is_name(name: &str) -> bool {
    if let Some(inner) = name.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let labels_are_good = !name.starts_with('.') && !name.contains("..");
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(is_allowed) && labels_are_good
}

fn is_port(port: &str) -> bool {
    port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(host: &str) -> Option<Host> {
        Host::parse(&HeaderValue::from_bytes(host.as_bytes()).unwrap())
    }

    #[test]
    fn a_host_has_one_form() {
        for (host, text, name) in [
            ("example.com", "example.com", "example.com"),
            ("EXAMPLE.com:8080", "example.com:8080", "example.com"),
            ("example.com.", "example.com", "example.com"),
            ("Example.com.:80", "example.com:80", "example.com"),
            ("example.com:", "example.com", "example.com"),
            ("a_b-c.d", "a_b-c.d", "a_b-c.d"),
            ("127.0.0.1:1", "127.0.0.1:1", "127.0.0.1"),
            ("a:65535", "a:65535", "a"),
            ("[::1]", "[::1]", "[::1]"),
            ("[2001:DB8::1]:443", "[2001:db8::1]:443", "[2001:db8::1]"),
        ] {
            let parsed = parse(host).unwrap();
            assert_eq!((parsed.text(), parsed.name()), (text, name), "{host}");
            assert_eq!(parse(text), Some(parsed), "{host}");
        }
    }

    proptest! {
        #[test]
        fn the_one_form_of_a_one_form_is_itself(host in "\\[?[a-zA-C0-9._:-]{0,12}\\]?(:[0-9]{0,6})?|\\PC{0,8}") {
            let Ok(value) = HeaderValue::from_str(&host) else { return Ok(()) };
            let Some(first) = Host::parse(&value) else { return Ok(()) };
            prop_assert_eq!(Host::parse(first.value()), Some(first.clone()));
            let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.:[]".contains(&b);
            prop_assert!(first.text().bytes().all(is_plain) && !first.name().is_empty(), "{}", first.text());
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(256);
        for host in [
            "",
            ".",
            ":",
            ":80",
            "a b",
            "a,b",
            "a, b",
            "a/b",
            "a@b",
            "user@a:80",
            "a:b",
            "a:80:90",
            "a:65536",
            "a:-1",
            "a:+1",
            "a#b",
            "a?b",
            "a%41",
            "..",
            "a..b",
            ".a",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:x",
            "[a]",
            "[]",
            "[1.2.3.4]",
            "a]",
            "ä",
            &long,
        ] {
            assert_eq!(parse(host), None, "{host}");
        }
    }
}
