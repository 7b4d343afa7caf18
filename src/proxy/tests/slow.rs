//! Clients that are slow on purpose: heads, bodies, and answers that nobody takes.

use std::time::Duration;

use super::client::Client;
use super::frames::{self, DATA, Frames, GET, HEADERS, RESET, WHOLE, WINDOW_UPDATE};
use super::rig::{Rig, endpoint};
use super::run;
use super::worker::{Served, Worker};
use crate::link::Limits;

const SHORT: Duration = Duration::from_millis(50);

/// More than sockets hold on the way.
const LARGE: usize = 32 * 1024 * 1024;

/// Answers with a large body, as far as it is taken.
async fn respond_at_length(served: &mut Served) {
    served.request().await;
    served.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n")).await;
    let chunk = "x".repeat(64 * 1024);
    while served.try_write(chunk.as_bytes()).await.is_ok() {}
}

#[test]
fn who_sends_a_head_too_slowly_is_told_so_in_the_log_too() {
    run(async {
        let worker = Worker::start(1).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut rig = Rig::start_with(|manifest| manifest.access_log = Some(path.clone())).await;
        rig.web().endpoints = vec![endpoint(&worker)];
        rig.snapshot.limits.header_timeout = SHORT;
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost").await;
        let response = client.response().await;
        assert_eq!((response.status(), response.field("connection")), (408, Some("close")));
        assert_eq!(client.rest().await, "");
        rig.has_cut("slow-head").await;
        rig.metric_becomes("portreeve_requests_total", &[("app", "-"), ("code_class", "4xx")], 1).await;
        while !std::fs::read_to_string(&path).unwrap_or_default().contains("slow-head") {
            tokio::task::yield_now().await;
        }
        rig.stop().await;
    });
}

#[test]
fn a_second_request_that_is_too_slow_is_told_so_as_well() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::limited(&worker, |limits| limits.header_timeout = SHORT).await;
        let mut client = Client::connect(rig.http).await;
        let (_, response) = tokio::join!(worker.serve_once("one"), client.get("/"));
        assert_eq!(response.status(), 200);
        client.write("GE").await;
        assert_eq!(client.response().await.status(), 408);
        rig.stop().await;
    });
}

#[test]
fn a_body_that_drips_is_given_up() {
    run(async {
        let worker = Worker::start(1).await;
        // No drip over a network, one byte after the other, is as fast as that.
        let fast = |limits: &mut Limits| (limits.body_idle, limits.body_rate) = (SHORT, Some(1 << 30));
        let mut rig = Rig::limited(&worker, fast).await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n").await;
        let mut served = worker.accept().await;
        served.read_until("\r\n\r\n").await;
        // Each byte has been passed on before the next one is sent, so none of them is late by itself.
        while client.try_write(b"x").await.is_ok() && served.read_or_end().await > 0 {}
        assert_eq!(client.response().await.status(), 408);
        rig.has_cut("slow-body").await;
        rig.stop().await;
    });
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.write_stall = SHORT).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        respond_at_length(&mut served).await;
        rig.has_cut("write-stall").await;
        assert!(client.try_response().await.is_none(), "the answer is not whole");
        rig.stop().await;
    });
}

#[test]
fn a_client_that_takes_its_time_but_takes_all_gets_all() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.write_stall = Duration::from_millis(500)).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        let body = "x".repeat(LARGE);
        let take = async {
            // Four rests, each of them shorter than may be, all of them longer.
            let mut taken = 0;
            for _ in 0..4 {
                assert!(tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>()).await.is_err());
                taken += client.read_bytes(LARGE / 5).await;
            }
            taken + client.read_bytes(LARGE - taken).await
        };
        served.request().await;
        let answer = async {
            served.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n{body}")).await;
        };
        let (taken, ()) = tokio::join!(take, answer);
        assert_eq!(taken, LARGE);
        assert_eq!(rig.metric("portreeve_clients_cut_total", &[]).await, 0);
        rig.stop().await;
    });
}

/// A stream whose window is opened byte by byte is reset, with its worker freed; its connection serves on.
#[test]
fn a_stream_with_a_window_that_hardly_opens_is_reset_and_its_connection_is_not() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.write_stall = Duration::from_millis(100)).await;
        // No window at first.
        let mut client = Frames::connect(&rig, &[0, 4, 0, 0, 0, 0]).await;
        client.frame(HEADERS, WHOLE, 1, GET).await;
        let mut served = worker.accept().await;
        let answering = tokio::spawn(async move { respond_at_length(&mut served).await });
        let (mut taken, mut code) = (0, None);
        // A pace at which no piece of the body gets through within the limit, however fast the machine is.
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        while code.is_none() {
            pace.tick().await;
            client.frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()).await;
            let frame = client.next().await.expect("the connection stays");
            match frame.kind {
                DATA => taken += frame.payload.len(),
                RESET if frame.stream == 1 => code = Some(frame.payload),
                _ => {}
            }
            // What keeps the turns going: an answer to each.
            client.frame(frames::PING, 0, 0, b"any time").await;
        }
        assert!(taken < 16 * 1024, "{taken}");
        answering.await.unwrap();
        rig.has_cut("write-stall").await;
        client.frame(HEADERS, WHOLE, 3, GET).await;
        worker.serve_once("").await;
        let head = client.next_of(HEADERS).await.unwrap();
        assert_eq!(head.stream, 3);
        rig.stop().await;
    });
}

#[test]
fn a_stream_whose_worker_takes_its_time_is_not_cut() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.write_stall = SHORT).await;
        let mut client = Frames::connect(&rig, &[]).await;
        client.frame(HEADERS, WHOLE, 1, GET).await;
        let mut served = worker.accept().await;
        served.request().await;
        served.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;
        assert_eq!(client.next_of(DATA).await.unwrap().payload, b"ab");
        assert!(tokio::time::timeout(3 * SHORT, client.next_of(RESET)).await.is_err());
        served.write("cd").await;
        assert_eq!(client.next_of(DATA).await.unwrap().payload, b"cd");
        assert_eq!(rig.metric("portreeve_clients_cut_total", &[]).await, 0);
        rig.stop().await;
    });
}
