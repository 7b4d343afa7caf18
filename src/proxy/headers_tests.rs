use super::*;

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    map
}

fn text(map: &HeaderMap, name: &str) -> Vec<String> {
    map.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// What a worker gets of these fields.
fn passed(lines: &[(&str, &str)], framing: Framing) -> HeaderMap {
    let mut map = fields(lines);
    let survey = Survey::of(&map, |_| false);
    let vouched = Vouched {
        host: HeaderValue::from_static("example.com:8080"),
        forwarded_for: HeaderValue::from_static("192.0.2.1"),
        client: HeaderValue::from_static("192.0.2.1"),
        forwarded_host: HeaderValue::from_static("example.com:8080"),
        is_https: true,
        forwarded: None,
        id: HeaderValue::from_static("abc"),
        trace: Trace::Pass,
        framing,
        is_websocket: survey.wants_websocket(&map),
        refused: &[],
    };
    toward_worker(&mut map, survey, vouched);
    map
}

#[test]
fn the_table_and_the_look_up_agree() {
    for (index, name) in STRIPPED.iter().enumerate() {
        assert_eq!(stripped(name.as_str()), Some(index), "{name}");
    }
    assert_eq!(stripped("content-type"), None);
}

#[test]
fn every_field_of_one_connection_is_taken_off() {
    for name in &STRIPPED {
        let map = passed(&[(name.as_str(), "x"), ("accept", "text/html")], Framing::Empty);
        assert!(!map.contains_key(name), "{name}");
        assert_eq!(text(&map, "accept"), ["text/html"]);
    }
}

#[test]
fn all_lines_of_connection_are_read() {
    let lines =
        [("connection", "x-one, close"), ("x-one", "1"), ("x-two", "2"), ("connection", "X-Two"), ("x-three", "3")];
    let map = passed(&lines, Framing::Empty);
    assert!(!map.contains_key("x-one") && !map.contains_key("x-two") && !map.contains_key("connection"));
    assert_eq!(text(&map, "x-three"), ["3"]);
}

#[test]
fn a_client_cannot_make_a_field_of_ours_vanish() {
    let nominated = "host, x-forwarded-for, x-request-id, x-forwarded-proto, authorization, cookie, content-length";
    let lines = [("connection", nominated), ("authorization", "Basic x"), ("cookie", "a=b"), ("content-length", "3")];
    let map = passed(&lines, Framing::Length(3));
    assert_eq!(text(&map, "host"), ["example.com:8080"]);
    assert_eq!(text(&map, "x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(text(&map, "x-forwarded-proto"), ["https"]);
    assert_eq!(text(&map, "x-request-id"), ["abc"]);
    assert_eq!(text(&map, "authorization"), ["Basic x"]);
    assert_eq!(text(&map, "cookie"), ["a=b"]);
    assert_eq!(text(&map, "content-length"), ["3"]);
}

#[test]
fn what_we_vouch_for_replaces_what_the_client_claims() {
    let lines = [
        ("host", "evil.example"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.2"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-real-ip", "10.0.0.3"),
        ("x-request-id", "forged"),
        ("forwarded", "for=10.0.0.1"),
        ("x-portreeve-attempt", "2"),
    ];
    let map = passed(&lines, Framing::Empty);
    let expected = [
        ("host", "example.com:8080"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "example.com:8080"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "192.0.2.1"),
        ("x-request-id", "abc"),
    ];
    for (name, value) in expected {
        assert_eq!(text(&map, name), [value], "{name}");
    }
    assert_eq!(map.len(), expected.len());
}

#[test]
fn cookie_crumbs_are_joined() {
    let map = passed(&[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("cookie", "c=3")], Framing::Empty);
    assert_eq!(text(&map, "cookie"), ["a=1; b=2; c=3"]);
    for (crumbs, joined) in [(["", "a=1", ""], "a=1"), (["a=1", "", "b=2"], "a=1; b=2"), (["", "", ""], "")] {
        let map = passed(&crumbs.map(|crumb| ("cookie", crumb)), Framing::Empty);
        assert_eq!(text(&map, "cookie"), [joined], "{crumbs:?}");
    }
}

#[test]
fn a_body_is_framed_in_one_way() {
    type Case<'a> = (&'a [(&'a str, &'a str)], Framing, &'a [&'a str], &'a [&'a str]);
    let cases: [Case<'_>; 7] = [
        (&[], Framing::Empty, &[], &[]),
        (&[("content-length", "0")], Framing::Empty, &["0"], &[]),
        (&[("content-length", "12")], Framing::Length(12), &["12"], &[]),
        (&[("content-length", "012")], Framing::Length(12), &["12"], &[]),
        (&[("content-length", "12"), ("content-length", "12")], Framing::Length(12), &["12"], &[]),
        (&[], Framing::Length(12), &["12"], &[]),
        (&[("transfer-encoding", "gzip, chunked"), ("content-length", "5")], Framing::Chunked, &[], &["chunked"]),
    ];
    for (lines, framing, length, coding) in cases {
        let map = passed(lines, framing);
        assert_eq!(text(&map, "content-length"), length, "{lines:?}");
        assert_eq!(text(&map, "transfer-encoding"), coding, "{lines:?}");
    }
}

