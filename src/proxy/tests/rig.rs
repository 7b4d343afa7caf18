//! A running proxy and the supervisor's end of its link.

use std::net::SocketAddr;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UnixStream;

use super::worker::Worker;
use crate::id::{Address, AppName, Generation, Serial, Slot};
use crate::link::{
    App, Certificate, Clients, Condition, Crowd, Endpoint, Epoch, FromProxy, Hold, Http2, Limits, Listener, Manifest,
    ManifestEntry, Requests, Snapshot, Streams, ToProxy, codec,
};
use crate::proxy::error::Error;
use crate::proxy::run::{Ends, open, serve};
use crate::sys::listener::{Listening, bind};
use crate::telemetry::exposition::{Family, Value};

/// Makes a listening socket look as one that was inherited, and describes it for a manifest.
pub(in crate::proxy) fn inheritable(listening: Listening, tls: bool) -> ManifestEntry {
    SockRef::from(&listening.socket).set_cloexec(false).unwrap();
    let Listening { socket, address, cookie, .. } = listening;
    ManifestEntry { descriptor: socket.into_raw_fd(), address, tls, cookie }
}

/// A proxy under test.
pub(super) struct Rig {
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    /// What is published next; change it, then [`publish`](Rig::publish).
    pub(super) snapshot: Snapshot,
    /// PEM of the certificate that the proxy shows.
    pub(super) chain: String,
    link: UnixStream,
    relink: OwnedFd,
    thread: JoinHandle<Result<(), Error>>,
    /// What the proxy has said and nobody has asked for yet.
    unread: Vec<FromProxy>,
}

