//! Steady load from many keep-alive clients, as strict as clients can be.
//!
//! Each client has one connection and sends one request after the other: every second client `GET`s, the others `POST`
//! orders with unique ids, and nobody ever sends anything twice. Anything but the right answer is a failure, also a
//! connection that ends without `Connection: close`. Runs on a thread of its own until told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http::Method;
use tokio::task::JoinSet;

use super::client::{Failure, PATIENCE, Reply, Target, block_on, request};
use super::connection::Connection;
use super::poll::{SOON, until};
use super::tally::{Failed, Tally};

/// Clients to be started.
#[derive(Debug, Default)]
pub(crate) struct Load {
    clients: Vec<Target>,
    think: Think,
    orders_only: bool,
}

/// How long a client waits between an answer and its next request, at most; the wait is drawn evenly from zero on.
#[derive(Clone, Copy, Debug)]
struct Think(Duration);

impl Default for Think {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

impl Load {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds so many clients of this target.
    pub(crate) fn clients(mut self, count: usize, target: &Target) -> Self {
        self.clients.extend(std::iter::repeat_n(target.clone(), count));
        self
    }

    /// Longest wait between two requests of a client.
    pub(crate) fn think(mut self, longest: Duration) -> Self {
        self.think = Think(longest);
        self
    }

    /// All clients `POST`.
    pub(crate) fn orders_only(mut self) -> Self {
        self.orders_only = true;
        self
    }

    /// Lets the clients loose; returns when each has had an answer.
    pub(crate) fn start(self) -> Running {
        let shared = Arc::new(Shared::default());
        let clients = self.clients.len() as u64;
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || block_on(self.run(&shared))
        });
        let running = Running { shared, thread: Some(thread) };
        until(SOON, "every client has had an answer", || {
            let settled = running.shared.settled.load(Ordering::SeqCst) == clients;
            (settled || running.is_over()).then_some(())
        });
        running
    }

    async fn run(self, shared: &Arc<Shared>) -> Tally {
        let mut clients = JoinSet::new();
        for (number, target) in self.clients.into_iter().enumerate() {
            let method = if self.orders_only || number % 2 == 1 { Method::POST } else { Method::GET };
            let client = Client {
                number,
                target,
                method,
                think: self.think,
                connection: None,
                shared: Arc::clone(shared),
                tally: Tally::default(),
            };
            clients.spawn(client.run());
        }
        clients.join_all().await.into_iter().fold(Tally::default(), Tally::plus)
    }
}

/// What the clients and the test share.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Requests with an answer or a failure.
    ended: AtomicU64,
    failed: AtomicBool,
    /// Clients with at least one answer.
    settled: AtomicU64,
    /// No answer to a request that begins now may come from a generation before this one.
    floor: AtomicU64,
}

impl super::Running {
    /// Reloads so many times under load, and looks at `each` one; nothing may fail, and nothing be done twice.
    #[track_caller]
    pub(crate) fn reloads_without_a_loss(&self, times: usize, mut each: impl FnMut()) {
        let load = Load::new().clients(6, &self.http()).start();
        for _ in 0..times {
            self.reload_live();
            load.goes_on(20);
            each();
        }
        let tally = load.finish();
        tally.assert_nothing_failed();
        tally.assert_each_order_once(self.ledger());
    }
}

/// Clients at work.
#[derive(Debug)]
pub(crate) struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Tally>>,
}

impl Running {
    /// From now on no request may be answered by a generation before this one.
    pub(crate) fn expect_generation(&self, generation: u64) {
        self.shared.floor.store(generation, Ordering::SeqCst);
    }

    /// Waits until so many more requests have ended, one way or the other.
    #[track_caller]
    pub(crate) fn goes_on(&self, more: u64) {
        let goal = self.shared.ended.load(Ordering::SeqCst) + more;
        until(SOON, "requests come to an end", || (self.shared.ended.load(Ordering::SeqCst) >= goal).then_some(()));
    }

    /// Requests that have ended so far, one way or the other.
    pub(crate) fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// Lets every client finish its request, and adds up.
    pub(crate) fn finish(mut self) -> Tally {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.take().expect("finished once").join().expect("the clients do not panic")
    }

