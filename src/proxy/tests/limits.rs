//! Clients that ask for too much, or take too long.

use std::time::Duration;

use super::client::Client;
use super::rig::Rig;
use super::run;
use super::worker::Worker;

#[test]
fn a_connection_without_an_exchange_is_given_up_and_one_with_an_exchange_is_not() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::limited(&worker, |limits| limits.keepalive_idle = Duration::from_millis(30)).await;
        let (mut silent, mut busy) = (Client::connect(rig.http).await, Client::connect(rig.http).await);
        busy.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        served.request().await;
        assert!(silent.try_response().await.is_none());
        served.respond("still here").await;
        assert_eq!(busy.response().await.body, "still here");
        assert!(busy.try_response().await.is_none());
        rig.stop().await;
    });
}

#[test]
fn a_request_that_comes_after_the_connection_was_closed_for_being_idle_is_counted() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.keepalive_idle = Duration::from_millis(30)).await;
        let mut client = Client::connect(rig.http).await;
        assert!(client.try_response().await.is_none());
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        drop(client);
        rig.metric_becomes("portreeve_close_unread_total", &[], 1).await;
        rig.stop().await;
    });
}

#[test]
fn a_long_head_is_refused() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::limited(&worker, |limits| (limits.header_bytes, limits.header_count) = (8192, 10)).await;
        let mut client = Client::connect(rig.http).await;
        client.write(&format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(9000))).await;
        assert!(client.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 431"));
        let mut client = Client::connect(rig.http).await;
        client.write(&format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(10))).await;
        assert_eq!(client.response().await.status(), 431);
        rig.stop().await;
    });
}

#[test]
fn a_long_body_is_refused_whether_or_not_its_length_is_told() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        rig.web().requests.body_bytes = Some(8);
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        assert_eq!(client.post("/", "123456789").await.status(), 413);
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n").await;
        let mut served = worker.accept().await;
        served.read_until("12345").await;
        client.write("4\r\n6789\r\n").await;
        assert_eq!(client.response().await.status(), 413);
        assert!(served.try_request().await.is_none(), "the worker sees that the body is not whole");
        rig.stop().await;
    });
}

#[test]
fn a_body_that_stops_coming_is_given_up() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::limited(&worker, |limits| limits.body_idle = Duration::from_millis(30)).await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n1234").await;
        let mut served = worker.accept().await;
        assert_eq!(client.response().await.status(), 408);
        served.read_until("1234").await;
        assert!(served.ends().await);
        rig.stop().await;
    });
}

#[test]
fn a_slow_client_does_not_use_up_the_workers_time_to_answer() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        rig.web().response_timeout = Some(Duration::from_millis(50));
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n1").await;
        let mut served = worker.accept().await;
        served.read_until("1").await;
        // Several times as long as the worker may take.
        assert!(tokio::time::timeout(Duration::from_millis(200), client.try_response()).await.is_err());
        client.write("2").await;
        served.read_until("2").await;
        served.respond("in time").await;
        assert_eq!(client.response().await.body, "in time");
        rig.stop().await;
    });
}

#[test]
fn a_client_that_expects_to_be_told_is_told_to_go_on() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::limited(&worker, |_| {}).await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n").await;
        let mut served = worker.accept().await;
        assert_eq!(client.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.write("hi").await;
        let request = served.request().await;
        assert_eq!((request.body.as_str(), request.field("expect")), ("hi", None));
        served.respond("ok").await;
        assert_eq!(client.response().await.body, "ok");
        rig.stop().await;
    });
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        rig.snapshot.limits.connections = 1;
        rig.publish().await;
        tokio::spawn(worker.serve_all("x"));
        let mut first = Client::connect(rig.http).await;
        assert_eq!(first.get("/").await.status(), 200);
        let mut second = Client::connect(rig.http).await;
        second.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(tokio::time::timeout(Duration::from_millis(50), second.response()).await.is_err());
        drop(first);
        assert_eq!(second.response().await.status(), 200);
        rig.stop().await;
    });
}

#[test]
fn a_handshake_that_does_not_begin_is_given_up() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::limited(&worker, |limits| limits.handshake_timeout = Duration::from_millis(30)).await;
        let mut client = Client::connect(rig.https).await;
        assert_eq!(client.rest().await, "");
        rig.stop().await;
    });
}
