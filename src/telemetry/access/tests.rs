use serde_json::Value;

use super::*;

/// 2026-11-23T04:12:59.007Z.
const TIME: Duration = Duration::from_millis(1_795_407_179_007);

/// What a hostile client may send: every byte, ends of lines and strings, terminal commands, broken UTF-8.
fn hostile() -> Vec<Vec<u8>> {
    vec![
        (0..=255).collect(),
        b"/\r\n{\"status\":200}\n".to_vec(),
        b"\"\\\\\" \"- 200".to_vec(),
        "\u{1b}[2J\u{9b}31m\u{7f}\u{85}\u{2028}\u{1f600}".into(),
        b"\xff\xfe\xc3\x28\xf0\x9f".to_vec(),
        Vec::new(),
    ]
}

fn request() -> Request<'static> {
    Request {
        method: "GET",
        host: b"example.org:8080",
        path: "/a/b?c=d",
        protocol: "HTTP/1.1",
        referer: None,
        user_agent: Some(b"curl/8.5"),
    }
}

pub(super) fn line(service: Service<'_>) -> Line<'_> {
    Line {
        time: SystemTime::UNIX_EPOCH + TIME,
        client: Client { address: b"192.0.2.7", tls: true },
        id: b"00000000000000000000000000000abc",
        service,
        status: 502,
        received: 17,
        sent: 2326,
        took: Duration::from_nanos(1_012_345_678),
        fault: Some("connect"),
    }
}

/// Writes a line about a request for a path.
pub(super) fn write(log: &AccessLog, path: &str) {
    log.write(&log.asked(&Request { path, ..request() }), &line(Service::default()));
}

fn formatted(format: Format, request: &Request<'_>, line: &Line<'_>) -> String {
    let mut out = Vec::new();
    format.append(&mut out, &Asked::of(request, format), line);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out.matches('\n').count(), 1, "{out:?}");
    out.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn a_text_line_is_combined_and_then_some() {
    let app = "web".parse().unwrap();
    let worker = Some((Generation(12), Slot(0)));
    let service = Service { app: Some(&app), worker, attempts: 2, queued: Duration::from_micros(50) };
    assert_eq!(
        formatted(Format::Text, &request(), &line(service)),
        "192.0.2.7 - - [23/Nov/2026:04:12:59 +0000] \"GET /a/b?c=d HTTP/1.1\" 502 2326 \"-\" \"curl/8.5\" \
         host=\"example.org:8080\" app=web worker=12.0 in=17 seconds=1.012345 queued=0.000050 attempts=2 fault=connect \
         tls=yes id=00000000000000000000000000000abc"
    );
}

#[test]
fn a_time_is_told_as_the_calendar_has_it_also_when_seconds_and_days_change() {
    for millis in [0, 999, 1_000, 1_001, 951_782_399_999, 951_782_400_000, 951_868_800_000, 1_795_407_179_007, 0] {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let line = Line { time, ..line(Service::default()) };
        let parsed: Value = serde_json::from_str(&formatted(Format::Json, &request(), &line)).unwrap();
        let told = jiff::Timestamp::try_from(time).unwrap();
        assert_eq!(parsed["time"], format!("{told:.3}"));
    }
}

#[test]
fn a_json_line_says_the_same() {
    let app = "web".parse().unwrap();
    let worker = Some((Generation(12), Slot(0)));
    let service = Service { app: Some(&app), worker, attempts: 2, queued: Duration::from_micros(50) };
    let parsed: Value = serde_json::from_str(&formatted(Format::Json, &request(), &line(service))).unwrap();
    let expected = serde_json::json!({
        "time": "2026-11-23T04:12:59.007Z", "id": "00000000000000000000000000000abc", "peer": "192.0.2.7", "tls": true,
        "protocol": "HTTP/1.1", "method": "GET", "host": "example.org:8080", "path": "/a/b?c=d",
        "user_agent": "curl/8.5", "status": 502, "bytes_in": 17, "bytes_out": 2326, "seconds": 1.012_345,
        "app": "web", "worker": "12.0", "queued": 0.000_05, "attempts": 2, "fault": "connect",
    });
    assert_eq!(parsed, expected);
}

#[test]
fn what_is_not_there_is_a_dash_or_left_out() {
    let request = Request { user_agent: None, ..request() };
    let line = Line { fault: None, ..line(Service::default()) };
    let text = formatted(Format::Text, &request, &line);
    assert!(text.contains("\"-\" \"-\"") && text.contains(" app=- worker=- ") && text.contains(" fault=- "), "{text}");
    let json: Value = serde_json::from_str(&formatted(Format::Json, &request, &line)).unwrap();
    for name in ["app", "worker", "fault", "referer", "user_agent"] {
        assert!(json.get(name).is_none(), "{name}");
    }
}

#[test]
fn every_json_line_parses_and_gives_back_what_was_sent() {
    for bytes in hostile() {
        let text = String::from_utf8_lossy(&bytes);
        let request = Request {
            method: &text,
            host: &bytes,
            path: &text,
            referer: Some(&bytes),
            user_agent: Some(&bytes),
            ..request()
        };
        let out = formatted(Format::Json, &request, &line(Service::default()));
        assert!(!out.chars().any(char::is_control), "{out:?}");
        let json: Value = serde_json::from_str(&out).unwrap();
        for name in ["method", "host", "path", "referer", "user_agent"] {
            assert_eq!(json[name], *text, "{name}");
        }
    }
}

#[test]
fn a_hostile_text_line_is_printable_and_keeps_its_quotes_in_pairs() {
    for bytes in hostile() {
        let text = String::from_utf8_lossy(&bytes);
        let request = Request {
            method: &text,
            host: &bytes,
            path: &text,
            referer: Some(&bytes),
            user_agent: Some(&bytes),
            ..request()
        };
        let out = formatted(Format::Text, &request, &line(Service::default()));
        assert!(out.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{out:?}");
        assert_eq!(out.matches('"').count(), 8, "{out:?}");
    }
}

#[test]
fn a_clock_outside_the_calendar_still_makes_a_line() {
    let times =
        [SystemTime::UNIX_EPOCH - Duration::from_secs(1), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 45)];
    for time in times {
        let line = Line { time, ..line(Service::default()) };
        assert!(serde_json::from_str::<Value>(&formatted(Format::Json, &request(), &line)).is_ok());
        assert!(formatted(Format::Text, &request(), &line).contains(" +0000] "));
    }
}

#[test]
fn each_byte_that_needs_care_is_found_wherever_it_stands() {
    for byte in 0..=255 {
        for (before, after) in (0..20).flat_map(|before| (0..3).map(move |after| (before, after))) {
            let text = [&vec![b'a'; before][..], &[byte], &vec![b'~'; after]].concat();
            let mut out = Vec::new();
            super::escape::json(&mut out, &text);
            let needs_care = !(b' '..=b'~').contains(&byte) || matches!(byte, b'"' | b'\\');
            assert_eq!(out != text, needs_care, "{byte} after {before}, before {after}");
        }
    }
}
