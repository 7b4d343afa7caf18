//! Requests that wait for a worker.

use std::num::NonZeroU32;
use std::time::Duration;

use super::client::Client;
use super::rig::{Rig, endpoint};
use super::run;
use super::worker::Worker;
use crate::link::Condition;

#[test]
fn a_request_waits_for_the_worker_that_is_expected() {
    run(async {
        let mut rig = Rig::start().await;
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await;
        rig.metric_becomes("portreeve_held_requests", &[("app", "web")], 1).await;
        let worker = Worker::start(1).await;
        rig.web().endpoints = vec![endpoint(&worker)];
        rig.publish().await;
        let ((_served, request), response) = tokio::join!(worker.serve_once("at last"), client.response());
        assert_eq!((request.body.as_str(), response.body.as_str()), ("hi", "at last"));
        rig.metric_becomes("portreeve_held_total", &[("outcome", "served")], 1).await;
        rig.stop().await;
    });
}

#[test]
fn a_place_that_is_given_up_goes_to_a_request_on_hold() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        rig.web().max_inflight = NonZeroU32::new(1);
        rig.publish().await;
        let (mut one, mut two) = (Client::connect(rig.http).await, Client::connect(rig.http).await);
        one.write("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        served.request().await;
        two.write("GET /2 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        rig.metric_becomes("portreeve_held_requests", &[("app", "web")], 1).await;
        served.respond("one").await;
        assert_eq!(one.response().await.body, "one");
        let answer = async {
            tokio::select! {
                request = served.request() => { assert!(request.start.starts_with("GET /2")); served.respond("two").await; }
                _ = worker.serve_once("two") => {}
            }
        };
        let ((), response) = tokio::join!(answer, two.response());
        assert_eq!(response.body, "two");
        rig.stop().await;
    });
}

#[test]
fn one_request_too_many_is_refused_at_once_and_told_when_to_come_back() {
    run(async {
        let mut rig = Rig::start().await;
        rig.web().hold.requests = 1;
        rig.publish().await;
        let mut first = Client::connect(rig.http).await;
        first.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        rig.metric_becomes("portreeve_held_requests", &[("app", "web")], 1).await;
        let mut second = Client::connect(rig.http).await;
        let response = second.get("/").await;
        assert_eq!((response.status(), response.field("retry-after")), (503, Some("1")));
        assert_eq!(rig.metric("portreeve_held_total", &[("outcome", "overflow")]).await, 1);
        rig.stop().await;
    });
}

#[test]
fn nobody_is_held_for_longer_than_the_limit() {
    run(async {
        let mut rig = Rig::start().await;
        rig.web().hold.time = Duration::from_millis(30);
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        let response = client.get("/").await;
        assert_eq!((response.status(), response.field("retry-after")), (503, Some("1")));
        assert_eq!(rig.metric("portreeve_held_total", &[("outcome", "timeout")]).await, 1);
        rig.stop().await;
    });
}

#[test]
fn nobody_is_held_for_an_app_that_is_down() {
    run(async {
        let mut rig = Rig::start().await;
        rig.web().condition = Condition::Down;
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        let response = client.get("/").await;
        assert_eq!((response.status(), response.field("retry-after")), (503, Some("5")));
        rig.stop().await;
    });
}

#[test]
fn a_client_that_goes_away_is_held_no_longer() {
    run(async {
        let mut rig = Rig::start().await;
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        rig.metric_becomes("portreeve_held_requests", &[("app", "web")], 1).await;
        drop(client);
        rig.metric_becomes("portreeve_held_total", &[("outcome", "gone")], 1).await;
        rig.metric_becomes("portreeve_held_requests", &[("app", "web")], 0).await;
        rig.stop().await;
    });
}
