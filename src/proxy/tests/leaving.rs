//! What lasts when its worker leaves: told, waited for, or cut, as the snapshot says.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::client::{self, Client};
use super::rig::{Rig, endpoint};
use super::run;
use super::tunnels::{echo, open, open_raw};
use super::worker::{Served, Worker};
use crate::link::{FromProxy, Streams};

/// At once, but for what chance makes of nothing.
const NOTIFY: Streams = Streams::Notify { spread: Duration::ZERO };

async fn serving(worker: &Worker, streams: Streams) -> Rig {
    let mut rig = Rig::start().await;
    rig.web().endpoints = vec![endpoint(worker)];
    rig.web().endpoints[0].streams = streams;
    rig.publish().await;
    rig
}

/// Closes the worker for good.
async fn leave(rig: &mut Rig) {
    let endpoint = &mut rig.web().endpoints[0];
    (endpoint.open, endpoint.leaving) = (false, true);
    rig.publish().await;
}

async fn is_idle(rig: &mut Rig) {
    rig.expect(|message| matches!(message, FromProxy::Idle { .. })).await;
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: one\n\ndata: ";

/// A worker's connection on which the beginning of an event stream was written, in the midst of an event.
async fn events(worker: &Worker) -> Served {
    let mut served = worker.accept().await;
    served.request().await;
    served.write(EVENTS).await;
    served
}

#[test]
fn a_websocket_is_closed_with_1012_behind_a_whole_message() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, NOTIFY).await;
        let (mut client, mut far) = open(TcpStream::connect(rig.http).await.unwrap(), &worker).await;
        echo(&mut client, &mut far, "hello").await;
        leave(&mut rig).await;
        let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else { panic!("no close") };
        assert_eq!((close.code, close.reason.as_str()), (CloseCode::Restart, "service restart"));
        // The client answers by itself, and its answer goes to the worker, who closes then.
        let answered = async move {
            let Message::Close(Some(close)) = far.next().await.unwrap().unwrap() else { panic!("no close") };
            assert_eq!(close.code, CloseCode::Restart);
            assert!(far.next().await.is_none());
        };
        let ((), end) = tokio::join!(answered, client.next());
        assert!(end.is_none(), "an orderly end");
        is_idle(&mut rig).await;
        rig.metric_becomes("portreeve_inflight", &[], 0).await;
        rig.stop().await;
    });
}

#[test]
fn a_message_that_has_begun_is_finished_before_the_close() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, NOTIFY).await;
        let (mut client, mut served) = open_raw(&rig, &worker).await;
        // One fragment of a message, and the beginning of the next.
        served.write_all(b"\x01\x03abc\x80\x7e\x01").await.unwrap();
        client.read_exact(&mut [0; 8]).await.unwrap();
        leave(&mut rig).await;
        let rest = [&b"\x00"[..], &[b'x'; 256], b"\x82\x01!"].concat();
        for byte in &rest {
            served.write_all(&[*byte]).await.unwrap();
        }
        let mut told = Vec::new();
        served.write_all(b"\x82\x02no").await.unwrap();
        let reading = async {
            while !told.ends_with(b"service restart") {
                assert_ne!(client.read_buf(&mut told).await.unwrap(), 0);
            }
        };
        reading.await;
        let close = told.split_off(told.len() - 19);
        assert_eq!(close, b"\x88\x11\x03\xf4service restart");
        assert_eq!(told, [&b"\x00"[..], &[b'x'; 256]].concat(), "the message is whole, and nothing follows");
        // Whatever the worker says now is for nobody, and so is its end.
        drop(served);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        is_idle(&mut rig).await;
        rig.stop().await;
    });
}

#[test]
fn a_websocket_whose_client_does_not_answer_ends_all_the_same() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, NOTIFY).await;
        let (mut client, mut served) = open_raw(&rig, &worker).await;
        leave(&mut rig).await;
        client.read_exact(&mut [0; 19]).await.unwrap();
        // Both keep their sides open.
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(served.read(&mut [0]).await.unwrap_or(0), 0);
        is_idle(&mut rig).await;
        rig.stop().await;
    });
}

#[test]
fn a_worker_that_has_closed_is_not_spoken_for() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, NOTIFY).await;
        let (mut client, mut served) = open_raw(&rig, &worker).await;
        served.write_all(b"\x88\x02\x03\xe8").await.unwrap();
        client.read_exact(&mut [0; 4]).await.unwrap();
        leave(&mut rig).await;
        client.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.unwrap();
        served.read_exact(&mut [0; 8]).await.unwrap();
        drop(served);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the one close was the worker's");
        is_idle(&mut rig).await;
        rig.stop().await;
    });
}

#[test]
fn an_event_stream_ends_behind_an_event_as_if_that_were_all() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, NOTIFY).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = events(&worker).await;
        let mut heard = client.read_until("data: \r\n").await;
        leave(&mut rig).await;
        served.write("two\n\ndata: three").await;
        heard += &client.read_until("0\r\n\r\n").await;
        assert!(heard.contains("two\n\n") && !heard.contains("three"), "{heard}");
        assert!(served.ends().await, "the worker learns of it");
        is_idle(&mut rig).await;
        // The connection lives on.
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 503);
        rig.stop().await;
    });
}

