//! Whom workers and the access log are told that a request is from.

use super::client::Client;
use super::rig::Rig;
use super::run;
use super::worker::Worker;

/// What a worker gets of a request with these fields: the values of the fields named.
async fn told(rig: &Rig, worker: &Worker, begin: &str, lines: &str, names: &[&str]) -> Vec<Option<String>> {
    let mut client = Client::connect(rig.http).await;
    client.write(&format!("{begin}GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n")).await;
    let ((_served, request), response) = tokio::join!(worker.serve_once("x"), client.response());
    assert_eq!(response.status(), 200);
    names.iter().map(|name| request.field(name).map(str::to_owned)).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const CLAIMS: &str = "x-forwarded-for: 6.6.6.6, 192.0.2.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: Shop.example\r\n\
    x-request-id: edge-1\r\nforwarded: for=6.6.6.6\r\nx_legacy: 1\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

const NAMES: [&str; 8] = [
    "x-forwarded-for",
    "x-real-ip",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-request-id",
    "forwarded",
    "x_legacy",
    "traceparent",
];

#[test]
fn a_stranger_speaks_for_nobody_and_a_trusted_front_for_its_clients() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let heard = told(&rig, &worker, "", CLAIMS, &NAMES).await;
        let id = heard[4].clone().unwrap();
        assert!(id.len() == 32, "{id}");
        let expected =
            [Some("127.0.0.1"), Some("127.0.0.1"), Some("http"), Some("a"), Some(&*id), None, None, Some(TRACE)];
        assert_eq!(heard, expected.map(|value| value.map(str::to_owned)));

        rig.snapshot.clients.trusted = vec!["127.0.0.0/8".parse().unwrap()];
        rig.snapshot.clients.forwarded = true;
        rig.snapshot.clients.allow_headers = vec!["x_legacy".into()];
        rig.publish().await;
        let heard = told(&rig, &worker, "", CLAIMS, &NAMES).await;
        let forwarded = "for=192.0.2.1;host=\"shop.example\";proto=https, for=127.0.0.1";
        let expected = ["192.0.2.1, 127.0.0.1", "192.0.2.1", "https", "shop.example", "edge-1", forwarded, "1", TRACE];
        assert_eq!(heard, some(&expected));
        rig.stop().await;
    });
}

#[test]
fn a_request_that_belongs_to_no_trace_begins_one_under_its_own_name() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let names = &["x-request-id", "traceparent", "tracestate"];
        let state = format!("traceparent: {TRACE}\r\ntracestate: a=1\r\n");
        for starts in [true, false] {
            rig.snapshot.clients.start_traces = starts;
            rig.publish().await;
            assert_eq!(told(&rig, &worker, "", &state, names).await[1..], some(&[TRACE, "a=1"]));
            for lines in ["", "tracestate: a=1\r\n", "traceparent: 00-a-b-01\r\ntracestate: a=1\r\n"] {
                let heard = told(&rig, &worker, "", lines, names).await;
                let begun = heard[1].as_deref();
                assert_eq!(
                    begun.is_some_and(|begun| begun.contains(heard[0].as_deref().unwrap())),
                    starts,
                    "{heard:?}"
                );
                assert_eq!((begun.is_some(), heard[2].as_deref()), (starts, None));
            }
        }
        rig.stop().await;
    });
}

#[test]
fn a_connection_is_from_whom_its_introduction_says_and_without_one_it_is_closed() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        rig.snapshot.clients.proxy_protocol = vec!["127.0.0.1/32".parse().unwrap()];
        rig.publish().await;
        let names = &["x-forwarded-for"];
        let introduction = "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n";
        assert_eq!(told(&rig, &worker, introduction, "", names).await, some(&["192.0.2.7"]));
        assert_eq!(told(&rig, &worker, "PROXY UNKNOWN\r\n", "", names).await, some(&["127.0.0.1"]));
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.try_response().await, None);
        rig.stop().await;
    });
}

#[test]
fn the_access_log_names_client_and_exchange_as_the_front_does() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let worker = Worker::start(1).await;
        let mut rig = Rig::start_with(|manifest| {
            manifest.access_log = Some(path.clone());
            manifest.access_json = true;
        })
        .await;
        rig.web().endpoints = vec![super::rig::endpoint(&worker)];
        rig.snapshot.clients.trusted = vec!["127.0.0.0/8".parse().unwrap()];
        rig.publish().await;
        told(&rig, &worker, "", CLAIMS, &NAMES).await;
        rig.stop().await;
        let text = std::fs::read_to_string(path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((&line["peer"], &line["id"]), (&"192.0.2.1".into(), &"edge-1".into()), "{line}");
    });
}
