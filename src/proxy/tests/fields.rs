//! What worker and client get to see of each other's heads, and which requests are refused.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};

use super::client::{self, Client};
use super::rig::Rig;
use super::run;
use super::worker::Worker;

#[test]
fn a_worker_is_told_when_a_request_came_in_if_it_wants_to_know() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let ask = "GET / HTTP/1.1\r\nhost: a\r\nx-request-start: t=1.000\r\n\r\n";
        let mut client = Client::connect(rig.http).await;
        client.write(ask).await;
        let ((mut served, request), _) = tokio::join!(worker.serve_once("a"), client.response());
        assert_eq!(request.field("x-request-start"), None);

        rig.web().requests.request_start = true;
        rig.publish().await;
        let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let before = now();
        client.write(ask).await;
        let request = served.request().await;
        let told: f64 = request.field("x-request-start").unwrap().strip_prefix("t=").unwrap().parse().unwrap();
        assert!(told >= before - 0.001 && told <= now(), "{request:?}");
        served.respond("b").await;
        client.response().await;

        rig.snapshot.clients.trusted = vec!["127.0.0.1/32".parse().unwrap()];
        rig.publish().await;
        client.write(ask).await;
        assert_eq!(served.request().await.field("x-request-start"), Some("t=1.000"), "a front that saw it first");
        served.respond("c").await;
        client.response().await;
        rig.stop().await;
    });
}

#[test]
fn the_worker_is_told_who_asks_and_the_client_by_which_name_it_was_handled() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        let request = "GET /%78/../x?y HTTP/1.1\r\nHost: Example.COM:80\r\nX-Forwarded-For: 10.0.0.1\r\n\
            Connection: keep-alive, x-secret\r\nX-Secret: 1\r\nTE: trailers\r\n\
            X_Real_IP: 1\r\nX-Forwarded-Port: 1\r\nTrue-Client-IP: 1\r\n\r\n";
        client.write(request).await;
        let ((_served, request), response) = tokio::join!(worker.serve_once("x"), client.response());
        assert_eq!(request.start, "GET /x?y HTTP/1.1");
        let id = response.field("x-request-id").unwrap();
        for (name, value) in [
            ("host", Some("example.com:80")),
            ("x-forwarded-for", Some("127.0.0.1")),
            ("x-real-ip", Some("127.0.0.1")),
            ("x-forwarded-proto", Some("http")),
            ("x-forwarded-host", Some("example.com:80")),
            ("x-request-id", Some(id)),
            ("x-secret", None),
            ("connection", None),
            ("te", None),
            ("x_real_ip", None),
            ("x-forwarded-port", None),
            ("true-client-ip", None),
        ] {
            assert_eq!(request.field(name), value, "{name}");
        }
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        rig.stop().await;
    });
}

#[test]
fn an_absolute_target_names_the_host() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET http://example.com/x HTTP/1.1\r\nhost: example.com\r\n\r\n").await;
        let ((_served, request), response) = tokio::join!(worker.serve_once("x"), client.response());
        assert_eq!((request.start.as_str(), request.field("host")), ("GET /x HTTP/1.1", Some("example.com")));
        assert_eq!(response.status(), 200);
        rig.stop().await;
    });
}

#[test]
fn an_http_1_0_client_is_spoken_to_as_such_and_its_worker_is_not() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        assert_eq!(served.request().await.start, "GET / HTTP/1.1");
        served.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
        let all = client.rest().await;
        assert!(all.starts_with("HTTP/1.0 200") && all.ends_with("\r\n\r\nok"), "{all}");
        rig.stop().await;
    });
}

#[test]
fn what_is_refused_says_why_and_has_a_name() {
    run(async {
        let mut rig = Rig::start().await;
        rig.web().hosts = Some(vec!["served".into()]);
        rig.publish().await;
        for (request, status) in [
            ("GET / HTTP/1.1\r\nhost: other\r\n\r\n", 404),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
            ("GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n", 400),
            ("TRACE / HTTP/1.1\r\nhost: a\r\n\r\n", 405),
            ("POST / HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\n\r\n", 417),
            ("GET /a/../../b HTTP/1.1\r\nhost: a\r\n\r\n", 400),
            ("GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
            ("get / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ] {
            let mut client = Client::connect(rig.http).await;
            client.write(request).await;
            let response = client.response().await;
            assert_eq!(response.status(), status, "{request}");
            assert!(response.body.starts_with(&status.to_string()), "{response:?}");
            assert!(response.field("x-request-id").is_some());
        }
        let mut client = Client::connect(rig.http).await;
        client.write("HEAD / HTTP/1.1\r\nhost: other\r\n\r\nGET / HTTP/1.1\r\nhost: other\r\n\r\n").await;
        let head = client.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
        rig.metric_becomes("portreeve_requests_total", &[("app", "-"), ("code_class", "4xx")], 11).await;
        rig.stop().await;
    });
}

#[test]
fn a_refusal_reaches_a_client_that_goes_on_writing() {
    run(async {
        let mut rig = Rig::start().await;
        rig.web().hosts = Some(vec!["served".into()]);
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: other\r\ncontent-length: 1000000\r\n\r\n").await;
        let chunk = vec![b'x'; 10_000];
        for _ in 0..100 {
            client.try_write(&chunk).await.unwrap();
        }
        assert_eq!(client.response().await.status(), 404);
        assert_eq!(rig.metric("portreeve_close_unread_total", &[]).await, 0);
        rig.stop().await;
    });
}

#[test]
fn a_workers_answer_is_freed_of_contradictions() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        served.request().await;
        served.write("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n").await;
        served
            .write("HTTP/1.1 200 Fine\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
        let response = client.response().await;
        assert_eq!((response.start.as_str(), response.body.as_str()), ("HTTP/1.1 200 OK", "ok"), "in our own words");
        assert_eq!((response.field("content-length"), response.field("link")), (None, None));
        rig.stop().await;
    });
}

