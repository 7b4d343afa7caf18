//! HTTP/2 clients that mean ill: what they are cut off for, and that it is noticed.

use std::time::Duration;

use super::frames::{CONTINUATION, DATA, Frames, GET, GOAWAY, HEADERS, PRIORITY, RESET, WHOLE, bytes};
use super::rig::Rig;
use super::run;
use super::worker::Worker;

/// `CANCEL`.
const CANCEL: [u8; 4] = [0, 0, 0, 8];

const END_STREAM: u8 = 1;

/// Another client is served meanwhile, and afterwards.
async fn is_served(rig: &Rig, worker: &Worker) {
    let mut client = super::client::Client::connect(rig.http).await;
    let (_, response) = tokio::join!(worker.serve_once("polite"), client.get("/"));
    assert_eq!(response.body, "polite");
}

#[test]
fn who_says_nothing_after_the_handshake_is_cut_off() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.header_timeout = Duration::from_millis(50)).await;
        let mut client = Frames::silent(&rig).await;
        client.write(b"PRI * HTTP/2.0\r\n").await;
        while client.next().await.is_some() {}
        rig.has_cut("preface").await;
        rig.stop().await;
    });
}

#[test]
fn a_block_of_fields_that_does_not_end_is_given_up_also_beside_other_requests() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.header_timeout = Duration::from_millis(200)).await;
        let mut client = Frames::connect(&rig, &[]).await;
        client.frame(HEADERS, WHOLE, 1, GET).await;
        let _under_way = worker.accept().await;
        client.frame(HEADERS, END_STREAM, 3, &GET[..3]).await;
        // A drip of further frames does not help.
        while client.try_write(&bytes(CONTINUATION, 0, 3, &[])).await.is_ok() {
            tokio::task::yield_now().await;
            if rig.metric("portreeve_clients_cut_total", &[]).await > 0 {
                break;
            }
        }
        assert_eq!(rig.metric("portreeve_client_connections", &[]).await, 0);
        rig.stop().await;
    });
}

#[test]
fn who_calls_off_request_after_request_is_cut_off_however_slowly_it_does_so() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |_| {}).await;
        let mut client = Frames::connect(&rig, &[]).await;
        for stream in (1..).step_by(2).take(101) {
            client.frame(HEADERS, WHOLE, stream, GET).await;
            // The worker is at it before the client changes its mind.
            let mut served = worker.accept().await;
            served.request().await;
            client.frame(RESET, 0, stream, &CANCEL).await;
            assert!(served.ends().await);
        }
        assert!(client.next_of(GOAWAY).await.is_some());
        while client.next().await.is_some() {}
        rig.has_cut("rapid-reset").await;
        is_served(&rig, &worker).await;
        rig.stop().await;
    });
}

#[test]
fn who_calls_off_now_and_then_is_not() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |_| {}).await;
        let mut client = Frames::connect(&rig, &[]).await;
        let mut streams = (1..).step_by(2);
        for _ in 0..120 {
            let (first, second) = (streams.next().unwrap(), streams.next().unwrap());
            client.frame(HEADERS, WHOLE, first, GET).await;
            let mut served = worker.accept().await;
            served.request().await;
            client.frame(RESET, 0, first, &CANCEL).await;
            assert!(served.ends().await);
            client.frame(HEADERS, WHOLE, second, GET).await;
            let mut served = worker.accept().await;
            served.request().await;
            served.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            assert_eq!(client.next_of(HEADERS).await.unwrap().stream, second);
        }
        assert_eq!(rig.metric("portreeve_clients_cut_total", &[]).await, 0);
        rig.stop().await;
    });
}

#[test]
fn frames_of_no_use_are_borne_up_to_a_point() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |_| {}).await;
        let mut client = Frames::connect(&rig, &[]).await;
        let unknown = bytes(0x2a, 0, 0, &[0; 16 * 1024]);
        // 7 MiB are borne.
        for _ in 0..7 * 64 {
            client.write(&unknown).await;
        }
        client.frame(HEADERS, WHOLE, 1, GET).await;
        worker.serve_once("").await;
        assert_eq!(client.next_of(HEADERS).await.unwrap().stream, 1);
        let mut more = 0;
        while more < 1000 && client.try_write(&unknown).await.is_ok() {
            more += 1;
        }
        assert!(more < 1000);
        rig.has_cut("flood").await;
        is_served(&rig, &worker).await;
        rig.stop().await;
    });
}

/// What the HTTP/2 library sees to: the connection ends before the flood does.
#[test]
fn endless_blocks_bombs_and_empty_frames_end_the_connection() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::limited(&worker, |_| {}).await;
        // A field of 4000 bytes is put into the table, and then named again and again in one byte each.
        let mut bomb = [GET, b"\x40\x01x\x7f\xa1\x1e", &[b'y'; 4000]].concat();
        bomb.extend([0xbe; 8000]);
        let floods = [
            (bytes(HEADERS, END_STREAM, 1, GET), bytes(CONTINUATION, 0, 1, &[0x82; 100])),
            (bytes(HEADERS, WHOLE, 1, &bomb), bytes(PRIORITY, 0, 3, &[0; 5])),
            (bytes(HEADERS, 4, 1, GET), bytes(DATA, 0, 1, &[])),
        ];
        for (number, (first, then)) in floods.iter().enumerate() {
            let mut client = Frames::connect(&rig, &[]).await;
            client.write(first).await;
            let mut count = 0;
            while count < 100_000 && client.try_write(then).await.is_ok() {
                count += 1;
            }
            assert!(count < 100_000, "flood {number}");
        }
        is_served_beside(&rig, &worker).await;
        rig.stop().await;
    });
}

/// As [`is_served`], where the worker may have been asked by others.
async fn is_served_beside(rig: &Rig, worker: &Worker) {
    let mut client = super::client::Client::connect(rig.http).await;
    client.write("GET /polite HTTP/1.1\r\nhost: a\r\n\r\n").await;
    loop {
        let mut served = worker.accept().await;
        match served.try_request().await {
            Some(request) if request.start.contains("/polite") => {
                served.respond("polite").await;
                break;
            }
            _ => {}
        }
    }
    assert_eq!(client.response().await.body, "polite");
}

#[test]
fn after_so_many_requests_the_client_is_asked_to_make_another_connection() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.http2.requests = 3).await;
        tokio::spawn(worker.serve_all("x"));
        let mut client = Frames::connect(&rig, &[]).await;
        for stream in [1, 3, 5] {
            client.frame(HEADERS, WHOLE, stream, GET).await;
        }
        let mut answered = Vec::new();
        let mut farewell = None;
        while answered.len() < 3 || farewell.is_none() {
            let frame = client.next().await.expect("all are answered, and there is a farewell");
            match frame.kind {
                HEADERS => answered.push(frame.stream),
                GOAWAY => farewell = Some(frame.payload),
                _ => {}
            }
        }
        answered.sort_unstable();
        assert_eq!(answered, [1, 3, 5]);
        assert_eq!(farewell.unwrap()[4..8], [0, 0, 0, 0], "no error");
        assert_eq!(rig.metric("portreeve_clients_cut_total", &[]).await, 0);
        rig.stop().await;
    });
}
