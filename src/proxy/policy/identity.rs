//! Who a request's client is, when it comes through fronts that the operator trusts.
//!
//! Pure. `X-Forwarded-For` is read from the right, where the last front has written: each entry is the word of the one behind
//! it, and counts as long as that one is trusted. What stands left of the first address that is not, the client may have made
//! up, and it goes no further. So whichever entry an app takes, the first or the last that it does not know, it takes the same.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::super::headers::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, REQUEST_ID};
use super::super::host::Host;
use crate::link;

/// Entries that are looked at; no request comes through more fronts than that.
const MOST_HOPS: usize = 32;

/// Longest name of an exchange that is taken over.
const MOST_IN_ID: usize = 128;

/// Whose word on clients counts, and what of their own words workers get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    trusted: Vec<IpNet>,
    introducing: Vec<IpNet>,
    /// Do workers get `Forwarded`?
    pub(crate) forwarded: bool,
    /// Does a trace begin with a request that belongs to none?
    pub(crate) starts_traces: bool,
    /// Fields with unusual names that workers get all the same.
    pub(crate) allowed: Vec<HeaderName>,
}

/// What trusted fronts say of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The client, then the fronts in the order in which they were passed; the last one is our peer.
    pub(crate) chain: Vec<IpAddr>,
    /// Was it HTTPS where the client came in?
    pub(crate) is_https: Option<bool>,
    /// The host that it asked for there.
    pub(crate) host: Option<HeaderValue>,
    /// The name that the exchange has there.
    pub(crate) id: Option<HeaderValue>,
}

impl Clients {
    /// Names that cannot be fields are left out: the configuration has none.
    pub(crate) fn new(said: &link::Clients) -> Self {
        Self {
            trusted: said.trusted.clone(),
            introducing: said.proxy_protocol.clone(),
            forwarded: said.forwarded,
            starts_traces: said.start_traces,
            allowed: said.allow_headers.iter().filter_map(|name| name.parse().ok()).collect(),
        }
    }

    /// May this peer's word on the client be believed? The address is in its canonical form.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&peer))
    }

    /// Does this peer begin its connections with a PROXY protocol header?
    pub(crate) fn is_introduced_by(&self, peer: IpAddr) -> bool {
        self.introducing.iter().any(|network| network.contains(&peer))
    }
}

impl Identity {
    /// `None` when the peer is not trusted, and so is the client itself.
    pub(crate) fn of(headers: &HeaderMap, peer: IpAddr, clients: &Clients) -> Option<Self> {
        if !clients.trusts(peer) {
            return None;
        }
        let mut chain = vec![peer];
        for hop in hops(headers).take(MOST_HOPS) {
            let Some(hop) = hop else { break };
            chain.push(hop);
            if !clients.trusts(hop) {
                break;
            }
        }
        chain.reverse();
        let is_https = only(headers, &FORWARDED_PROTO).and_then(|scheme| match scheme.as_bytes() {
            b"https" => Some(true),
            b"http" => Some(false),
            _ => None,
        });
        let host = only(headers, &FORWARDED_HOST).and_then(Host::parse).map(|host| host.value().clone());
        let id = only(headers, &REQUEST_ID).filter(|id| is_id(id.as_bytes())).cloned();
        Some(Self { chain, is_https, host, id })
    }

    /// Whom the request is from.
    pub(crate) fn client(&self) -> IpAddr {
        self.chain[0]
    }

    /// The client and the fronts for `X-Forwarded-For`.
    pub(crate) fn forwarded_for(&self) -> String {
        self.chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// `Forwarded` (RFC 7239, section 4): the client with what it asked for, then the fronts.
pub(crate) fn forwarded(chain: &[IpAddr], is_https: bool, host: &HeaderValue) -> Option<HeaderValue> {
    let node = |address: &IpAddr| match address {
        IpAddr::V4(four) => format!("for={four}"),
        IpAddr::V6(six) => format!("for=\"[{six}]\""),
    };
    let mut nodes: Vec<_> = chain.iter().map(node).collect();
    let scheme = if is_https { "https" } else { "http" };
    let _ = write!(nodes[0], ";host=\"{}\";proto={scheme}", host.to_str().ok()?);
    HeaderValue::try_from(nodes.join(", ")).ok()
}

/// The entries of all `X-Forwarded-For` lines, the last one first; `None`: no address.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(&FORWARDED_FOR).iter().rev();
    lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',')).map(|entry| address(entry.trim()))
}

