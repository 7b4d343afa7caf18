//! What the supervisor hears of the load on a worker.

use super::client::Client;
use super::rig::Rig;
use super::run;
use super::worker::Worker;
use crate::id::Serial;
use crate::link::{FromProxy, Load};

impl Rig {
    /// Waits until the proxy says something like this of the only worker.
    async fn load(&mut self, is_it: impl Fn(&Load) -> bool) -> Load {
        let loads = |message: &FromProxy| match message {
            FromProxy::Load(news) => news.clone(),
            _ => Vec::new(),
        };
        let said = self.expect(|message| loads(message).iter().any(&is_it)).await;
        loads(&said).into_iter().find(is_it).expect("just heard")
    }
}

#[test]
fn a_request_without_an_answer_is_in_flight_and_grows_old() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut served = worker.accept().await;
        served.request().await;
        let load = rig.load(|load| load.oldest.is_some_and(|oldest| !oldest.is_zero())).await;
        assert_eq!((load.serial, load.in_flight, load.finished, load.failed), (Serial(1), 1, 0, 0));
        // The head is here, the body is not: nobody waits for the worker's first word any more.
        served.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha").await;
        let load = rig.load(|load| load.oldest.is_none()).await;
        assert_eq!((load.in_flight, load.finished), (1, 0));
        served.write("lf").await;
        assert_eq!(client.response().await.body, "half");
        let load = rig.load(|load| load.finished == 1).await;
        assert_eq!((load.in_flight, load.oldest, load.failed), (0, None, 0));
        rig.stop().await;
    });
}

#[test]
fn a_request_that_a_worker_fails_or_a_client_leaves_is_over() {
    run(async {
        let worker = Worker::start(1).await;
        let mut rig = Rig::serving(&[&worker]).await;
        let mut client = Client::connect(rig.http).await;
        client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
        let mut served = worker.accept().await;
        served.request().await;
        drop(served);
        assert_eq!(client.response().await.status(), 502);
        let load = rig.load(|load| load.finished == 1).await;
        assert_eq!((load.in_flight, load.oldest, load.failed), (0, None, 1));
        client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        worker.accept().await.request().await;
        drop(client);
        let load = rig.load(|load| load.finished == 2 && load.in_flight == 0).await;
        assert_eq!(load.oldest, None);
        rig.stop().await;
    });
}
