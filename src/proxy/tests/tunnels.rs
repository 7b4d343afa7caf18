//! Exchanges that become tunnels.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use super::client::{self, Client};
use super::rig::Rig;
use super::run;
use super::worker::Worker;
use crate::link::FromProxy;

/// The one of RFC 6455, section 1.3.
pub(super) const HANDSHAKE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

/// Opens a WebSocket through the proxy; returns both ends.
pub(super) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    worker: &Worker,
) -> (WebSocketStream<S>, WebSocketStream<TcpStream>) {
    let accept = async { accept_async(worker.accept_tcp().await).await.unwrap() };
    let (client, worker) = tokio::join!(client_async("ws://localhost/chat", socket), accept);
    (client.unwrap().0, worker)
}

/// One message there and one back.
pub(super) async fn echo<A, B>(client: &mut WebSocketStream<A>, worker: &mut WebSocketStream<B>, text: &str)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    client.send(Message::text(text)).await.unwrap();
    assert_eq!(worker.next().await.unwrap().unwrap(), Message::text(text));
    worker.send(Message::text(text)).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text(text));
}

#[test]
fn a_websocket_goes_through_plain_and_tls() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let plain = TcpStream::connect(rig.http).await.unwrap();
        let (mut client, mut far) = open(plain, &worker).await;
        let secure = client::tls(&rig, b"http/1.1").await;
        let (mut secure_client, mut secure_far) = open(secure, &worker).await;
        let long = "x".repeat(1024 * 1024);
        for text in ["hello", &long, ""] {
            echo(&mut client, &mut far, text).await;
            echo(&mut secure_client, &mut secure_far, text).await;
        }
        assert_eq!(rig.metric("portreeve_inflight", &[("app", "web")]).await, 2);
        client.close(None).await.unwrap();
        assert!(far.next().await.unwrap().unwrap().is_close());
        drop((client, far));
        secure_far.close(None).await.unwrap();
        assert!(secure_client.next().await.unwrap().unwrap().is_close());
        drop((secure_client, secure_far));
        rig.metric_becomes("portreeve_inflight", &[], 0).await;
        rig.metric_becomes("portreeve_requests_total", &[("code_class", "1xx")], 2).await;
        rig.stop().await;
    });
}

#[test]
fn a_worker_that_refuses_an_upgrade_is_heard() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write(HANDSHAKE).await;
        let ((mut served, request), response) = tokio::join!(worker.serve_once("no"), client.response());
        assert_eq!((request.field("upgrade"), request.field("connection")), (Some("websocket"), Some("upgrade")));
        assert_eq!(response.body, "no");
        // One that lacks its key is passed on as what it is: a GET.
        client.write(&HANDSHAKE.replace("sec-websocket-key", "x-key")).await;
        let answer = async {
            let request = served.request().await;
            served.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain").await;
            request
        };
        let (request, response) = tokio::join!(answer, client.response());
        assert_eq!((request.field("upgrade"), request.field("connection")), (None, None));
        assert_eq!(response.body, "plain");
        rig.stop().await;
    });
}

#[test]
fn a_worker_that_did_not_read_the_handshake_opens_nothing() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        for (accept, status) in [("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 101), ("AAAAAAAAAAAAAAAAAAAAAAAAAAA=", 502)] {
            let mut client = Client::connect(rig.http).await;
            client.write(HANDSHAKE).await;
            let answer = async {
                let mut served = worker.accept().await;
                served.request().await;
                let consent = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
                served.write(&format!("{consent}sec-websocket-accept: {accept}\r\n\r\n")).await;
                served
            };
            let (_served, head) = tokio::join!(answer, client.read_until("\r\n\r\n"));
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        }
        rig.stop().await;
    });
}

#[test]
fn another_protocol_is_not_asked_of_the_worker() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        let upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
            http2-settings: x\r\n\r\n";
        client.write(upgrade).await;
        let ((_served, request), response) = tokio::join!(worker.serve_once("plain"), client.response());
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(request.field(name), None);
        }
        assert_eq!(response.body, "plain");
        rig.stop().await;
    });
}

