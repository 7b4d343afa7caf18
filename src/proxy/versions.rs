//! Which generation of an app a client is for: while a new one is tried on a few, and where nobody goes back to an older one.
//!
//! Pure. The few are told by their addresses, as the crowd counts them (of IPv6 a /64): so nothing is added to any answer for that, and
//! a client keeps its side over connections, proxies and supervisors. They are others with each generation, or the same ones would
//! always get what is new. What a client has seen stands in a cookie, where the app wants that. Invariant: where neither is
//! wanted nothing is looked at, and nothing added.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, COOKIE, HeaderValue, SET_COOKIE};

use super::crowd;
use crate::id::Generation;
use crate::link;
use crate::upstream::Span;

/// Shares are counted in so many parts.
const PARTS: u64 = 10_000;

/// What decides for whom which generation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    canary: Option<link::Canary>,
    /// The name of the cookie with what a client has seen; `None`: nobody keeps that.
    cookie: Option<Box<str>>,
}

/// What is known of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// The generations that it is for.
    pub(crate) span: Span,
    /// The one that it has seen, as far as it says so.
    seen: Option<Generation>,
    is_https: bool,
}

impl Versions {
    /// `None`: any is for anybody.
    pub(crate) fn of(app: &link::App) -> Option<Self> {
        let link::Requests { canary, consistent, .. } = app.requests;
        let cookie = consistent.then(|| format!("portreeve-{}", app.name).into_boxed_str());
        (canary.is_some() || consistent).then_some(Self { canary, cookie })
    }

    pub(crate) fn client(&self, address: IpAddr, fields: &HeaderMap, is_https: bool) -> Client {
        let seen = self.cookie.as_ref().and_then(|name| seen(fields, name));
        let span = match (self.canary, seen) {
            (Some(canary), seen) => side(canary, seen, address),
            (None, Some(seen)) => Span::From(seen),
            (None, None) => Span::Any,
        };
        Client { span, seen, is_https }
    }

    /// Has the client keep which generation has answered it, if that is wanted and is news to it.
    ///
    /// What anybody's cache may keep is left as it is: the cookie in it would be given to others.
    pub(crate) fn mark(&self, fields: &mut HeaderMap, client: Client, by: Generation) {
        let Some(name) = self.cookie.as_ref().filter(|_| client.seen != Some(by) && !is_shared(fields)) else { return };
        let secure = if client.is_https { "; Secure" } else { "" };
        let cookie = format!("{name}={}; Path=/; HttpOnly; SameSite=Lax{secure}", by.0);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            fields.append(SET_COOKIE, cookie);
        }
    }
}

/// Of the few stays who is one of them: by its address, or because it has seen the new one.
fn side(canary: link::Canary, seen: Option<Generation>, address: IpAddr) -> Span {
    let link::Canary { generation, share } = canary;
    let is_drawn = draw(generation, crowd::key(address)) < u64::from(share);
    if is_drawn || seen == Some(generation) { Span::From(generation) } else { Span::Below(generation) }
}

/// The number in the cookie of this name; of several the highest.
fn seen(fields: &HeaderMap, name: &str) -> Option<Generation> {
    let crumbs = fields.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    let ours = crumbs.filter_map(|crumb| crumb.trim().strip_prefix(name)?.strip_prefix('='));
    ours.filter_map(|number| number.parse().ok()).max().map(Generation)
}

/// May a cache keep the answer for others too (RFC 9111, sections 5.2.2.9 and 5.2.2.10)?
fn is_shared(fields: &HeaderMap) -> bool {
    let directives = fields.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = directives.flat_map(|text| text.split(',')).map(|one| one.trim().to_ascii_lowercase());
    directives.any(|one| one == "public" || one.starts_with("s-maxage"))
}

