//! Bodies of any size and length of time, in both directions, without being gathered on the way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::harness::process::{self, Process};
use crate::harness::{Connection, Portreeve, SOON, Target, block_on, request, worker};
use crate::pattern::{Checker, Pattern};

const MIB: u64 = 1 << 20;

/// Longest time for a body of 100 MiB on a busy machine with an unoptimised build.
const LONG: Duration = Duration::from_mins(2);

fn limited<T>(future: impl Future<Output = T>) -> T {
    block_on(async { tokio::time::timeout(LONG, future).await.expect("the stream ends in time") })
}

/// Reads a pattern of so many bytes.
fn download(target: &Target, bytes: u64) -> Checker {
    limited(async {
        let mut connection = Connection::open(target).await.unwrap();
        let path = format!("/stream?bytes={bytes}");
        let mut body = connection.send(request(Method::GET, &path, "")).await.unwrap().into_body();
        let mut checker = Checker::new();
        while let Some(frame) = body.frame().await {
            checker.take(&frame.unwrap().into_data().unwrap());
        }
        checker
    })
}

/// Sends a pattern of so many bytes; what the worker says of it.
fn upload(target: &Target, bytes: u64) -> serde_json::Value {
    limited(async {
        let mut connection = Connection::open(target).await.unwrap();
        let request = request(Method::POST, "/sink", "").map(|_| Pattern::new(bytes).boxed());
        connection.exchange(request).await.unwrap().json()
    })
}

#[test]
fn a_hundred_mebibytes_pass_in_both_directions_without_being_gathered() {
    let running = Portreeve::new().https().app("web", worker()).start();
    for target in [running.http(), running.https(), running.h2()] {
        let got = download(&target, 100 * MIB);
        assert!(got.intact && got.bytes == 100 * MIB, "{target:?}: {got:?}");
        assert_eq!(upload(&target, 100 * MIB), serde_json::json!({ "bytes": 100 * MIB, "intact": true }));
    }
    let peak = process::peak_bytes(running.proxy());
    assert!(peak < 90 * MIB, "the proxy held {peak} bytes");
}

#[test]
fn a_body_comes_back_while_it_is_still_being_sent() {
    let running = Portreeve::new().https().app("web", worker()).start();
    for target in [running.http(), running.https(), running.h2()] {
        let echoed = limited(async {
            let mut connection = Connection::open(&target).await.unwrap();
            let request = request(Method::POST, "/echo", "").map(|_| Pattern::new(20 * MIB).boxed());
            let mut body = connection.send(request).await.unwrap().into_body();
            let mut checker = Checker::new();
            while let Some(frame) = body.frame().await {
                checker.take(&frame.unwrap().into_data().unwrap());
            }
            checker
        });
        assert!(echoed.intact && echoed.bytes == 20 * MIB, "{target:?}: {echoed:?}");
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_fills_no_memory() {
    let running = Portreeve::new().app("web", worker()).start();
    let mut slow = TcpStream::connect(running.http().address()).unwrap();
    slow.set_read_timeout(Some(SOON)).unwrap();
    let path = format!("/stream?bytes={}", 200 * MIB);
    write!(slow, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    running.in_flight("web", 1.0);
    for _ in 0..100 {
        assert_eq!(running.get("/whoami").status, 200);
    }
    let peak = process::peak_bytes(running.proxy());
    assert!(peak < 90 * MIB, "the proxy held {peak} bytes");

    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut checker = Checker::new();
    checker.take(&answer[head..]);
    assert!(checker.intact && checker.bytes == 200 * MIB, "{checker:?}");
}

#[test]
fn a_request_that_arrives_in_small_pieces_is_served() {
    let running = Portreeve::new().app("web", worker()).start();
    let mut client = TcpStream::connect(running.http().address()).unwrap();
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    for byte in b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello" {
        client.write_all(&[*byte]).unwrap();
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[test]
fn events_arrive_one_by_one_and_a_client_that_leaves_ends_them() {
    let running = Portreeve::new().https().app("web", worker()).start();
    for target in [running.http(), running.https(), running.h2()] {
        limited(async {
            let mut connection = Connection::open(&target).await.unwrap();
            let response = connection.send(request(Method::GET, "/events", "")).await.unwrap();
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            // The stream never ends, so whatever arrives was not held back for its end.
            let mut body = response.into_body();
            let mut text = String::new();
            while text.matches("\n\n").count() < 3 {
                let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
                text.push_str(std::str::from_utf8(&data).unwrap());
            }
            assert!(text.starts_with("id: 0\ndata: tick 0\n\nid: 1\ndata: tick 1\n\n"), "{text}");
        });
        running.in_flight("web", 0.0);
    }
}

#[test]
fn a_websocket_passes_over_plain_and_tls_connections() {
    let running = Portreeve::new().https().app("web", worker()).start();
    let plain = connect(&running.http());
    let (socket, response) = tungstenite::client("ws://localhost/ws", plain).unwrap();
    assert_eq!(response.status(), 101);
    converse(socket);

    let Target::Tls(_, config) = running.https() else { panic!("https() is a TLS target") };
    let session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let secure = StreamOwned::new(session, connect(&running.https()));
    let (socket, response) = tungstenite::client("wss://localhost/ws", secure).unwrap();
    assert_eq!(response.status(), 101);
    converse(socket);
    running.in_flight("web", 0.0);
}

#[test]
fn a_websocket_outlives_a_reload_and_its_worker_waits_for_it() {
    let running = Portreeve::new().app("web", worker()).start();
    let (mut socket, _) = tungstenite::client("ws://localhost/ws", connect(&running.http())).unwrap();
    let old = Process::find(running.pids("web", 1)[0]).unwrap();
    running.reload_live();
    socket.send(Message::text("still there?")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("still there?"));
    assert!(old.is_alive());
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    drop(socket);
    assert!(old.ends_within(SOON), "nothing holds the old worker any more");
}

#[test]
fn an_upgrade_that_the_worker_refuses_is_an_ordinary_answer() {
    let running = Portreeve::new().app("web", worker()).start();
    let error = tungstenite::client("ws://localhost/whoami", connect(&running.http())).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("200"), "{error}");
    running.in_flight("web", 0.0);
}

fn connect(target: &Target) -> TcpStream {
    let stream = TcpStream::connect(target.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Small and large messages, a ping, and a close, each answered in turn; then the connection is closed.
fn converse<S: Read + Write>(mut socket: WebSocket<S>) {
    let large = vec![7; 300_000];
    for message in [Message::text("hello"), Message::binary(large), Message::text("")] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(Message::Ping("beat".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("beat".into()));
    socket.close(None).unwrap();
    assert!(matches!(socket.read().unwrap(), Message::Close(_)));
}
