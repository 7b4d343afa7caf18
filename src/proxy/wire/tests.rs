use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use bytes::Bytes;

use super::*;

/// A wire that has carried one exchange, and the worker's end of it. The worker blocks the test's thread, so that between
/// two awaits of the test nothing happens that the test does not do.
async fn used_wire() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let mut wire = connect(&address, None).await.unwrap();
    let mut worker = listener.accept().unwrap().0;
    let answer = tokio::task::spawn_blocking(move || {
        read_head(&mut worker);
        worker.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        worker
    });
    wire.send(&mut post(b""), None, Instant::now()).await.expect("answered");
    assert_eq!(body(&mut wire).await, Ok(Vec::new()));
    (wire, answer.await.unwrap())
}

fn read_head(worker: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        worker.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn post(body: &'static [u8]) -> WorkerRequest {
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let (framing, body) = (Framing::Length(body.len() as u64), Upload::Whole(Bytes::from_static(body)));
    WorkerRequest { head: head.into(), is_head: false, framing, body, response: Response::new(()) }
}

/// The body of the answer, to its end.
async fn body(wire: &mut Wire) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(bytes) = poll_fn(|cx| wire.poll_body(cx)).await {
        body.extend_from_slice(&bytes?);
    }
    Ok(body)
}

/// The failure of an exchange that is begun right after the worker has closed, before the runtime can know.
async fn after_the_worker_closed(pause: Duration, request: &mut WorkerRequest) -> Failure {
    let (mut wire, worker) = used_wire().await;
    let now = Instant::now();
    wire.rest(now);
    drop(worker);
    assert!(wire.is_idle(), "nobody can know yet");
    wire.send(request, None, now + pause).await.expect_err("nobody is there")
}

#[tokio::test(flavor = "current_thread")]
async fn after_a_pause_a_closed_connection_hands_the_request_back_unsent() {
    let mut request = post(b"precious");
    let failure = after_the_worker_closed(PAUSE, &mut request).await;
    assert!(failure.fault == Fault::Unsent && failure.is_unsent);
    assert!(matches!(&request.body, Upload::Whole(body) if body == "precious"));
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_pause_the_kernel_is_not_asked_and_the_request_may_have_been_read() {
    let failure = after_the_worker_closed(Duration::ZERO, &mut post(b"precious")).await;
    assert!(failure.fault == Fault::Silent && !failure.is_unsent);
}

#[tokio::test(flavor = "current_thread")]
async fn a_wire_is_idle_between_exchanges_and_not_within_one() {
    let (mut wire, mut worker) = used_wire().await;
    assert!(wire.is_idle());
    let answer = tokio::task::spawn_blocking(move || {
        read_head(&mut worker);
        worker.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe").unwrap();
        worker
    });
    wire.send(&mut post(b""), None, Instant::now()).await.expect("answered");
    let mut worker = answer.await.unwrap();
    assert!(!wire.is_idle());
    worker.write_all(b"llo").unwrap();
    assert_eq!(body(&mut wire).await, Ok(b"hello".to_vec()));
    assert!(wire.is_idle());
}

#[tokio::test(flavor = "current_thread")]
async fn patience_ends_only_when_the_request_has_stood_still() {
    let now = Instant::now();
    let patience = Duration::from_secs(1);
    assert_eq!(put_off(now, patience, None), None);
    let (mut wire, _worker) = used_wire().await;
    let failure = wire.send(&mut post(b"x"), Some(Duration::from_millis(5)), now).await.expect_err("nobody answers");
    assert_eq!(failure.fault, Fault::Timeout);
}
