use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http_body_util::{Empty, Full};
use proptest::prelude::*;

use super::*;
use crate::link::{Crowd, Http2, Limits};

/// Looks a request over under these limits.
fn check<B: Body>(request: &Request<B>, limits: &Limits) -> Result<Checked, Fault> {
    let mut world = World::empty();
    world.limits = limits.clone();
    super::check(request, [192, 0, 2, 1].into(), &world)
}

fn limits() -> Limits {
    Limits {
        connections: 1,
        header_bytes: 1024,
        header_count: 5,
        handshake_timeout: Duration::from_secs(1),
        header_timeout: Duration::from_secs(1),
        body_idle: Duration::from_secs(1),
        body_rate: None,
        write_stall: Duration::from_secs(1),
        keepalive_idle: Duration::from_secs(1),
        http2: Http2 { streams: 1, requests: 1 },
        crowd: Crowd {
            handshakes: 16,
            connections_per_ip: None,
            connects_per_ip: None,
            requests_per_ip: None,
            exempt: Vec::new(),
        },
    }
}

fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).unwrap()
}

fn outcome(method: &str, target: &str, fields: &[(&str, &str)]) -> Result<String, Fault> {
    check(&request(method, target, fields), &limits()).map(|checked| checked.host.text().to_owned())
}

#[test]
fn a_request_names_one_host() {
    assert_eq!(outcome("GET", "/", &[("host", "Example.com")]), Ok("example.com".into()));
    assert_eq!(outcome("GET", "/", &[]), Err(Fault::Host));
    assert_eq!(outcome("GET", "/", &[("host", "")]), Err(Fault::Host));
    assert_eq!(outcome("GET", "/", &[("host", "a"), ("host", "a")]), Err(Fault::Host));
    assert_eq!(outcome("GET", "/", &[("host", "a, b")]), Err(Fault::Host));
}

#[test]
fn the_target_and_the_host_field_agree() {
    let mut alone = request("GET", "http://Example.com/x", &[]);
    assert_eq!(check(&alone, &limits()).unwrap_err(), Fault::Host, "HTTP/1.1 has the field always");
    *alone.version_mut() = Version::HTTP_2;
    assert_eq!(check(&alone, &limits()).unwrap().host.text(), "example.com");
    assert_eq!(outcome("GET", "https://example.com/x", &[("host", "EXAMPLE.com")]), Ok("example.com".into()));
    assert_eq!(outcome("GET", "http://example.com/x", &[("host", "other.com")]), Err(Fault::Host));
    assert_eq!(outcome("GET", "http://user@example.com/x", &[]), Err(Fault::Host));
}

#[test]
fn only_targets_of_a_server_are_served() {
    let host = [("host", "a")];
    assert_eq!(outcome("GET", "ftp://a/x", &host), Err(Fault::Target));
    assert_eq!(outcome("GET", "a:80", &host), Err(Fault::Target));
    assert_eq!(outcome("GET", "*", &host), Err(Fault::Target));
    assert_eq!(outcome("OPTIONS", "*", &host), Ok("a".into()));
    assert_eq!(outcome("GET", "/x?y=http://z", &host), Ok("a".into()));
}

#[test]
fn methods_of_proxies_and_debuggers_are_refused() {
    assert_eq!(outcome("CONNECT", "a:80", &[("host", "a:80")]), Err(Fault::Method));
    assert_eq!(outcome("TRACE", "/", &[("host", "a")]), Err(Fault::Method));
    for method in ["PROPFIND", "M-SEARCH", "VERSION-CONTROL"] {
        assert_eq!(outcome(method, "/", &[("host", "a")]), Ok("a".into()));
    }
    let long = "A".repeat(33);
    for method in ["get", "Get", "G3T~!x", "GET!", &long] {
        assert_eq!(outcome(method, "/", &[("host", "a")]), Err(Fault::MethodName), "{method}");
    }
}

#[test]
fn only_the_one_expectation_is_met() {
    let expecting = |value| outcome("POST", "/", &[("host", "a"), ("expect", value)]);
    assert_eq!(expecting("100-Continue"), Ok("a".into()));
    assert_eq!(expecting("200-ok"), Err(Fault::Expectation));
    assert_eq!(expecting("100-continue, x"), Err(Fault::Expectation));
}

#[test]
fn the_one_coding_is_chunked_and_named_once() {
    let coded = |values: &[&str]| {
        let fields: Vec<_> =
            [("host", "a")].into_iter().chain(values.iter().map(|v| ("transfer-encoding", *v))).collect();
        outcome("POST", "/", &fields)
    };
    assert_eq!(coded(&["Chunked"]), Ok("a".into()));
    for bad in [&["gzip, chunked"] as &[_], &["chunked, chunked"], &["chunked", "chunked"], &["xchunked"], &["gzip"]] {
        assert_eq!(coded(bad), Err(Fault::Coding), "{bad:?}");
    }
}

#[test]
fn limits_are_kept() {
    let fields: Vec<_> = std::iter::once(("host", "a")).chain((0..5).map(|_| ("x", "y"))).collect();
    assert_eq!(outcome("GET", "/", &fields[..5]), Ok("a".into()));
    assert_eq!(outcome("GET", "/", &fields), Err(Fault::ManyHeaders));
    let with_body = request("POST", "/", &[("host", "a")]).map(|_| Full::new(Bytes::from(vec![0; 10])));
    assert_eq!(check(&with_body, &limits()).unwrap().framing, Framing::Length(10));
}