/// An address, maybe with the port that it spoke from.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let with_port = || entry.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// The value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// May it stand in a log as it is?
fn is_id(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:+/=@".contains(byte);
    (1..=MOST_IN_ID).contains(&id.len()) && id.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clients(trusted: &[&str]) -> Clients {
        Clients { trusted: trusted.iter().map(|network| network.parse().unwrap()).collect(), ..Clients::default() }
    }

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    /// What the worker is told for these lines from a peer 10.0.0.1, where 10.0.0.0/8 and `fc00::/7` are trusted.
    fn told(lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let identity =
            Identity::of(&fields(&lines), "10.0.0.1".parse().unwrap(), &clients(&["10.0.0.0/8", "fc00::/7"]));
        identity.unwrap().forwarded_for()
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
        for (lines, expected) in [
            (&[] as &[_], "10.0.0.1"),
            (&["192.0.2.1"], "192.0.2.1, 10.0.0.1"),
            (&["6.6.6.6, 192.0.2.1"], "192.0.2.1, 10.0.0.1"),
            (&["6.6.6.6, 192.0.2.1, 10.0.0.2"], "192.0.2.1, 10.0.0.2, 10.0.0.1"),
            (&["192.0.2.1", "10.0.0.2, fc00::1"], "192.0.2.1, 10.0.0.2, fc00::1, 10.0.0.1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3, 10.0.0.2, 10.0.0.1"),
            (&["192.0.2.1:4711"], "192.0.2.1, 10.0.0.1"),
            (&["[2001:db8::1]:4711, 10.0.0.2"], "2001:db8::1, 10.0.0.2, 10.0.0.1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1, 10.0.0.1"),
            (&["192.0.2.1, unknown"], "10.0.0.1"),
            (&["192.0.2.1, evil, 10.0.0.2"], "10.0.0.2, 10.0.0.1"),
            (&["192.0.2.1,"], "10.0.0.1"),
        ] {
            assert_eq!(told(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client() {
        let headers = fields(&[("x-forwarded-for", "10.0.0.1"), ("x-request-id", "x")]);
        assert_eq!(Identity::of(&headers, "192.0.2.1".parse().unwrap(), &clients(&["10.0.0.0/8"])), None);
        assert_eq!(Identity::of(&headers, "10.0.0.1".parse().unwrap(), &clients(&[])), None);
    }

    #[test]
    fn scheme_host_and_name_are_taken_over_when_they_are_good() {
        let of = |lines: &[_]| {
            Identity::of(&fields(lines), "10.0.0.1".parse().unwrap(), &clients(&["10.0.0.1/32"])).unwrap()
        };
        let good = of(&[("x-forwarded-proto", "https"), ("x-forwarded-host", "A.example:80"), ("x-request-id", "a-1")]);
        assert_eq!(
            (good.is_https, good.host.unwrap(), good.id.unwrap()),
            (Some(true), HeaderValue::from_static("a.example:80"), HeaderValue::from_static("a-1"))
        );
        let long = "x".repeat(129);
        for bad in [
            [("x-forwarded-proto", "ftp"), ("x-forwarded-host", "a b"), ("x-request-id", "a b")],
            [("x-forwarded-proto", "https, http"), ("x-forwarded-host", "a, b"), ("x-request-id", &long)],
        ] {
            let identity = of(&bad);
            assert_eq!((identity.is_https, identity.host, identity.id), (None, None, None));
        }
        let twice = of(&[("x-request-id", "a"), ("x-request-id", "b")]);
        assert_eq!(twice.id, None);
    }

    #[test]
    fn forwarded_is_as_the_rfc_has_it() {
        let chain = ["2001:db8::1".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        let value = forwarded(&chain, true, &HeaderValue::from_static("a.example:80")).unwrap();
        assert_eq!(value, "for=\"[2001:db8::1]\";host=\"a.example:80\";proto=https, for=10.0.0.1");
    }

    proptest! {
        #[test]
        fn whatever_is_claimed_the_chain_is_short_and_ends_with_the_peer(lines in prop::collection::vec("[0-9a-f.:, \\[\\]x]{0,60}", 0..6)) {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", line.trim())).collect();
            let peer: IpAddr = "10.0.0.1".parse().unwrap();
            let identity = Identity::of(&fields(&lines), peer, &clients(&["10.0.0.0/8"])).unwrap();
            prop_assert!(identity.chain.len() <= MOST_HOPS + 1 && identity.chain.last() == Some(&peer));
            prop_assert!(identity.chain[1..].iter().all(|hop| clients(&["10.0.0.0/8"]).trusts(*hop)));
        }
    }
}