#[test]
fn a_tunnel_is_over_for_both_when_it_is_over_for_one() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let (mut client, far) = open(TcpStream::connect(rig.http).await.unwrap(), &worker).await;
        drop(far);
        assert!(!matches!(client.next().await, Some(Ok(_))));
        // The client keeps its side open, as one does that has crashed.
        rig.metric_becomes("portreeve_inflight", &[], 0).await;
        drop(client);
        rig.stop().await;
    });
}

#[test]
fn a_tunnel_keeps_its_endpoint_busy_and_ends_with_it() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let (mut client, mut far) = open(TcpStream::connect(rig.http).await.unwrap(), &worker).await;
        rig.web().endpoints[0].open = false;
        rig.publish().await;
        echo(&mut client, &mut far, "still here").await;
        let is_idle = |message: &FromProxy| matches!(message, FromProxy::Idle { .. });
        assert!(!rig.has_heard(is_idle));
        rig.web().endpoints.clear();
        rig.publish().await;
        assert!(!matches!(client.next().await, Some(Ok(message)) if !message.is_close()));
        assert!(!matches!(far.next().await, Some(Ok(message)) if !message.is_close()));
        rig.expect(is_idle).await;
        rig.stop().await;
    });
}

/// Writes until nothing more is taken.
async fn fill(socket: &mut TcpStream) {
    use tokio::io::AsyncWriteExt;
    let chunk = vec![b'x'; 64 * 1024];
    // A socket that takes nothing for so long is full, all the way.
    while tokio::time::timeout(Duration::from_millis(20), socket.write_all(&chunk)).await.is_ok_and(|it| it.is_ok()) {}
}

/// Opens a tunnel and returns the raw sockets at both ends.
pub(super) async fn open_raw(rig: &Rig, worker: &Worker) -> (TcpStream, TcpStream) {
    use tokio::io::AsyncWriteExt;
    let mut client = TcpStream::connect(rig.http).await.unwrap();
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let mut served = worker.accept_tcp().await;
    read_head(&mut served).await;
    let consent = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    served.write_all(consent.as_bytes()).await.unwrap();
    read_head(&mut client).await;
    (client, served)
}

async fn read_head(socket: &mut TcpStream) {
    use tokio::io::AsyncReadExt;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
}

/// Reads to the end, or to the reset.
async fn drain(socket: &mut TcpStream) {
    use tokio::io::AsyncReadExt;
    let mut buffer = vec![0; 64 * 1024];
    while socket.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

#[test]
fn a_side_of_a_tunnel_that_takes_nothing_of_what_there_is_for_it_is_cut() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.write_stall = Duration::from_millis(100)).await;
        let (_client, mut served) = open_raw(&rig, &worker).await;
        fill(&mut served).await;
        rig.has_cut("write-stall").await;
        drain(&mut served).await;
        rig.metric_becomes("portreeve_inflight", &[], 0).await;

        let (mut client, _served) = open_raw(&rig, &worker).await;
        fill(&mut client).await;
        drain(&mut client).await;
        rig.metric_becomes("portreeve_inflight", &[], 0).await;
        rig.metric_becomes("portreeve_upstream_faults_total", &[("kind", "timeout")], 1).await;
        assert_eq!(rig.metric("portreeve_clients_cut_total", &[]).await, 1, "the worker's stall is not the client's");
        rig.stop().await;
    });
}

#[test]
fn a_tunnel_in_which_nobody_says_anything_is_left_alone() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::limited(&worker, |limits| limits.write_stall = Duration::from_millis(50)).await;
        let (mut client, mut far) = open(TcpStream::connect(rig.http).await.unwrap(), &worker).await;
        // Far longer than a side may take nothing of what there is.
        assert!(tokio::time::timeout(Duration::from_millis(300), far.next()).await.is_err());
        echo(&mut client, &mut far, "still here").await;
        assert_eq!(rig.metric("portreeve_clients_cut_total", &[]).await, 0);
        rig.stop().await;
    });
}
