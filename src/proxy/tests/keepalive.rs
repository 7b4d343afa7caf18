//! Which connection to a worker carries which exchange.

use std::time::Duration;

use super::client::Client;
use super::rig::Rig;
use super::run;
use super::worker::Worker;

/// Both ends of one exchange after another on one connection each.
#[test]
fn a_connection_to_a_worker_is_used_again() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        let ((mut served, _), response) = tokio::join!(worker.serve_once("one"), client.get("/"));
        assert_eq!((response.status(), response.body.as_str()), (200, "one"));
        for body in ["two", "three"] {
            let answer = async {
                served.request().await;
                served.respond(body).await;
            };
            let ((), response) = tokio::join!(answer, client.get("/"));
            assert_eq!(response.body, body);
        }
        rig.stop().await;
        assert!(served.ends().await);
    });
}

#[test]
fn responses_without_a_body_leave_the_connection_usable() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        let ((mut served, _), _) = tokio::join!(worker.serve_once(""), client.get("/"));
        for (method, head, status) in [
            ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", 200),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204),
            ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n", 304),
            ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
            ("POST", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 200),
        ] {
            let answer = async {
                let request = served.request().await;
                assert!(request.start.starts_with(method));
                served.write(head).await;
            };
            let ask = async {
                client.write(&format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
                client.read_until("\r\n\r\n").await
            };
            let ((), response) = tokio::join!(answer, ask);
            assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
        }
        rig.stop().await;
    });
}

#[test]
fn requests_that_come_at_once_are_answered_in_turn() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        let request = |n| format!("POST /{n} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n{n}");
        client.write(&[1, 2, 3].map(request).concat()).await;
        let mut served = worker.accept().await;
        for body in ["1", "2", "3"] {
            assert_eq!(served.request().await.body, body);
            served.respond(body).await;
            assert_eq!(client.response().await.body, body);
        }
        rig.stop().await;
    });
}

#[test]
fn the_connection_used_last_is_used_first() {
    run(async {
        let worker = Worker::start(1).await;
        // One thread, so one pool.
        let mut rig = Rig::start_with(|manifest| manifest.threads = 1).await;
        rig.web().endpoints = vec![super::rig::endpoint(&worker)];
        rig.publish().await;
        let (mut one, mut two) = (Client::connect(rig.http).await, Client::connect(rig.http).await);
        one.write("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut first = worker.accept().await;
        first.request().await;
        two.write("GET /2 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut second = worker.accept().await;
        second.request().await;
        second.respond("").await;
        two.response().await;
        first.respond("").await;
        one.response().await;
        // The first connection was given back last.
        two.write("GET /3 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(first.request().await.start.starts_with("GET /3"));
        first.respond("").await;
        two.response().await;
        rig.stop().await;
    });
}

/// Does the proxy use a connection a second time, when the worker says this and the app is configured like that?
async fn is_reused(field: &str, keepalive: Duration) -> bool {
    let worker = Worker::start(1).await;
    let mut rig = Rig::serving(&[&worker]).await;
    rig.web().keepalive = keepalive;
    rig.publish().await;
    let mut client = Client::connect(rig.http).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut served = worker.accept().await;
    served.request().await;
    served.write(&format!("HTTP/1.1 200 OK\r\n{field}content-length: 0\r\n\r\n")).await;
    let response = client.response().await;
    assert_eq!(response.field("keep-alive"), None);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let reused = tokio::select! {
        request = served.try_request() => request.is_some(),
        _ = worker.accept() => false,
    };
    rig.stop().await;
    reused
}

#[test]
fn how_long_a_connection_may_lie_idle_is_learned_from_the_worker() {
    run(async {
        let (long, none) = (Duration::from_mins(1), Duration::ZERO);
        assert!(is_reused("", long).await);
        assert!(!is_reused("", none).await);
        assert!(is_reused("keep-alive: timeout=60\r\n", none).await);
        assert!(!is_reused("keep-alive: timeout=1\r\n", long).await);
        assert!(!is_reused("connection: close\r\n", long).await);
    });
}

#[test]
fn an_idle_connection_that_has_expired_is_closed_without_being_used() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        rig.web().keepalive = Duration::from_millis(10);
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        let ((mut served, _), _) = tokio::join!(worker.serve_once("x"), client.get("/"));
        assert!(served.ends().await, "swept");
        rig.stop().await;
    });
}

#[test]
fn a_connection_with_bytes_that_nobody_asked_for_is_not_used_again() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        served.request().await;
        served
            .write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
            .await;
        assert_eq!(client.response().await.body, "ok");
        let (_, response) = tokio::join!(worker.serve_once("good"), client.get("/"));
        assert_eq!(response.body, "good");
        rig.stop().await;
    });
}
