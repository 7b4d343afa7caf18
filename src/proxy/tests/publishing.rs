//! Snapshots: what is in force when, and what it costs the exchanges under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};

use super::client::{self, Client};
use super::rig::{Rig, app, endpoint};
use super::run;
use super::worker::Worker;
use crate::id::Serial;
use crate::link::{Certificate, Epoch, FromProxy, ToProxy};
use crate::sys::arrived::Arrived;

fn is_idle(serial: u64) -> impl Fn(&FromProxy) -> bool {
    move |message| *message == FromProxy::Idle { serial: Serial(serial) }
}

#[test]
fn a_closed_endpoint_is_idle_after_its_last_exchange_and_not_before() {
    run(async {
        let (old, new) = (Worker::start(1).await, Worker::start(2).await);
        let mut rig = Rig::serving(&[&old]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = old.accept().await;
        served.request().await;
        rig.web().endpoints = vec![endpoint(&old), endpoint(&new)];
        rig.web().endpoints[0].open = false;
        rig.publish().await;
        let mut other = Client::connect(rig.http).await;
        let (_served, response) = tokio::join!(new.serve_once("new"), other.get("/"));
        assert_eq!(response.body, "new");
        assert!(!rig.has_heard(is_idle(1)));
        served.respond("old").await;
        assert_eq!(client.response().await.body, "old");
        rig.expect(is_idle(1)).await;
        rig.web().endpoints.remove(0);
        rig.publish().await;
        assert!(served.ends().await);
        rig.stop().await;
    });
}

#[test]
fn idle_connections_are_gone_when_an_endpoint_is_no_longer_listed() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        let ((served, _), _) = tokio::join!(worker.serve_once("x"), client.get("/"));
        rig.web().endpoints.clear();
        rig.publish().await;
        // The acknowledgement has come, so the end is there already: nothing is waited for.
        assert_eq!(served.arrived(), Arrived::End);
        rig.stop().await;
    });
}

#[test]
fn fifty_swaps_under_load_fail_no_request() {
    run(async {
        let mut rig = Rig::start().await;
        let bodies: Arc<Vec<String>> = Arc::new((0..=50).map(|serial| format!("worker {serial}")).collect());
        let start = async |serial: u64| {
            let worker = Worker::start(serial).await;
            let listed = endpoint(&worker);
            (listed, tokio::spawn(worker.serve_all(Box::leak(bodies[serial as usize].clone().into_boxed_str()))))
        };
        let (first, mut task) = start(0).await;
        rig.web().endpoints = vec![first];
        rig.publish().await;
        let (done, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let clients: Vec<_> =
            (0..8).map(|n| tokio::spawn(keep_asking(rig.http, n % 2 == 0, done.clone(), served.clone()))).collect();
        let h2 = tokio::spawn(keep_asking_http2(client::http2(&rig).await, done.clone(), served.clone()));
        for serial in 1..=50 {
            let (new, new_task) = start(serial).await;
            let before = served.load(SeqCst);
            rig.web().endpoints[0].open = false;
            rig.web().endpoints.push(new);
            rig.publish().await;
            rig.expect(is_idle(serial - 1)).await;
            rig.web().endpoints.remove(0);
            rig.publish().await;
            // What a supervisor does now: the old worker is stopped, with whatever it still has.
            task.abort();
            task = new_task;
            while served.load(SeqCst) < before + 5 {
                tokio::task::yield_now().await;
            }
        }
        done.store(true, SeqCst);
        for client in clients {
            client.await.unwrap();
        }
        h2.await.unwrap();
        for never in ["portreeve_dispatch_after_quiesce_total", "portreeve_upstream_reset_stopping_total"] {
            assert_eq!(rig.metric(never, &[]).await, 0, "{never}");
        }
        assert_eq!(rig.metric("portreeve_retries_total", &[]).await, 0);
        rig.stop().await;
    });
}

async fn keep_asking(address: std::net::SocketAddr, is_post: bool, done: Arc<AtomicBool>, served: Arc<AtomicU32>) {
    let mut client = Client::connect(address).await;
    while !done.load(SeqCst) {
        let response = if is_post { client.post("/", "x").await } else { client.get("/").await };
        assert!(response.status() == 200 && response.body.starts_with("worker "), "{response:?}");
        served.fetch_add(1, SeqCst);
    }
}

async fn keep_asking_http2(
    mut sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    done: Arc<AtomicBool>,
    served: Arc<AtomicU32>,
) {
    while !done.load(SeqCst) {
        let request = http::Request::post("https://localhost/").body(Full::new(Bytes::from_static(b"x"))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
        served.fetch_add(1, SeqCst);
    }
}

#[test]
fn routes_lead_to_their_apps() {
    run(async {
        let (web, api) = (Worker::start(1).await, Worker::start(2).await);
        let mut rig = Rig::serving(&[&web]).await;
        let mut second = app("api");
        second.path = "/api".into();
        second.endpoints = vec![endpoint(&api)];
        rig.snapshot.apps.push(second);
        rig.publish().await;
        tokio::spawn(web.serve_all("web"));
        tokio::spawn(api.serve_all("api"));
        let mut client = Client::connect(rig.http).await;
        for (path, body) in [("/api/x", "api"), ("/apix", "web"), ("/", "web")] {
            assert_eq!(client.get(path).await.body, body, "{path}");
        }
        rig.snapshot.apps.pop();
        rig.publish().await;
        assert_eq!(client.get("/api/x").await.body, "web");
        rig.stop().await;
    });
}

#[test]
fn a_snapshot_that_cannot_be_used_changes_nothing() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let mut bad = rig.snapshot.clone();
        bad.epoch = Epoch(99);
        bad.apps.clear();
        bad.certificates = vec![Certificate { chain: "no".into(), key: "no".into() }];
        rig.tell(ToProxy::Publish(Box::new(bad))).await;
        let told = rig.expect(|message| matches!(message, FromProxy::Rejected { .. })).await;
        let FromProxy::Rejected { epoch, reason } = told else { unreachable!("just matched") };
        assert!(epoch == Epoch(99) && !reason.is_empty());
        let mut client = Client::connect(rig.http).await;
        let (_served, response) = tokio::join!(worker.serve_once("as before"), client.get("/"));
        assert_eq!(response.body, "as before");
        client::http2(&rig).await;
        rig.stop().await;
    });
}

#[test]
fn two_apps_for_one_place_are_refused_by_name() {
    run(async {
        let mut rig = Rig::start().await;
        rig.snapshot.apps.push(app("other"));
        rig.tell(ToProxy::Publish(Box::new(rig.snapshot.clone()))).await;
        let FromProxy::Rejected { reason, .. } = rig.hear().await else { panic!("not refused") };
        assert!(reason.contains("web") && reason.contains("other"), "{reason}");
        rig.stop().await;
    });
}