#[test]
fn a_websocket_needs_both_fields_and_no_other_protocol() {
    let wants = |lines: &[(&str, &str)]| {
        let map = fields(lines);
        Survey::of(&map, |_| false).wants_websocket(&map)
    };
    assert!(wants(&[("connection", "Upgrade"), ("upgrade", "websocket")]));
    assert!(wants(&[("connection", "keep-alive"), ("connection", "x, upgrade"), ("upgrade", "WebSocket")]));
    assert!(!wants(&[("upgrade", "websocket")]));
    assert!(!wants(&[("connection", "keep-alive"), ("upgrade", "websocket")]));
    assert!(!wants(&[("connection", "upgrade"), ("upgrade", "h2c")]));
    assert!(!wants(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")]));
    assert!(!wants(&[("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")]));
}

#[test]
fn a_websocket_request_keeps_its_two_fields() {
    let lines = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "k")];
    let map = passed(&lines, Framing::Empty);
    assert_eq!(text(&map, "connection"), ["upgrade"]);
    assert_eq!(text(&map, "upgrade"), ["websocket"]);
    assert_eq!(text(&map, "sec-websocket-key"), ["k"]);
}

/// What a client gets of these fields, and for how long the connection may lie idle.
fn returned(lines: &[(&str, &str)], is_204: bool) -> (HeaderMap, Option<u64>) {
    let mut map = fields(lines);
    let keep = toward_client(&mut map, is_204, &HeaderValue::from_static("abc"));
    (map, keep.map(|keep| keep.as_secs()))
}

#[test]
fn a_response_loses_what_belongs_to_the_workers_connection() {
    let lines = [
        ("connection", "keep-alive, x-internal"),
        ("keep-alive", "timeout=5"),
        ("x-internal", "1"),
        ("server", "worker"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-request-id", "the worker's"),
    ];
    let (map, _) = returned(&lines, false);
    assert_eq!(text(&map, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(text(&map, "server"), ["worker"]);
    assert_eq!(text(&map, "x-request-id"), ["abc"]);
    assert_eq!(map.len(), 4);
}

#[test]
fn a_length_does_not_stand_beside_a_transfer_coding_nor_in_a_204() {
    let both = [("transfer-encoding", "chunked"), ("content-length", "5")];
    assert!(text(&returned(&both, false).0, "content-length").is_empty());
    assert!(text(&returned(&both, false).0, "transfer-encoding").is_empty());
    assert!(text(&returned(&[("content-length", "0")], true).0, "content-length").is_empty());
    assert_eq!(text(&returned(&[("content-length", "5")], false).0, "content-length"), ["5"]);
    let twice = [("content-length", "5"), ("content-length", "5")];
    assert_eq!(text(&returned(&twice, false).0, "content-length"), ["5"]);
    for said in ["005", "5,5", "5, 5"] {
        assert_eq!(text(&returned(&[("content-length", said)], false).0, "content-length"), ["5"], "{said}");
    }
}

#[test]
fn the_idle_limit_is_learned_with_a_second_to_spare() {
    for (value, expected) in [
        ("timeout=5", Some(4)),
        ("timeout=5, max=100", Some(4)),
        ("max=100, Timeout = \"30\"", Some(29)),
        ("timeout=1", Some(0)),
        ("timeout=0", Some(0)),
        ("max=100", None),
        ("timeout=soon", None),
        ("timeout=-1", None),
    ] {
        assert_eq!(returned(&[("keep-alive", value)], false).1, expected, "{value}");
    }
    assert_eq!(returned(&[], false).1, None);
}

#[test]
fn words_to_a_front_are_not_for_clients() {
    let mut map = fields(&[("x-sendfile", "/etc/x"), ("X-Accel-Redirect", "/y"), ("x-accel-buffering", "no")]);
    toward_client(&mut map, false, &HeaderValue::from_static("abc"));
    let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["x-accel-buffering", "x-request-id"]);
}
