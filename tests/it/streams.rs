//! Bodies of any size and length of time, in both directions, without being gathered on the way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::harness::process::{self, Process};
use crate::harness::{Connection, Portreeve, Running, SOON, Target, block_on, request, until, worker};
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
    let running = Portreeve::new().app("web", worker().set("streams", "wait")).start();
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
    assert_eq!(ended(&running, "websocket"), ["0", "1", "0"]);
}

/// How many streams of a kind have ended while their worker left: notified, waited for, and cut.
fn ended(running: &Running, kind: &str) -> [String; 3] {
    let metrics = running.metrics();
    let labels = |how| [("app", "web"), ("kind", kind), ("how", how)];
    ["notified", "waited", "cut"].map(|how| metrics.sum("portreeve_streams_ended_total", &labels(how)).to_string())
}

#[test]
fn streams_that_are_cut_are_counted_as_such() {
    let app = worker().set("streams", "wait").set("drain_timeout", "200ms");
    let mut running = Portreeve::new().app("web", app).start();
    running.excuse("portreeve_drain_forced_total");
    let (mut socket, _) = tungstenite::client("ws://localhost/ws", connect(&running.http())).unwrap();
    running.in_flight("web", 1.0);
    running.reload_live();
    while socket.read().is_ok() {}
    until(SOON, "it is counted", || (ended(&running, "websocket") == ["0", "0", "1"]).then_some(()));
    assert_eq!(ended(&running, "event-stream"), ["0"; 3]);
}

#[test]
fn an_upgrade_that_the_worker_refuses_is_an_ordinary_answer() {
    let running = Portreeve::new().app("web", worker()).start();
    let error = tungstenite::client("ws://localhost/whoami", connect(&running.http())).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("200"), "{error}");
    running.in_flight("web", 0.0);
}

/// A client's end of a WebSocket, over TLS or not, and the generation that it has reached.
fn open(target: &Target) -> (WebSocket<Box<dyn Stream>>, u64) {
    let stream: Box<dyn Stream> = match target {
        Target::Tls(_, config) => {
            let name = ServerName::try_from("localhost").unwrap();
            Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), connect(target)))
        }
        _ => Box::new(connect(target)),
    };
    let (socket, response) = tungstenite::client("ws://localhost/ws", stream).unwrap();
    (socket, response.headers()["worker-generation"].to_str().unwrap().parse().unwrap())
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// Talks until it is told that the service restarts; gives how many messages came back, each whole and in its turn.
fn talk(socket: &mut WebSocket<Box<dyn Stream>>) -> usize {
    let mut sent = 0;
    for count in 0.. {
        // More than one frame's worth of any buffer, so that most of what is interrupted is within a message.
        let message = Message::binary(vec![count as u8; 40_000]);
        if socket.send(message.clone()).is_ok() {
            sent += 1;
        }
        match socket.read().unwrap() {
            Message::Close(Some(close)) => {
                assert_eq!((close.code, close.reason.as_str()), (CloseCode::Restart, "service restart"));
                assert!(count + 1 >= sent);
                // Answers, and sees the end of the connection.
                while socket.read().is_ok() {}
                return count;
            }
            answer => assert_eq!(answer, message),
        }
    }
    unreachable!("it does not end by itself")
}

#[test]
fn every_websocket_is_told_of_a_reload_after_a_whole_message_and_comes_back_to_the_new_generation() {
    let app = worker().workers(2).set("stream_spread", "1s");
    let running = Portreeve::new().https().app("web", app).start();
    let old: Vec<_> = running.pids("web", 2).into_iter().map(|pid| Process::find(pid).unwrap()).collect();
    let targets = [running.http(), running.https()].into_iter().cycle().take(12);
    let clients: Vec<_> = targets
        .map(|target| {
            let (mut socket, generation) = open(&target);
            assert_eq!(generation, 1);
            std::thread::spawn(move || {
                let before = Instant::now();
                let count = talk(&mut socket);
                (count, before.elapsed(), open(&target).1)
            })
        })
        .collect();
    running.in_flight("web", 12.0);
    running.reload_live();
    let ends: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(ends.iter().all(|(count, _, generation)| *count > 0 && *generation == 2), "{ends:?}");
    let (first, last) = (ends.iter().map(|end| end.1).min().unwrap(), ends.iter().map(|end| end.1).max().unwrap());
    assert!(last.saturating_sub(first) > Duration::from_millis(50), "they are told one by one: {ends:?}");
    assert!(old.iter().all(|old| old.ends_within(SOON)), "nothing holds the old workers any more");
    assert_eq!(ended(&running, "websocket"), ["12", "0", "0"]);
}

