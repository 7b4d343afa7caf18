//! Bodies on their way in both directions.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::Client;
use super::rig::Rig;
use super::run;
use super::worker::Worker;

/// More than all buffers between two ends hold, by far.
const HUGE: usize = 64 * 1024 * 1024;

/// What the buffers between two ends may hold: four socket buffers of the kernel's, and ours.
const BUFFERED: usize = 40 * 1024 * 1024;

#[test]
fn an_upload_is_passed_on_as_it_comes() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
        let mut served = worker.accept().await;
        let head = served.read_until("first").await;
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        client.write("6\r\nsecond\r\n0\r\n\r\n").await;
        served.read_until("0\r\n\r\n").await;
        served.respond("done").await;
        assert_eq!(client.response().await.body, "done");
        rig.stop().await;
    });
}

#[test]
fn an_event_is_passed_on_before_the_next_one_is_sent() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        served.request().await;
        served.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: one\n\n").await;
        let head = client.read_until("data: one\n\n").await;
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        served.write("data: two\n\n").await;
        client.read_until("data: two\n\n").await;
        drop(served);
        client.read_until("0\r\n\r\n").await;
        rig.stop().await;
    });
}

#[test]
fn a_client_that_does_not_read_stops_the_worker_and_not_the_memory() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut socket = worker.accept_tcp().await;
        assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
        socket.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {HUGE}\r\n\r\n").as_bytes()).await.unwrap();
        let sent = stuff(&mut socket, HUGE).await;
        assert!(sent < BUFFERED, "{sent} bytes were taken from the worker");
        let finish = async { pump(&mut socket, HUGE - sent).await };
        let drain = async {
            let head = client.read_until("\r\n\r\n").await;
            let mut left = HUGE - (head.len() - head.find("\r\n\r\n").unwrap() - 4);
            while left > 0 {
                left -= client.read_some().await;
            }
        };
        tokio::join!(finish, drain);
        rig.stop().await;
    });
}

#[test]
fn a_worker_that_does_not_read_stops_the_client_and_not_the_memory() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = tokio::net::TcpStream::connect(rig.http).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {HUGE}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut served = worker.accept().await;
        let sent = stuff(&mut client, HUGE).await;
        assert!(sent < BUFFERED, "{sent} bytes were taken from the client");
        let head = served.read_until("\r\n\r\n").await;
        let mut left = HUGE - (head.len() - head.find("\r\n\r\n").unwrap() - 4);
        let drain = async {
            while left > 0 {
                left -= served.read_some().await;
            }
            served.respond("").await;
        };
        tokio::join!(drain, pump(&mut client, HUGE - sent));
        rig.stop().await;
    });
}

#[test]
fn an_answer_that_its_client_does_not_take_does_not_stop_the_upload() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = tokio::net::TcpStream::connect(rig.http).await.unwrap();
        let upload = 4 * 1024 * 1024;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {upload}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut socket = worker.accept_tcp().await;
        let length = socket.read(&mut [0; 4096]).await.unwrap();
        assert!(length > 0);
        socket.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {HUGE}\r\n\r\n").as_bytes()).await.unwrap();
        assert!(stuff(&mut socket, HUGE).await < HUGE, "somebody has taken the answer");
        let (mut left, mut piece) = (upload, vec![0; 64 * 1024]);
        let receive = async {
            while left > 0 {
                left -= socket.read(&mut piece).await.unwrap();
            }
        };
        tokio::join!(pump(&mut client, upload), receive);
        rig.stop().await;
    });
}

/// Writes until nothing has been taken for a while; returns how much was.
async fn stuff(socket: &mut tokio::net::TcpStream, most: usize) -> usize {
    let chunk = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    while sent < most {
        match tokio::time::timeout(Duration::from_millis(300), socket.write(&chunk[..chunk.len().min(most - sent)]))
            .await
        {
            Ok(written) => sent += written.unwrap(),
            Err(_) => break,
        }
    }
    sent
}

async fn pump(socket: &mut tokio::net::TcpStream, mut left: usize) {
    let chunk = vec![b'x'; 64 * 1024];
    while left > 0 {
        left -= socket.write(&chunk[..chunk.len().min(left)]).await.unwrap();
    }
}

#[test]
fn a_response_that_breaks_off_never_looks_whole() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        for (head, part) in [("content-length: 10", "hello"), ("transfer-encoding: chunked", "5\r\nhello\r\n")] {
            let mut client = Client::connect(rig.http).await;
            client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let mut served = worker.accept().await;
            served.request().await;
            served.write(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{part}")).await;
            client.read_until("hello").await;
            drop(served);
            let rest = client.rest().await;
            assert!(!rest.contains("0\r\n\r\n"), "{rest:?}");
        }
        let cut = |message: &crate::link::FromProxy| matches!(message, crate::link::FromProxy::Fault { .. });
        rig.expect(cut).await;
        rig.stop().await;
    });
}

#[test]
fn an_upload_that_breaks_off_never_looks_whole() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
        let mut served = worker.accept().await;
        served.read_until("first\r\n").await;
        drop(client);
        assert!(served.try_request().await.is_none(), "the connection ends within the body");
        rig.stop().await;
    });
}

#[test]
fn a_body_of_unknown_length_is_not_lost_whatever_the_method() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        for method in ["GET", "DELETE", "OPTIONS"] {
            let mut client = Client::connect(rig.http).await;
            let chunked =
                format!("{method} / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
            client.write(&chunked).await;
            let mut served = worker.accept().await;
            assert_eq!(served.request().await.body, "x", "{method}");
            served.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            assert_eq!(client.response().await.status(), 200);
        }
        rig.stop().await;
    });
}

#[test]
fn an_answer_that_comes_before_the_upload_has_ended_is_passed_on() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write(&format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {HUGE}\r\n\r\n")).await;
        let mut served = worker.accept().await;
        served.read_until("\r\n\r\n").await;
        served.write("HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig").await;
        drop(served);
        // The client goes on writing for a while, as clients do. What was said to it is not lost by that.
        let chunk = vec![b'x'; 16 * 1024];
        for _ in 0..64 {
            if client.try_write(&chunk).await.is_err() {
                break;
            }
        }
        let response = client.response().await;
        assert_eq!((response.status(), response.body.as_str()), (413, "big"));
        rig.stop().await;
    });
}

#[test]
fn a_worker_on_a_unix_socket_serves_as_any_other() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let worker = Worker::start_unix(1, &folder.path().join("app.sock"));
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        let ((_served, request), response) = tokio::join!(worker.serve_once("unix"), client.post("/", "body"));
        assert_eq!((request.body.as_str(), response.body.as_str()), ("body", "unix"));
        rig.stop().await;
    });
}