    /// Has any request failed so far?
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::SeqCst)
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Without a call of finish() the test has failed: what the clients saw may tell why.
        if let Some(Ok(tally)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the load until then: {tally}");
        }
    }
}

/// One client with its own sums.
struct Client {
    number: usize,
    target: Target,
    method: Method,
    think: Think,
    connection: Option<Connection>,
    shared: Arc<Shared>,
    tally: Tally,
}

impl Client {
    async fn run(mut self) -> Tally {
        for sequence in 0.. {
            if self.shared.stop.load(Ordering::SeqCst) {
                break;
            }
            let id = format!("{}-{sequence}", self.number);
            let outcome = tokio::time::timeout(PATIENCE, self.exchange(&id)).await;
            self.note(id, outcome.unwrap_or(Err(Failure::TimedOut)));
            tokio::time::sleep(self.think.0.mul_f64(fastrand::f64())).await;
        }
        self.tally
    }

    async fn exchange(&mut self, id: &str) -> Result<u64, Failure> {
        // Taken out, so that a failure leaves none behind.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        if let Err(failure) = connection.ready().await {
            // With HTTP/2 that is how a connection is announced to be over.
            if !connection.was_sent_away().await {
                return Err(failure);
            }
            connection = self.connect().await?;
            connection.ready().await?;
        }
        let mut outcome = self.send(&mut connection, id).await;
        if matches!(outcome, Err(Failure::Unsent(_))) {
            // It was announced at this very moment, and the request was never sent.
            if !connection.was_sent_away().await {
                return outcome.map(|(_, floor)| floor);
            }
            connection = self.connect().await?;
            connection.ready().await?;
            outcome = self.send(&mut connection, id).await;
        }
        let (reply, floor) = outcome?;
        if !reply.is_last() {
            self.connection = Some(connection);
        }
        fresh_enough(&reply, floor)
    }

    async fn connect(&mut self) -> Result<Connection, Failure> {
        Connection::open(&self.target).await.inspect(|_| self.tally.connections += 1)
    }

    /// Gives the answer, if it is the right one, and the generation that it may not be older than.
    async fn send(&self, connection: &mut Connection, id: &str) -> Result<(Reply, u64), Failure> {
        let floor = self.shared.floor.load(Ordering::SeqCst);
        let reply = if self.method == Method::POST {
            let body = vec![b'o'; fastrand::usize(0..4096)];
            let expected = serde_json::json!({ "id": id, "bytes": body.len() });
            let reply = connection.exchange(request(Method::POST, &format!("/once?id={id}"), body)).await?.ok()?;
            if reply.json() == expected { Ok(reply) } else { Err(Failure::Wrong(reply.text().to_owned())) }
        } else {
            let reply = connection.exchange(request(Method::GET, "/whoami", "")).await?.ok()?;
            if reply.json()["pid"].is_u64() { Ok(reply) } else { Err(Failure::Wrong(reply.text().to_owned())) }
        }?;
        Ok((reply, floor))
    }

    fn note(&mut self, id: String, outcome: Result<u64, Failure>) {
        let is_post = self.method == Method::POST;
        self.shared.ended.fetch_add(1, Ordering::SeqCst);
        match outcome {
            Ok(generation) => {
                if self.tally.answered() == 0 {
                    self.shared.settled.fetch_add(1, Ordering::SeqCst);
                }
                *self.tally.generations.entry(generation).or_default() += 1;
                if is_post {
                    self.tally.orders.insert(id);
                } else {
                    self.tally.gets += 1;
                }
            }
            Err(failure) => {
                self.shared.failed.store(true, Ordering::SeqCst);
                self.tally.failures.push(Failed { id, is_post, failure });
            }
        }
    }
}

/// The generation that answered (0 when the app does not tell), unless it is one that should not have.
fn fresh_enough(reply: &Reply, floor: u64) -> Result<u64, Failure> {
    match reply.generation() {
        None => Ok(0),
        Some(generation) if generation >= floor => Ok(generation),
        Some(generation) => Err(Failure::Wrong(format!("generation {generation} after {floor} was live"))),
    }
}