/// A number for each client, the same each time, below [`PARTS`].
fn draw(generation: Generation, client: u128) -> u64 {
    [(client >> 64) as u64, client as u64].into_iter().fold(mix(generation.0), |hash, part| mix(hash ^ part)) % PARTS
}

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(canary: Option<(u64, u32)>, cookie: Option<&str>) -> Versions {
        let canary = canary.map(|(generation, share)| link::Canary { generation: Generation(generation), share });
        Versions { canary, cookie: cookie.map(Into::into) }
    }

    fn fields(cookie: &str) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for crumbs in cookie.split('|').filter(|crumbs| !crumbs.is_empty()) {
            fields.append(COOKIE, crumbs.parse().unwrap());
        }
        fields
    }

    fn span(versions: &Versions, address: IpAddr, cookie: &str) -> Span {
        versions.client(address, &fields(cookie), false).span
    }

    const SOMEBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn whoever_has_seen_a_generation_is_for_no_older_one() {
        let versions = versions(None, Some("portreeve-web"));
        for (cookie, expected) in [
            ("portreeve-web=8", Span::From(Generation(8))),
            ("a=b; portreeve-web=8;c=d", Span::From(Generation(8))),
            ("a=b|portreeve-web=7|portreeve-web=8", Span::From(Generation(8))),
            ("", Span::Any),
            (
                "portreeve-webb=8; xportreeve-web=8; portreeve-web; portreeve-web=; portreeve-web=-1; portreeve-web=x",
                Span::Any,
            ),
            ("portreeve-web=99999999999999999999999", Span::Any),
        ] {
            assert_eq!(span(&versions, SOMEBODY, cookie), expected, "{cookie}");
        }
    }

    #[test]
    fn whoever_has_seen_the_canary_stays_with_it_whatever_its_address() {
        let versions = versions(Some((8, 0)), Some("portreeve-web"));
        assert_eq!(span(&versions, SOMEBODY, "portreeve-web=8"), Span::From(Generation(8)));
        assert_eq!(span(&versions, SOMEBODY, "portreeve-web=7"), Span::Below(Generation(8)));
        let without = Versions { cookie: None, ..versions };
        assert_eq!(span(&without, SOMEBODY, "portreeve-web=8"), Span::Below(Generation(8)), "not asked for");
    }

    /// The cookies that are added to an answer of generation 8.
    fn marked(versions: &Versions, seen: &str, is_https: bool, cache: &str) -> Vec<String> {
        let client = versions.client(SOMEBODY, &fields(seen), is_https);
        let mut answer = HeaderMap::from_iter([(SET_COOKIE, "own=1".parse().unwrap())]);
        if !cache.is_empty() {
            answer.insert(CACHE_CONTROL, cache.parse().unwrap());
        }
        versions.mark(&mut answer, client, Generation(8));
        let cookies = answer.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned());
        cookies.filter(|cookie| cookie != "own=1").collect()
    }

    #[test]
    fn what_is_news_to_a_client_is_kept_in_a_cookie_for_its_session() {
        let wanted = versions(None, Some("portreeve-web"));
        let cookie = "portreeve-web=8; Path=/; HttpOnly; SameSite=Lax";
        assert_eq!(marked(&wanted, "", false, "private, max-age=9"), [cookie]);
        assert_eq!(marked(&wanted, "portreeve-web=7", true, ""), [format!("{cookie}; Secure")]);
        assert_eq!(marked(&wanted, "portreeve-web=9", false, "no-store"), [cookie], "it was taken back");
        assert_eq!(marked(&wanted, "portreeve-web=8", false, ""), [""; 0]);
        for shared in ["public, max-age=9", "max-age=9,S-MaxAge=3"] {
            assert_eq!(marked(&wanted, "", false, shared), [""; 0], "{shared}");
        }
        assert_eq!(marked(&versions(Some((8, 5_000)), None), "", false, ""), [""; 0], "a canary needs none");
    }

    /// Of as many clients as there are in a /16, those that are for the new generation.
    fn few(generation: u64, share: u32) -> Vec<IpAddr> {
        let generation = Generation(generation);
        let versions = versions(Some((generation.0, share)), None);
        let clients = (0..=u16::MAX).map(|low| IpAddr::from([10, 0, (low >> 8) as u8, low as u8]));
        clients.filter(|client| span(&versions, *client, "") == Span::From(generation)).collect()
    }

    #[test]
    fn as_many_clients_as_the_share_says_are_for_the_new_one() {
        for share in [1, 50, 500, 2_000, 5_000] {
            let expected = 65_536.0 * f64::from(share) / 10_000.0;
            let off = few(2, share).len() as f64 - expected;
            assert!(off.abs() <= 4.0 * expected.sqrt(), "{share}: {off} more than {expected}");
        }
    }

    #[test]
    fn a_client_stays_on_its_side_and_with_the_next_generation_it_is_others() {
        assert_eq!(few(2, 500), few(2, 500));
        let again = few(3, 500).iter().filter(|client| few(2, 500).contains(client)).count();
        assert!(again < 350, "{again} of about 3277 again");
        let small = few(2, 100);
        let large = few(2, 500);
        assert!(small.iter().all(|client| large.contains(client)), "a larger share has those of a smaller one");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let versions = versions(Some((7, 5_000)), None);
        for network in 0..50 {
            let host = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, last]);
            assert_eq!(span(&versions, host(1), ""), span(&versions, host(2), ""));
        }
    }
}