#[test]
fn http_2_over_tls_reaches_a_worker_as_http_1_1() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut sender = client::http2(&rig).await;
        let request = http::Request::post("https://localhost/x?y").header("cookie", "a=1").header("cookie", "b=2");
        let request = request.body(Full::new(Bytes::from_static(b"hello"))).unwrap();
        let (served, response) = tokio::join!(worker.serve_once("from the worker"), sender.send_request(request));
        let (request, response) = (served.1, response.unwrap());
        assert_eq!((request.start.as_str(), request.body.as_str()), ("POST /x?y HTTP/1.1", "hello"));
        assert_eq!((request.field("host"), request.field("cookie")), (Some("localhost"), Some("a=1; b=2")));
        assert_eq!(request.field("x-forwarded-proto"), Some("https"));
        assert_eq!((response.status(), response.version()), (http::StatusCode::OK, http::Version::HTTP_2));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "from the worker");
        rig.stop().await;
    });
}

#[test]
fn many_http_2_streams_at_once_arrive_whole_and_an_event_does_not_wait_for_the_next() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut sender = client::http2(&rig).await;
        let events = http::Request::get("https://localhost/events").body(Full::default()).unwrap();
        let answer = async {
            let mut served = worker.accept().await;
            served.request().await;
            served.write("HTTP/1.1 200 OK\r\n\r\ndata: one\n\n").await;
            served
        };
        let (mut served, events) = tokio::join!(answer, sender.send_request(events));
        let mut events = events.unwrap().into_body();
        assert_eq!(events.frame().await.unwrap().unwrap().into_data().unwrap(), "data: one\n\n");

        let body: &'static str = Box::leak("0123456789abcdef".repeat(8 * 1024).into_boxed_str());
        tokio::spawn(worker.serve_all(body));
        let mut sender = client::http2(&rig).await;
        let asked: Vec<_> = (0..20)
            .map(|_| {
                let request =
                    http::Request::post("https://localhost/").body(Full::new(Bytes::from_static(body.as_bytes())));
                tokio::spawn(sender.send_request(request.unwrap()))
            })
            .collect();
        for response in asked {
            assert_eq!(response.await.unwrap().unwrap().into_body().collect().await.unwrap().to_bytes(), body);
        }

        served.write("data: two\n\n").await;
        assert_eq!(events.frame().await.unwrap().unwrap().into_data().unwrap(), "data: two\n\n");
        rig.stop().await;
    });
}

#[test]
fn an_http_2_response_that_breaks_off_is_reset() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut sender = client::http2(&rig).await;
        let request = http::Request::get("https://localhost/").body(Full::default()).unwrap();
        let answer = async {
            let mut served = worker.accept().await;
            served.request().await;
            served.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
        };
        let ((), response) = tokio::join!(answer, sender.send_request(request));
        assert!(response.unwrap().into_body().collect().await.is_err());
        rig.stop().await;
    });
}

#[test]
fn each_exchange_is_a_line_of_the_access_log() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let worker = Worker::start(7).await;
        let mut rig = Rig::start_with(|manifest| {
            manifest.access_log = Some(path.clone());
            manifest.access_json = true;
        })
        .await;
        rig.web().endpoints = vec![super::rig::endpoint(&worker)];
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        let (_served, response) = tokio::join!(worker.serve_once("four"), client.post("/p?q", "upload"));
        let id = response.field("x-request-id").unwrap().to_owned();
        rig.stop().await;
        let text = std::fs::read_to_string(path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((&line["id"], &line["app"], &line["worker"]), (&id.into(), &"web".into(), &"1.7".into()));
        assert_eq!((&line["method"], &line["path"], &line["status"]), (&"POST".into(), &"/p?q".into(), &200.into()));
        assert_eq!((&line["bytes_in"], &line["bytes_out"], &line["attempts"]), (&6.into(), &4.into(), &1.into()));
        assert!(line.get("fault").is_none(), "{line}");
    });
}