#[test]
fn event_streams_end_behind_an_event_when_their_worker_goes_and_their_connections_live_on() {
    let app = worker().workers(2).set("stream_spread", "200ms");
    let running = Portreeve::new().https().app("web", app).start();
    let targets = [running.http(), running.https(), running.h2()];
    let streams: Vec<_> = targets
        .into_iter()
        .map(|target| {
            std::thread::spawn(move || {
                limited(async {
                    let mut connection = Connection::open(&target).await.unwrap();
                    let response = connection.send(request(Method::GET, "/events?ms=2", "")).await.unwrap();
                    // Every frame is there without an error, the last one too.
                    let events = response.into_body().collect().await.unwrap().to_bytes();
                    let again = connection.exchange(request(Method::GET, "/whoami", "")).await.unwrap();
                    (String::from_utf8(events.to_vec()).unwrap(), again.json()["generation"].to_string())
                })
            })
        })
        .collect();
    running.in_flight("web", 3.0);
    running.reload_live();
    for stream in streams {
        let (events, generation) = stream.join().unwrap();
        let count = events.matches("\n\n").count();
        assert!(count > 0 && events.ends_with(&format!("id: {0}\ndata: tick {0}\n\n", count - 1)), "{events}");
        assert!(generation.contains('2'), "{generation}");
    }
    assert_eq!(ended(&running, "event-stream"), ["3", "0", "0"]);
}

#[test]
fn when_portreeve_stops_streams_are_told_at_once_and_hold_nothing_up() {
    let app = worker().set("drain_timeout", "60s");
    let mut running = Portreeve::new().set("proxy.drain_timeout", "60s").app("web", app).start();
    let (mut socket, _) = open(&running.http());
    let target = running.http();
    let events = std::thread::spawn(move || {
        limited(async {
            let mut connection = Connection::open(&target).await.unwrap();
            let response = connection.send(request(Method::GET, "/events?ms=2", "")).await.unwrap();
            response.into_body().collect().await.unwrap().to_bytes()
        })
    });
    running.in_flight("web", 2.0);
    running.signal(rustix::process::Signal::TERM);
    let Message::Close(Some(close)) = socket.read().unwrap() else { panic!("no close") };
    assert_eq!(close.code, CloseCode::Restart);
    while socket.read().is_ok() {}
    assert!(events.join().unwrap().ends_with(b"\n\n"));
    assert_eq!(running.ended(SOON).code(), Some(0));
}

#[test]
fn a_worker_that_is_one_too_many_tells_its_websockets_and_the_other_one_does_not() {
    let app = worker().workers(2).set("stream_spread", "0s");
    let running = Portreeve::new().app("web", app).start();
    let mut sockets: Vec<_> = (0..8).map(|_| open(&running.http()).0).collect();
    running.in_flight("web", 8.0);
    assert_eq!(running.cli(&["scale", "web", "1"]).code, 0);
    running.serving("web", 1);
    let mut told = 0;
    for socket in &mut sockets {
        socket.send(Message::text("there?")).unwrap();
        match socket.read().unwrap() {
            Message::Close(Some(close)) => {
                assert_eq!(close.code, CloseCode::Restart);
                told += 1;
            }
            answer => assert_eq!(answer, Message::text("there?")),
        }
    }
    assert!(told > 0 && told < 8, "{told}");
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
