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

#[test]
fn the_table_and_the_look_up_agree() {
    for (index, name) in STRIPPED.iter().enumerate() {
        assert_eq!(stripped(name.as_str()), Some(index), "{name}");
    }
    assert_eq!(stripped("content-type"), None);
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

/// What a client gets of these fields, and for how long the connection may lie idle.
fn returned(lines: &[(&str, &str)], is_204: bool) -> (HeaderMap, Option<u64>) {
    let mut map = fields(lines);
    let survey = Survey::of(&map, is_order);
    let keep = toward_client(&mut map, survey, is_204, &HeaderValue::from_static("abc"));
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
    let (map, _) =
        returned(&[("x-sendfile", "/etc/x"), ("X-Accel-Redirect", "/y"), ("x-accel-buffering", "no")], false);
    let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["x-accel-buffering", "x-request-id"]);
}

#[test]
fn a_length_is_known_if_it_is_there_once_in_its_shortest_form() {
    let known = |lines: &[&str]| {
        let mut map = HeaderMap::new();
        for line in lines {
            map.append(header::CONTENT_LENGTH, HeaderValue::from_str(line).unwrap());
        }
        Survey::of(&map, |_| false).length
    };
    for (text, length) in [("0", 0), ("7", 7), ("10", 10), ("18446744073709551615", u64::MAX)] {
        assert_eq!(known(&[text]), Some(length));
        assert_eq!(known(&[text, text]), None, "twice");
        assert_eq!(known(&[text, text, text]), None);
    }
    for text in ["", "00", "07", "+7", "-7", " 7", "7 ", "7,7", "7.0", "0x7", "18446744073709551616"] {
        assert_eq!(known(&[text]), None, "{text:?}");
    }
    assert_eq!(known(&[]), None);
}