#[test]
fn a_post_without_a_body_says_so() {
    let framing = |method| check(&request(method, "/", &[("host", "a")]), &limits()).unwrap().framing;
    assert_eq!(framing("POST"), Framing::Length(0));
    assert_eq!(framing("GET"), Framing::Empty);
    assert_eq!(framing("DELETE"), Framing::Empty);
}

#[test]
fn only_a_plain_get_over_http_1_1_with_a_whole_handshake_becomes_a_websocket() {
    let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let fields =
        [("host", "a"), ("connection", "upgrade"), ("upgrade", "websocket"), key, ("sec-websocket-version", "13")];
    let is_websocket = |request: &Request<Empty<Bytes>>| check(request, &limits()).unwrap().websocket.is_some();
    assert!(is_websocket(&request("GET", "/", &fields)));
    assert!(!is_websocket(&request("POST", "/", &fields)));
    assert!(!is_websocket(&request("GET", "/", &fields[..4])));
    let mut old = request("GET", "/", &fields);
    *old.version_mut() = Version::HTTP_10;
    assert!(!is_websocket(&old));
    let with_body = request("GET", "/", &fields).map(|_| Full::new(Bytes::from_static(b"x")));
    assert!(check(&with_body, &limits()).unwrap().websocket.is_none());
}

#[test]
fn a_field_that_passes_for_another_is_refused() {
    let checked =
        check(&request("GET", "/", &[("host", "a"), ("x_real_ip", "1"), ("accept", "x")]), &limits()).unwrap();
    assert_eq!(checked.refused, [HeaderName::from_static("x_real_ip")]);
    assert!(check(&request("GET", "/", &[("host", "a"), ("x-y", "1")]), &limits()).unwrap().refused.is_empty());
}

#[test]
fn no_value_has_white_space_around_it() {
    for value in [" 1", "1 ", "\t1", "1\t", " "] {
        assert_eq!(outcome("GET", "/", &[("host", "a"), ("x", value)]), Err(Fault::Padding), "{value:?}");
    }
    assert_eq!(outcome("GET", "/", &[("host", "a"), ("x", "1 2"), ("y", "")]), Ok("a".into()));
}

#[test]
fn a_worker_gets_the_one_form_of_a_target_without_scheme_and_host() {
    for (target, expected) in [
        ("/x?y", "/x?y"),
        ("http://a/x?y", "/x?y"),
        ("http://a", "/"),
        ("http://a?y", "/?y"),
        ("http://a/x/../%79?z", "/y?z"),
        ("/x/../y", "/y"),
    ] {
        let request = request("GET", target, &[("host", "a")]);
        let checked = check(&request, &limits()).unwrap();
        assert_eq!(checked.path(request.uri()), expected.split('?').next().unwrap(), "{target}");
        assert_eq!(checked.target(request.uri()), expected, "{target}");
    }
    // As HTTP/2 has it.
    let fragment = Uri::builder().scheme("https").authority("a").path_and_query("#x").build().unwrap();
    let mut request = request("GET", "/", &[("host", "a")]);
    *request.uri_mut() = fragment.clone();
    let checked = check(&request, &limits()).unwrap();
    assert_eq!(checked.path(&fragment), "/");
    assert_eq!(checked.target(&fragment), "/");
}

proptest! {
    /// The other half of this is that a request is not refused without a reason; the tables above have it.
    #[test]
    fn what_is_let_in_says_one_thing(
        method in "[A-Z]{1,8}|[a-zA-Z!~-]{1,40}",
        target in "(http://[a-c.@:0-9]{1,6})?/?[a-c./;%2eE#?*\\\\\"{-~]{0,16}",
        fields in prop::collection::vec(("host|content-length|transfer-encoding|connection|expect|x_y|upgrade", "[a-c0-9.,: ]{0,9}|chunked"), 0..5),
        is_http2 in any::<bool>(),
    ) {
        let mut built = Request::builder().method(method.as_str()).uri(target.as_str());
        for (name, value) in &fields {
            built = built.header(name, value);
        }
        let Ok(mut request) = built.body(Empty::<Bytes>::new()) else { return Ok(()) };
        *request.version_mut() = if is_http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        let Ok(checked) = check(&request, &limits()) else { return Ok(()) };
        let count = |name: &str| fields.iter().filter(|(of, _)| of == name).count();
        prop_assert!(count("host") <= 1 && count("transfer-encoding") <= 1);
        prop_assert_eq!(Host::parse(checked.host.value()), Some(checked.host.clone()));
        let path = checked.path(request.uri()).to_owned();
        let sent = checked.target(request.uri()).to_owned();
        prop_assert!(sent.split('?').next() == Some(&path), "{} and {}", sent, path);
        prop_assert!(path.starts_with('/') || (path == "*" && method == "OPTIONS"), "{}", path);
        prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{}", path);
        prop_assert!(sent.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains(['\\', '"', '#']), "{}", sent);
    }
}