impl Rig {
    /// A proxy with two threads and one app `web` without endpoints, which it has not been told of yet.
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut Manifest)) -> Self {
        let http = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let https = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let plain = http.into_iter().map(|it| inheritable(it, false));
        let listeners: Vec<_> = plain.chain(https.into_iter().map(|it| inheritable(it, true))).collect();
        let (http, https) = (listeners[0].address, listeners[2].address);
        let mut manifest = Manifest { threads: 2, listeners, access_log: None, access_json: false };
        change(&mut manifest);
        let ((near, link), (relink, far)) = (crate::sys::socket::pair().unwrap(), crate::sys::socket::pair().unwrap());
        let thread = std::thread::spawn(move || serve(Ends { link, relink: far }, &[], |_| {}));
        let (chain, key) = crate::certs::self_signed(&["localhost"]).unwrap();
        let certificates = vec![Certificate { chain: chain.clone(), key }];
        let listeners = [http, https].map(|address| Listener { address, app: None }).to_vec();
        let snapshot = Snapshot {
            epoch: Epoch(0),
            listeners,
            apps: vec![app("web")],
            certificates,
            tickets: Vec::new(),
            ends_alone: false,
            clients: Clients::default(),
            limits: limits(),
        };
        let link = open(near).unwrap();
        let mut rig = Self { http, https, snapshot, chain, link, relink, thread, unread: Vec::new() };
        rig.tell(ToProxy::Manifest(manifest)).await;
        assert_eq!(rig.hear().await, FromProxy::Ready);
        rig
    }

    /// The supervisor is gone and another one takes over, of which the proxy is told first where it stands.
    pub(super) fn relink(&mut self) {
        let (near, far) = crate::sys::socket::pair().unwrap();
        self.link = open(near).unwrap();
        self.unread.clear();
        crate::sys::handout::send(&self.relink, b"l", far.as_fd()).unwrap();
    }

    /// A proxy whose app has these workers, each open.
    pub(super) async fn serving(workers: &[&Worker]) -> Self {
        let mut rig = Self::start().await;
        rig.snapshot.apps[0].endpoints = workers.iter().map(|worker| endpoint(worker)).collect();
        rig.publish().await;
        rig
    }

    /// A proxy whose app has this one worker, with other limits than usual.
    pub(super) async fn limited(worker: &Worker, change: impl FnOnce(&mut Limits)) -> Self {
        let mut rig = Self::start().await;
        rig.web().endpoints = vec![endpoint(worker)];
        change(&mut rig.snapshot.limits);
        rig.publish().await;
        rig
    }

    /// Waits until one client has been cut off, for this reason.
    pub(super) async fn has_cut(&mut self, why: &str) {
        self.metric_becomes("portreeve_clients_cut_total", &[("why", why)], 1).await;
    }

    /// The app `web`, to be changed.
    pub(super) fn web(&mut self) -> &mut App {
        &mut self.snapshot.apps[0]
    }

    /// Publishes the snapshot and waits until it is in force.
    pub(super) async fn publish(&mut self) {
        self.snapshot.epoch.0 += 1;
        let epoch = self.snapshot.epoch;
        self.tell(ToProxy::Publish(Box::new(self.snapshot.clone()))).await;
        self.expect(|message| *message == FromProxy::Published { epoch }).await;
    }

    /// Waits until the proxy has said something of this kind.
    pub(super) async fn expect(&mut self, is_it: impl Fn(&FromProxy) -> bool) -> FromProxy {
        if let Some(at) = self.unread.iter().position(&is_it) {
            return self.unread.remove(at);
        }
        loop {
            let message = self.hear().await;
            if is_it(&message) {
                return message;
            }
            self.unread.push(message);
        }
    }

    /// Has the proxy said something of this kind that nobody has asked for yet?
    pub(super) fn has_heard(&self, is_it: impl Fn(&FromProxy) -> bool) -> bool {
        self.unread.iter().any(is_it)
    }

    /// The value of a counter or gauge, or the count of a histogram, summed over the series with these labels.
    pub(super) async fn metric(&mut self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.tell(ToProxy::Scrape { ticket: 1 }).await;
        let FromProxy::Metrics { families, .. } =
            self.expect(|message| matches!(message, FromProxy::Metrics { .. })).await
        else {
            unreachable!("just matched");
        };
        total(&families, name, labels)
    }

    /// Waits until a metric has a value.
    pub(super) async fn metric_becomes(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        // Each turn is a round trip to the proxy; the test as a whole has its limit.
        while self.metric(name, labels).await != value {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn tell(&mut self, message: ToProxy) {
        codec::write(&mut self.link, &message).await.unwrap();
    }

    pub(super) async fn hear(&mut self) -> FromProxy {
        codec::read(&mut self.link).await.unwrap().expect("the proxy has ended")
    }

    pub(super) async fn retire(&mut self, within: Duration) {
        self.tell(ToProxy::Retire { within, is_last: false }).await;
    }

    /// Waits until the proxy has ended.
    pub(super) async fn ended(self) -> Result<(), Error> {
        tokio::task::spawn_blocking(|| self.thread.join().unwrap()).await.unwrap()
    }

    /// Goes away as a supervisor that was killed. The proxy serves on, until the test process ends.
    pub(super) fn abandon(self) {
        drop(self.link);
    }

    /// Goes away and waits for the proxy's end.
    pub(super) async fn abandoned(self) -> Result<(), Error> {
        let Self { link, thread, .. } = self;
        drop(link);
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap()
    }

    /// Ends the proxy at once; returns what it says in the end of a counter: its value, summed over the series with these labels.
    pub(super) async fn last(&mut self, counters: &[(&str, &[(&str, &str)])]) -> Vec<u64> {
        self.retire(Duration::ZERO).await;
        let said = self.expect(|message| matches!(message, FromProxy::Metrics { ticket: 0, .. })).await;
        let FromProxy::Metrics { families, .. } = said else { unreachable!("just matched") };
        counters.iter().map(|(name, labels)| total(&families, name, labels)).collect()
    }

    /// Ends the proxy at once, whatever is under way.
    pub(super) async fn stop(mut self) {
        self.retire(Duration::ZERO).await;
        self.ended().await.unwrap();
    }
}

/// An app for any host, without endpoints.
pub(super) fn app(name: &str) -> App {
    App {
        name: name.parse::<AppName>().unwrap(),
        hosts: Some(Vec::new()),
        path: "/".into(),
        condition: Condition::Expected,
        endpoints: Vec::new(),
        max_inflight: None,
        requests: Requests {
            body_bytes: None,
            retry_idempotency_key: false,
            request_start: false,
            canary: None,
            consistent: false,
        },
        hold: Hold { requests: 100, time: Duration::from_secs(10), shed_after: None, wakes: false },
        connect_timeout: Duration::from_secs(1),
        response_timeout: Some(Duration::from_secs(10)),
        keepalive: Duration::from_secs(10),
        maintenance: None,
    }
}

/// The endpoint of a worker, open.
pub(super) fn endpoint(worker: &Worker) -> Endpoint {
    endpoint_at(worker.serial, worker.address.clone())
}

pub(super) fn endpoint_at(serial: Serial, address: Address) -> Endpoint {
    Endpoint {
        serial,
        slot: Slot(serial.0 as u32),
        generation: Generation(1),
        address,
        open: true,
        proxy_protocol: false,
        leaving: false,
        streams: Streams::Wait,
        slow_start: None,
    }
}

fn limits() -> Limits {
    Limits {
        connections: 1000,
        header_bytes: 32 * 1024,
        header_count: 100,
        handshake_timeout: Duration::from_secs(10),
        header_timeout: Duration::from_secs(10),
        body_idle: Duration::from_secs(10),
        body_rate: None,
        write_stall: Duration::from_secs(10),
        keepalive_idle: Duration::from_mins(1),
        http2: Http2 { streams: 100, requests: 10_000 },
        crowd: Crowd {
            handshakes: 16,
            connections_per_ip: None,
            connects_per_ip: None,
            requests_per_ip: None,
            exempt: Vec::new(),
        },
    }
}

fn total(families: &[Family], name: &str, labels: &[(&str, &str)]) -> u64 {
    let samples = families.iter().filter(|family| family.name == name).flat_map(|family| &family.samples);
    let is_meant =
        |of: &[(String, String)]| labels.iter().all(|(n, v)| of.iter().any(|(name, value)| name == n && value == v));
    let values = samples.filter(|sample| is_meant(&sample.labels)).map(|sample| match &sample.value {
        Value::Number(number) => format!("{number:.0}").parse().expect("counts are whole and not negative"),
        Value::Histogram { count, .. } => *count,
    });
    values.sum()
}
