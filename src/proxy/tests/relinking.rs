//! Another supervisor takes over: what it is told first, and that clients notice nothing.

use super::client::Client;
use super::rig::{Rig, endpoint};
use super::run;
use super::worker::Worker;
use crate::id::Serial;
use crate::link::{Epoch, FromProxy};

fn is_idle(serial: u64) -> impl Fn(&FromProxy) -> bool {
    move |message| *message == FromProxy::Idle { serial: Serial(serial) }
}

#[test]
fn a_proxy_tells_its_next_supervisor_what_is_in_force_and_who_is_idle_and_obeys_it() {
    run(async {
        let (busy, idle, open) = (Worker::start(1).await, Worker::start(2).await, Worker::start(3).await);
        let mut rig = Rig::serving(&[&busy]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = busy.accept().await;
        served.request().await;
        rig.web().endpoints = [&busy, &idle, &open].map(endpoint).into();
        rig.web().endpoints[0].open = false;
        rig.web().endpoints[1].open = false;
        rig.publish().await;

        rig.relink();
        let epoch = rig.snapshot.epoch;
        assert_eq!(rig.hear().await, FromProxy::Published { epoch });
        assert_eq!(rig.hear().await, FromProxy::Idle { serial: Serial(2) });
        // The exchange that was under way is told when it is over, to whoever is there by then.
        assert!(!rig.has_heard(is_idle(1)));
        served.respond("late").await;
        assert_eq!(client.response().await.body, "late");
        rig.expect(is_idle(1)).await;

        rig.web().endpoints.truncate(0);
        rig.web().endpoints.push(endpoint(&open));
        rig.snapshot.epoch = Epoch(epoch.0 + 7);
        rig.publish().await;
        let (_served, response) = tokio::join!(open.serve_once("new"), client.get("/"));
        assert_eq!(response.body, "new");
        rig.stop().await;
    });
}

#[test]
fn a_proxy_serves_on_between_two_supervisors_and_however_many_come() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        for _ in 0..5 {
            let (_served, response) = tokio::join!(worker.serve_once("there"), client.get("/"));
            assert_eq!(response.body, "there");
            rig.relink();
            rig.publish().await;
        }
        rig.stop().await;
    });
}
