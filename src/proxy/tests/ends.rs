//! How a proxy ends, and what it outlives.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::net::TcpStream;

use super::client::{self, Client};
use super::rig::{Rig, inheritable};
use super::run;
use super::worker::Worker;
use crate::link::{FromProxy, Manifest, ToProxy};
use crate::proxy::error::Error;
use crate::proxy::run::{Ends, open, serve};
use crate::sys::listener::bind;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_client_of_a_retiring_proxy_loses_no_request() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let mut idle = Client::connect(rig.http).await;
        let mut half = Client::connect(rig.http).await;
        let mut busy = Client::connect(rig.http).await;
        let ((mut served, _), _) = tokio::join!(worker.serve_once("x"), idle.get("/"));
        half.write("GET / HTTP/1.1\r\nho").await;
        busy.write("GET /busy HTTP/1.1\r\nhost: a\r\n\r\n").await;
        served = tokio::select! { _ = served.request() => served, other = worker.accept() => other };
        rig.retire(SOON).await;
        rig.refuses_connections().await;
        // None of the three has been told, and each is answered.
        let answering = tokio::spawn(worker.serve_all("last"));
        let response = idle.get("/").await;
        assert_eq!((response.body.as_str(), response.field("connection")), ("last", Some("close")));
        half.write("st: a\r\n\r\n").await;
        assert_eq!(half.response().await.body, "last");
        served.respond("done").await;
        assert_eq!(busy.response().await.status(), 200);
        for client in [&mut idle, &mut half, &mut busy] {
            assert!(client.try_response().await.is_none(), "closed after its last response");
        }
        rig.ended().await.unwrap();
        answering.abort();
    });
}

#[test]
fn an_idle_client_is_closed_after_its_grace_and_the_proxy_ends_before_its_deadline() {
    run(async {
        let mut rig = Rig::start().await;
        rig.publish().await;
        let mut client = Client::connect(rig.http).await;
        let began = std::time::Instant::now();
        rig.retire(Duration::from_mins(1)).await;
        assert!(client.try_response().await.is_none());
        rig.ended().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    });
}

#[test]
fn an_http_2_client_is_told_to_go_and_finishes_what_it_has() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let mut sender = client::http2(&rig).await;
        let request = || http::Request::get("https://localhost/").body(Full::<Bytes>::default()).unwrap();
        let response = tokio::spawn(sender.send_request(request()));
        let mut served = worker.accept().await;
        served.request().await;
        rig.retire(SOON).await;
        rig.refuses_connections().await;
        served.respond("finished").await;
        let response = response.await.unwrap().unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "finished");
        // GOAWAY has come by now or comes soon; then the connection takes nothing more.
        while sender.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
        rig.ended().await.unwrap();
    });
}

#[test]
fn what_is_not_finished_by_the_deadline_is_cut_off() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        served.request().await;
        rig.retire(Duration::from_millis(50)).await;
        rig.ended().await.unwrap();
        assert!(client.try_response().await.is_none());
        assert!(served.ends().await);
    });
}

#[test]
fn a_client_that_goes_away_takes_its_exchange_with_it() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let ask = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let (mut waiting, mut reading) = (Client::connect(rig.http).await, Client::connect(rig.http).await);
        waiting.write(ask).await;
        let mut unanswered = worker.accept().await;
        unanswered.request().await;
        reading.write(ask).await;
        let mut answered = worker.accept().await;
        answered.request().await;
        answered.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
        reading.read_until("hello").await;
        drop((waiting, reading));
        assert!(unanswered.ends().await && answered.ends().await);
        rig.metric_becomes("portreeve_inflight", &[], 0).await;
        assert_eq!(rig.metric("portreeve_requests_total", &[("code_class", "4xx")]).await, 1, "nobody was told");
        assert_eq!(rig.metric("portreeve_requests_total", &[("code_class", "2xx")]).await, 1);
        assert!(!rig.has_heard(|message| matches!(message, FromProxy::Fault { .. })), "no worker is to blame");
        rig.stop().await;
    });
}

#[test]
fn a_proxy_outlives_its_supervisor() {
    run(async {
        let worker = Worker::start(1).await;
        let rig = Rig::serving(&[&worker]).await;
        let http = rig.http;
        rig.abandon();
        tokio::spawn(worker.serve_all("still here"));
        for _ in 0..3 {
            let mut client = Client::connect(http).await;
            for _ in 0..3 {
                assert_eq!(client.get("/").await.body, "still here");
            }
        }
    });
}

#[test]
fn a_proxy_that_was_told_nothing_ends_with_its_supervisor() {
    run(async {
        let rig = Rig::start().await;
        let outcome = rig.abandoned().await;
        assert!(matches!(outcome, Err(Error::Abandoned)), "{outcome:?}");
    });
}

#[test]
fn a_listener_that_is_not_the_one_meant_is_refused() {
    run(async {
        let mut entry = inheritable(bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0), false);
        entry.cookie += 1;
        let manifest = Manifest { threads: 1, listeners: vec![entry], access_log: None, access_json: false };
        let ((near, link), (_relink, relink)) =
            (crate::sys::socket::pair().unwrap(), crate::sys::socket::pair().unwrap());
        let thread = std::thread::spawn(move || serve(Ends { link, relink }, &[], |_| {}));
        let mut link = open(near).unwrap();
        crate::link::codec::write(&mut link, &ToProxy::Manifest(manifest)).await.unwrap();
        assert_eq!(crate::link::codec::read::<FromProxy>(&mut link).await.unwrap(), None, "no Ready");
        let outcome = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        assert!(matches!(outcome, Err(Error::Unclaimed(_))), "{outcome:?}");
    });
}

impl Rig {
    /// Waits until nobody accepts on the public port any more.
    async fn refuses_connections(&self) {
        while TcpStream::connect(self.http).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
