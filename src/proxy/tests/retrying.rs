//! What is sent again, where to, and what is not.

use std::time::Duration;

use super::client::Client;
use super::rig::{Rig, endpoint_at};
use super::run;
use super::worker::{Served, Worker};
use crate::id::{Address, Serial};
use crate::link::{FaultKind, FromProxy};

/// A rig whose next exchange goes to `first`: `second` has one under way.
async fn favouring(first: &Worker, second: &Worker) -> (Rig, Client, Served) {
    let mut rig = Rig::serving(&[second]).await;
    let mut other = Client::connect(rig.http).await;
    other.write("GET /under-way HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut busy = second.accept().await;
    busy.request().await;
    rig.web().endpoints = [first, second].map(super::rig::endpoint).into();
    rig.publish().await;
    (rig, other, busy)
}

fn is_fault(serial: u64, kind: FaultKind) -> impl Fn(&FromProxy) -> bool {
    move |message| matches!(message, FromProxy::Fault { serial: of, kind: k, .. } if *of == Serial(serial) && *k == kind)
}

/// An address on which nobody listens.
async fn nowhere() -> Address {
    Worker::start(0).await.address
}

#[test]
fn r1_what_could_not_connect_goes_to_another_worker_whatever_its_method() {
    run(async {
        let (mut dead, alive) = (Worker::start(1).await, Worker::start(2).await);
        dead.address = nowhere().await;
        let (mut rig, _other, _busy) = favouring(&dead, &alive).await;
        let mut client = Client::connect(rig.http).await;
        let ((_served, request), response) = tokio::join!(alive.serve_once("done"), client.post("/", "x"));
        assert_eq!((response.status(), response.body.as_str()), (200, "done"));
        assert_eq!((request.body.as_str(), request.field("x-portreeve-attempt")), ("x", Some("2")));
        rig.expect(is_fault(1, FaultKind::Connect)).await;
        assert_eq!(rig.metric("portreeve_retries_total", &[("rule", "R1")]).await, 1);
        rig.stop().await;
    });
}

#[test]
fn r1_ends_when_there_is_nobody_else() {
    run(async {
        let mut rig = Rig::start().await;
        rig.web().endpoints = vec![endpoint_at(Serial(1), nowhere().await)];
        rig.web().condition = crate::link::Condition::Down;
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        assert_eq!(client.get("/").await.status(), 502);
        rig.stop().await;
    });
}

#[test]
fn r1_waits_for_a_new_worker_when_one_is_expected() {
    run(async {
        let mut rig = Rig::start().await;
        rig.web().endpoints = vec![endpoint_at(Serial(1), nowhere().await)];
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx").await;
        rig.expect(is_fault(1, FaultKind::Connect)).await;
        let worker = Worker::start(2).await;
        rig.web().endpoints = vec![super::rig::endpoint(&worker)];
        rig.publish().await;
        let ((_served, request), response) = tokio::join!(worker.serve_once("late"), client.response());
        assert_eq!((request.body.as_str(), response.body.as_str()), ("x", "late"));
        rig.stop().await;
    });
}

#[test]
fn r2_a_post_on_a_connection_that_the_worker_has_closed_is_sent_once_on_a_fresh_one() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        for round in 0..20 {
            let ((served, _), response) = tokio::join!(worker.serve_once("x"), client.get("/"));
            assert_eq!(response.status(), 200);
            // Closed while idle, at the very moment at which the next request comes.
            drop(served);
            let body = round.to_string();
            let ((served, request), response) = tokio::join!(worker.serve_once("posted"), client.post("/", &body));
            assert_eq!((response.body, request.body), ("posted".to_owned(), body));
            drop(served);
        }
        rig.stop().await;
    });
}

#[test]
fn r3_a_get_whose_worker_dies_without_a_word_goes_to_another() {
    run(async {
        let (dying, alive) = (Worker::start(1).await, Worker::start(2).await);
        let (mut rig, _other, _busy) = favouring(&dying, &alive).await;
        let mut client = Client::connect(rig.http).await;
        let die = async { dying.accept().await.request().await };
        let ((_served, request), first, response) = tokio::join!(alive.serve_once("again"), die, client.get("/x"));
        assert_eq!((response.status(), response.body.as_str()), (200, "again"));
        assert_eq!((first.field("x-portreeve-attempt"), request.field("x-portreeve-attempt")), (None, Some("2")));
        rig.expect(is_fault(1, FaultKind::Broken)).await;
        assert_eq!(rig.metric("portreeve_retries_total", &[("rule", "R3")]).await, 1);
        rig.stop().await;
    });
}

#[test]
fn r3_is_not_for_a_post() {
    run(async {
        for by_reset in [false, true] {
            let (dying, alive) = (Worker::start(1).await, Worker::start(2).await);
            let (rig, _other, _busy) = favouring(&dying, &alive).await;
            let mut client = Client::connect(rig.http).await;
            let die = async {
                let mut served = dying.accept().await;
                served.request().await;
                if by_reset {
                    served.reset();
                }
            };
            let ((), response) = tokio::join!(die, client.post("/", "once"));
            assert_eq!(response.status(), 502);
            assert!(!alive.is_called_within(Duration::from_millis(50)).await);
            rig.stop().await;
        }
    });
}

#[test]
fn r3_is_for_a_post_with_a_key_where_the_app_says_so() {
    run(async {
        let (dying, alive) = (Worker::start(1).await, Worker::start(2).await);
        let (mut rig, _other, _busy) = favouring(&dying, &alive).await;
        rig.web().requests.retry_idempotency_key = true;
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\ncontent-length: 5\r\n\r\nhello").await;
        let die = async { dying.accept().await.request().await };
        let ((_served, request), _, response) = tokio::join!(alive.serve_once("done"), die, client.response());
        assert_eq!((request.body.as_str(), response.body.as_str()), ("hello", "done"));
        rig.stop().await;
    });
}

#[test]
fn nothing_is_sent_again_after_a_byte_of_response() {
    run(async {
        let (dying, alive) = (Worker::start(1).await, Worker::start(2).await);
        let (rig, _other, _busy) = favouring(&dying, &alive).await;
        let mut client = Client::connect(rig.http).await;
        let die = async {
            let mut served = dying.accept().await;
            served.request().await;
            served.write("HTTP/1.1 200").await;
        };
        let ((), response) = tokio::join!(die, client.get("/"));
        assert_eq!(response.status(), 502);
        assert!(!alive.is_called_within(Duration::from_millis(50)).await);
        rig.stop().await;
    });
}

#[test]
fn a_worker_that_does_not_answer_in_time_is_not_asked_again() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        rig.web().response_timeout = Some(Duration::from_millis(30));
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        let hang = async {
            let mut served = worker.accept().await;
            served.request().await;
            assert!(served.ends().await, "the connection is not used again");
        };
        let ((), response) = tokio::join!(hang, client.get("/"));
        assert_eq!(response.status(), 504);
        rig.expect(is_fault(1, FaultKind::Timeout)).await;
        rig.stop().await;
    });
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_no_answer() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        let answer = async {
            let mut served = worker.accept().await;
            served.request().await;
            served.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
            served
        };
        let (_served, response) = tokio::join!(answer, client.get("/"));
        assert_eq!(response.status(), 502);
        rig.stop().await;
    });
}
