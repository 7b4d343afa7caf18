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

/// The head that a worker gets of these fields.
fn written(lines: &[(&str, &str)], framing: Framing, trace: Trace) -> Vec<u8> {
    started(lines, framing, (trace, Start::Untold))
}

fn started(lines: &[(&str, &str)], framing: Framing, (trace, start): (Trace, Start)) -> Vec<u8> {
    let map = fields(lines);
    let survey = Survey::of(&map, |_| false);
    let host = HeaderValue::from_static("example.com:8080");
    let vouched = Vouched {
        host: &host,
        client: &ClientLines::new("192.0.2.1, 192.0.2.2", "192.0.2.1", true),
        forwarded_host: &host,
        forwarded: None,
        id: &HeaderValue::from_static("abc"),
        trace,
        start,
        framing,
        is_websocket: survey.wants_websocket(&map),
        refused: &[HeaderName::from_static("x_refused")],
    };
    write(&Method::GET, "/x?y", &map, survey, &vouched)
}

/// What a worker gets of these fields.
fn passed(lines: &[(&str, &str)], framing: Framing) -> HeaderMap {
    read(&written(lines, framing, Trace::Pass)).headers().clone()
}

#[test]
fn a_head_is_written_line_by_line() {
    let ours = "x-forwarded-for: 192.0.2.1, 192.0.2.2\r\nx-real-ip: 192.0.2.1\r\nx-forwarded-proto: https\r\n\
                x-forwarded-host: example.com:8080\r\nx-request-id: abc\r\n";
    let lines = [("accept", "*/*"), ("host", "x"), ("x-twice", "1"), ("x-twice", ""), ("x_refused", "1")];
    let bare =
        format!("GET /x?y HTTP/1.1\r\nhost: example.com:8080\r\naccept: */*\r\nx-twice: 1\r\nx-twice: \r\n{ours}\r\n");
    assert_eq!(String::from_utf8(written(&lines, Framing::Empty, Trace::Pass)).unwrap(), bare);
    let again = format!("{}x-portreeve-attempt: 2\r\n\r\n", bare.strip_suffix("\r\n").unwrap());
    assert_eq!(String::from_utf8(numbered(bare.as_bytes(), 2)).unwrap(), again);
}

#[test]
fn a_client_is_known_by_its_address() {
    assert_eq!(ClientLines::new("192.0.2.1, 2001:db8::1", "192.0.2.1", false).address(), b"192.0.2.1");
}

#[test]
fn when_a_request_came_in_is_ours_to_say_unless_a_front_has_said_it() {
    let lines = [("x-request-start", "t=1.000")];
    let get = |start| {
        let map = read(&started(&lines, Framing::Empty, (Trace::Pass, start))).headers().clone();
        text(&map, "x-request-start")
    };
    assert!(get(Start::Untold).is_empty(), "a client's own word goes no further");
    assert_eq!(get(Start::Said), ["t=1.000"]);
    let at = |millis| Start::At(UNIX_EPOCH + std::time::Duration::from_millis(millis));
    assert_eq!(get(at(1_512_379_167_074)), ["t=1512379167.074"]);
    assert_eq!(get(at(0)), ["t=0.000"]);
}

#[test]
fn what_was_said_of_a_trace_goes_on_or_leaves_nothing() {
    let lines = [("traceparent", "00-a"), ("tracestate", "a=1"), ("tracestate", "b=2")];
    let get = |trace| read(&written(&lines, Framing::Empty, trace)).headers().clone();
    let map = get(Trace::Pass);
    assert_eq!((text(&map, "traceparent"), text(&map, "tracestate").len()), (vec!["00-a".to_owned()], 2));
    let map = get(Trace::Drop);
    assert!(!map.contains_key("traceparent") && !map.contains_key("tracestate"));
    let map = get(Trace::Start([b'7'; 55]));
    assert_eq!(text(&map, "traceparent"), ["7".repeat(55)]);
    assert!(!map.contains_key("tracestate"));
}

#[test]
fn every_field_of_one_connection_is_taken_off() {
    for name in &headers::STRIPPED {
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
    assert_eq!(text(&map, "x-forwarded-for"), ["192.0.2.1, 192.0.2.2"]);
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
        ("x-forwarded-for", "192.0.2.1, 192.0.2.2"),
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
fn a_websocket_request_keeps_its_two_fields() {
    let lines = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "k")];
    let map = passed(&lines, Framing::Empty);
    assert_eq!(text(&map, "connection"), ["upgrade"]);
    assert_eq!(text(&map, "upgrade"), ["websocket"]);
    assert_eq!(text(&map, "sec-websocket-key"), ["k"]);
}
