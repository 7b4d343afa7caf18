//! What one address may have, and that handshakes take turns.

use std::num::NonZeroU32;
use std::time::Duration;

use super::client::{Client, tls};
use super::rig::Rig;
use super::run;
use super::worker::Worker;
use crate::link::Rate;

#[test]
fn an_address_has_no_more_connections_than_it_may() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.crowd.connections_per_ip = Some(2)).await;
        tokio::spawn(worker.serve_all("x"));
        let (mut first, mut second) = (Client::connect(rig.http).await, Client::connect(rig.http).await);
        assert_eq!((first.get("/").await.status(), second.get("/").await.status()), (200, 200));
        assert_eq!(Client::connect(rig.http).await.rest().await, "", "the third is closed at once");
        rig.metric_becomes("portreeve_clients_cut_total", &[("why", "connections-per-ip")], 1).await;
        drop(first);
        rig.metric_becomes("portreeve_client_connections", &[], 1).await;
        assert_eq!(Client::connect(rig.http).await.get("/").await.status(), 200);
        rig.stop().await;
    });
}

#[test]
fn an_address_begins_connections_no_more_often_than_it_may() {
    run(async {
        let worker = Worker::start(1).await;
        let positive = |number| NonZeroU32::new(number).unwrap();
        let rate = Rate { count: positive(1), period: Duration::from_mins(1), burst: positive(2) };
        let mut rig = Rig::limited(&worker, |limits| limits.crowd.connects_per_ip = Some(rate)).await;
        tokio::spawn(worker.serve_all("x"));
        let mut first = Client::connect(rig.http).await;
        for _ in 0..3 {
            assert_eq!(first.get("/").await.status(), 200, "requests on one connection are not what is counted");
        }
        // Over TLS as well, and before anything of a handshake has cost something.
        drop(tls(&rig, b"http/1.1").await);
        assert_eq!(Client::connect(rig.https).await.rest().await, "", "the third is closed at once");
        rig.metric_becomes("portreeve_clients_cut_total", &[("why", "connects-per-ip")], 1).await;
        rig.snapshot.limits.crowd.exempt = vec!["127.0.0.0/8".parse().unwrap()];
        rig.publish().await;
        assert_eq!(Client::connect(rig.http).await.get("/").await.status(), 200, "it is exempt now");
        rig.stop().await;
    });
}

#[test]
fn an_address_sends_no_more_requests_than_it_may_whatever_the_connection() {
    run(async {
        let worker = Worker::start(1).await;
        let positive = |number| NonZeroU32::new(number).unwrap();
        let rate = Rate { count: positive(1), period: Duration::from_mins(1), burst: positive(2) };
        let mut rig = Rig::limited(&worker, |limits| limits.crowd.requests_per_ip = Some(rate)).await;
        tokio::spawn(worker.serve_all("x"));
        for status in [200, 200, 429] {
            let response = Client::connect(rig.http).await.get("/").await;
            assert_eq!((response.status(), response.field("retry-after").is_some()), (status, status == 429));
        }
        rig.metric_becomes("portreeve_clients_cut_total", &[("why", "requests-per-ip")], 1).await;
        rig.snapshot.limits.crowd.exempt = vec!["127.0.0.0/8".parse().unwrap()];
        rig.publish().await;
        assert_eq!(Client::connect(rig.http).await.get("/").await.status(), 200, "it is exempt now");
        rig.stop().await;
    });
}

#[test]
fn who_stops_in_a_handshake_takes_no_turn_from_others() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::limited(&worker, |limits| limits.crowd.handshakes = 1).await;
        // The head of a record that announces a first message, and no more.
        let mut silent = Vec::new();
        for begun in ["", "\u{16}\u{3}\u{1}"] {
            let mut client = Client::connect(rig.https).await;
            client.write(begun).await;
            silent.push(client);
        }
        let others = (0..8).map(|_| tls(&rig, b"http/1.1"));
        futures_util::future::join_all(others).await;
        rig.stop().await;
    });
}
