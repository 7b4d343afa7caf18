//! Clients that are introduced to workers: what a connection begins with, byte for byte, and who may use it again.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{self, Client};
use super::rig::{Rig, endpoint};
use super::run;
use super::tunnels::HANDSHAKE;
use super::worker::Worker;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
const PREFIX: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A proxy whose only worker wants to be told whom a connection is for.
async fn introducing(worker: &Worker) -> Rig {
    let mut rig = Rig::start().await;
    let mut to = endpoint(worker);
    to.proxy_protocol = true;
    rig.web().endpoints = vec![to];
    rig.publish().await;
    rig
}

/// What comes up to the end of a request's head.
async fn head(socket: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    // The header of the PROXY protocol begins with two empty lines itself.
    while !head.get(PREFIX.len()..).is_some_and(|rest| rest.ends_with(b"\r\n\r\n")) {
        head.push(socket.read_u8().await.unwrap());
    }
    head
}

/// Splits the bytes of a connection into the header and the request.
fn split(head: &[u8]) -> (&[u8], &str) {
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    (&head[..16 + length], std::str::from_utf8(&head[16 + length..]).unwrap())
}

/// The header for a TCP client over IPv4.
fn header(client: SocketAddr, reached: SocketAddr, rest: &[u8]) -> Vec<u8> {
    let (SocketAddr::V4(client), SocketAddr::V4(reached)) = (client, reached) else { panic!("not IPv4") };
    let length = u16::try_from(12 + rest.len()).unwrap().to_be_bytes();
    let (from, to) = (client.ip().octets(), reached.ip().octets());
    let ports = [client.port().to_be_bytes(), reached.port().to_be_bytes()].concat();
    [PREFIX, &[0x21, 0x11], &length, &from, &to, &ports, rest].concat()
}

#[test]
fn a_connection_begins_with_its_client_and_serves_nobody_else() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = introducing(&worker).await;
        let mut clients = [TcpStream::connect(rig.http).await.unwrap(), TcpStream::connect(rig.http).await.unwrap()];
        let mut sockets = Vec::new();
        for client in &mut clients {
            client.write_all(b"GET /first HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let mut socket = worker.accept_tcp().await;
            let head = head(&mut socket).await;
            let (introduction, request) = split(&head);
            assert_eq!(introduction, header(client.local_addr().unwrap(), rig.http, &[]));
            assert!(request.starts_with("GET /first HTTP/1.1\r\n"), "{request}");
            socket.write_all(ANSWER).await.unwrap();
            client.read_exact(&mut [0; ANSWER.len()]).await.unwrap();
            sockets.push(socket);
        }
        // Whoever comes again comes on its own connection, also when another one was given back later.
        for turn in [0, 1, 0] {
            let (client, socket) = (&mut clients[turn], &mut sockets[turn]);
            client.write_all(b"GET /again HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let mut start = [0; 10];
            socket.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"GET /again");
            let mut rest = Vec::from(start);
            while !rest.ends_with(b"\r\n\r\n") {
                rest.push(socket.read_u8().await.unwrap());
            }
            socket.write_all(ANSWER).await.unwrap();
            client.read_exact(&mut [0; ANSWER.len()]).await.unwrap();
        }
        rig.stop().await;
    });
}

#[test]
fn connections_that_were_made_otherwise_are_not_used_when_the_worker_asks_for_another_kind() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        let (plain, _) = tokio::join!(worker.serve_once("x"), client.get("/"));
        rig.web().endpoints[0].proxy_protocol = true;
        rig.publish().await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut socket = worker.accept_tcp().await;
        assert!(head(&mut socket).await.starts_with(PREFIX));
        socket.write_all(ANSWER).await.unwrap();
        client.response().await;
        rig.web().endpoints[0].proxy_protocol = false;
        rig.publish().await;
        drop(plain);
        let (answered, _) = tokio::join!(worker.serve_once("x"), client.get("/"));
        assert!(answered.1.start.starts_with("GET / "));
        rig.stop().await;
    });
}

#[test]
fn over_tls_its_version_and_the_name_are_told_and_http_2_requests_may_share() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = introducing(&worker).await;
        let said = [&b"\x02\0\x09localhost\x20\0\x0f\x01\0\0\0\x01\x21\0\x07TLSv1.3"[..]].concat();
        let mut old = client::tls(&rig, b"http/1.1").await;
        let from = old.get_ref().0.local_addr().unwrap();
        old.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut socket = worker.accept_tcp().await;
        assert_eq!(split(&head(&mut socket).await).0, header(from, rig.https, &said));

        let mut new = client::http2(&rig).await;
        let get = || Request::get("https://localhost/").body(Full::<Bytes>::default()).unwrap();
        let answer = async {
            let mut socket = worker.accept_tcp().await;
            let first = head(&mut socket).await;
            assert!(split(&first).0.ends_with(&said));
            socket.write_all(ANSWER).await.unwrap();
            socket
        };
        let (mut socket, response) = tokio::join!(answer, new.send_request(get()));
        http_body_util::BodyExt::collect(response.unwrap().into_body()).await.unwrap();
        let again = async {
            let mut start = [0; 5];
            socket.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"GET /");
            socket.write_all(ANSWER).await.unwrap();
        };
        let ((), response) = tokio::join!(again, new.send_request(get()));
        assert_eq!(response.unwrap().status(), 200);
        rig.stop().await;
    });
}

#[test]
fn the_client_is_the_one_whom_trusted_fronts_name() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = introducing(&worker).await;
        rig.snapshot.clients.trusted = vec!["127.0.0.0/8".parse().unwrap()];
        rig.publish().await;
        let mut front = Client::connect(rig.http).await;
        let request = |client| format!("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {client}\r\n\r\n");
        let mut sockets = Vec::new();
        for client in ["192.0.2.1", "192.0.2.2"] {
            front.write(&request(client)).await;
            let mut socket = worker.accept_tcp().await;
            let expected = header(SocketAddr::new(client.parse().unwrap(), 0), rig.http, &[]);
            assert_eq!(split(&head(&mut socket).await).0, expected);
            socket.write_all(ANSWER).await.unwrap();
            front.response().await;
            sockets.push(socket);
        }
        // One connection of the front, two clients: each has a connection of its own to the worker.
        front.write(&request("192.0.2.1")).await;
        let mut start = [0; 5];
        sockets[0].read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"GET /");
        // IPv6 beside our own IPv4 address: both as IPv6.
        let mut client = Client::connect(rig.http).await;
        client.write(&request("2001:db8::1")).await;
        let bytes = head(&mut worker.accept_tcp().await).await;
        let six = split(&bytes).0;
        assert_eq!(six[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(six[16..20], [0x20, 1, 0xd, 0xb8]);
        assert_eq!(six[32..48], std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets());
        rig.stop().await;
    });
}

#[test]
fn a_tunnel_is_introduced_before_its_handshake() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = introducing(&worker).await;
        let mut client = TcpStream::connect(rig.http).await.unwrap();
        client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        let mut socket = worker.accept_tcp().await;
        let bytes = head(&mut socket).await;
        let (introduction, request) = split(&bytes);
        assert_eq!(introduction, header(client.local_addr().unwrap(), rig.http, &[]));
        assert!(request.starts_with("GET / HTTP/1.1\r\n") && request.contains("upgrade: websocket"), "{request}");
        rig.stop().await;
    });
}