#[test]
fn an_event_stream_in_which_nothing_happens_ends_as_well_also_over_http_2() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, NOTIFY).await;
        let mut sender = client::http2(&rig).await;
        let request = Request::get("https://localhost/events").body(Full::<Bytes>::default()).unwrap();
        let (mut served, response) = tokio::join!(events(&worker), sender.send_request(request));
        let mut body = response.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "data: one\n\ndata: ");
        served.write("two\n\n").await;
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two\n\n");
        leave(&mut rig).await;
        assert!(body.collect().await.unwrap().to_bytes().is_empty(), "a clean end");
        assert!(served.ends().await);
        is_idle(&mut rig).await;
        rig.stop().await;
    });
}

#[test]
fn what_has_a_length_or_no_events_is_waited_for() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, NOTIFY).await;
        for fields in ["content-type: text/event-stream\r\ncontent-length: 12", "connection: close"] {
            let endpoint = &mut rig.web().endpoints[0];
            (endpoint.open, endpoint.leaving, endpoint.serial.0) = (true, false, endpoint.serial.0 + 1);
            rig.publish().await;
            let mut client = Client::connect(rig.http).await;
            client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let mut served = worker.accept().await;
            served.request().await;
            served.write(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nd: 1\n\n")).await;
            client.read_until("d: 1\n\n").await;
            leave(&mut rig).await;
            served.write("d: 2\n\n").await;
            client.read_until("d: 2\n\n").await;
        }
        rig.stop().await;
    });
}

#[test]
fn what_may_wait_is_left_alone() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, Streams::Wait).await;
        let (mut client, mut far) = open(TcpStream::connect(rig.http).await.unwrap(), &worker).await;
        let mut reader = Client::connect(rig.http).await;
        reader.write("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = events(&worker).await;
        reader.read_until("data: \r\n").await;
        leave(&mut rig).await;
        echo(&mut client, &mut far, "still here").await;
        served.write("two\n\n").await;
        reader.read_until("two\n\n").await;
        served.write("data: three\n\n").await;
        reader.read_until("three\n\n").await;
        client.close(None).await.unwrap();
        rig.stop().await;
    });
}

#[test]
fn what_is_to_be_cut_is_cut_at_once_and_younger_answers_are_not() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, Streams::Cut).await;
        let (mut client, mut far) = open(TcpStream::connect(rig.http).await.unwrap(), &worker).await;
        let mut reader = Client::connect(rig.http).await;
        reader.write("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut stream = events(&worker).await;
        reader.read_until("data: \r\n").await;
        let mut loader = Client::connect(rig.http).await;
        loader.write("GET /file HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut file = worker.accept().await;
        file.request().await;
        file.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await;
        loader.read_until("half").await;

        leave(&mut rig).await;
        assert!(!matches!(client.next().await, Some(Ok(_))));
        assert!(!matches!(far.next().await, Some(Ok(_))));
        assert_eq!(reader.rest().await, "", "no last chunk: it is seen that this is not all");
        assert!(stream.ends().await);
        file.write("file").await;
        loader.read_until("file").await;
        is_idle(&mut rig).await;
        rig.stop().await;
    });
}

#[test]
fn a_proxy_that_goes_tells_them_too() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, NOTIFY).await;
        let (mut client, _far) = open(TcpStream::connect(rig.http).await.unwrap(), &worker).await;
        let mut reader = Client::connect(rig.http).await;
        reader.write("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = events(&worker).await;
        reader.read_until("data: \r\n").await;
        rig.retire(Duration::from_mins(1)).await;
        assert!(
            matches!(client.next().await, Some(Ok(Message::Close(Some(close)))) if close.code == CloseCode::Restart)
        );
        let _ = client.close(None).await;
        served.write("two\n\n").await;
        reader.read_until("0\r\n\r\n").await;
        drop((client, reader));
        rig.ended().await.unwrap();
    });
}

#[test]
fn what_a_proxy_cuts_off_in_the_end_is_counted_and_not_put_down_to_its_client() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = serving(&worker, Streams::Wait).await;
        let (mut client, _far) = open(TcpStream::connect(rig.http).await.unwrap(), &worker).await;
        let mut reader = Client::connect(rig.http).await;
        reader.write("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let _events = events(&worker).await;
        reader.read_until("data: \r\n").await;
        let mut waiter = Client::connect(rig.http).await;
        waiter.write("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
        worker.accept().await.request().await;
        let ended = "portreeve_streams_ended_total";
        let counted = rig
            .last(&[
                (ended, &[("kind", "websocket"), ("how", "cut")]),
                (ended, &[("kind", "event-stream"), ("how", "cut")]),
                ("portreeve_requests_total", &[("code_class", "5xx")]),
                ("portreeve_requests_total", &[("code_class", "4xx")]),
                ("portreeve_requests_failed_total", &[]),
            ])
            .await;
        assert_eq!(counted, [1, 1, 1, 0, 3]);
        assert!(!matches!(client.next().await, Some(Ok(_))));
        rig.ended().await.unwrap();
    });
}
