//! One request after the other on each connection, without retries: nothing that goes wrong is hidden.
//!
//! Every second one is an order: a POST with a name of its own in its path, so that whoever takes it can tell when one
//! comes twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::Result;
use crate::connection::{Stream, Target};
use crate::http::{GET, GET_AND_CLOSE, exchange, order};
use crate::report::{Counter, Report};

/// A request without an answer for so long has failed.
const LIMIT: Duration = Duration::from_secs(5);

/// No run is longer.
const LONGEST: Duration = Duration::from_mins(15);

/// What all clients share.
struct Run {
    target: Target,
    /// Has each request a connection of its own?
    close: bool,
    end: Instant,
    is_told_to_end: AtomicBool,
    /// Failed after the connection was new, or after a part of the response was there.
    failed: Counter,
    /// No connection could be made.
    refused: Counter,
    /// Failed on a reused connection before any byte of a response: the one failure that HTTP lets a client repeat.
    stale: Counter,
    connects: Counter,
}

/// For so long, or with no time until standard input ends. With `close` each request has a connection of its own.
pub(crate) async fn run(target: Target, connections: usize, time: Duration, close: bool) -> Result<()> {
    let start = Instant::now();
    let run = Arc::new(Run {
        target,
        close,
        end: start + if time.is_zero() { LONGEST } else { time },
        is_told_to_end: AtomicBool::new(false),
        failed: Counter::default(),
        refused: Counter::default(),
        stale: Counter::default(),
        connects: Counter::default(),
    });
    if time.is_zero() {
        end_with_standard_input(Arc::clone(&run));
    }
    let mut latencies = Vec::new();
    for client in (0..connections).map(|number| tokio::spawn(client(run.clone(), number))).collect::<Vec<_>>() {
        latencies.extend(client.await?);
    }
    let report = Report::default().number("count", latencies.len() as u64).number("failed", run.failed.get());
    let report = report.number("refused", run.refused.get()).number("stale", run.stale.get());
    let report = report.number("connects", run.connects.get()).seconds("seconds", start.elapsed());
    report.latencies(latencies).print();
    Ok(())
}

fn end_with_standard_input(run: Arc<Run>) {
    std::thread::spawn(move || {
        // Whether it ends or fails: nobody is there any more.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        run.is_told_to_end.store(true, Relaxed);
    });
}

async fn client(run: Arc<Run>, number: usize) -> Vec<Duration> {
    let (mut latencies, mut buffer) = (Vec::new(), Vec::new());
    let mut open: Option<Box<dyn Stream>> = None;
    let mut requests = 0;
    while Instant::now() < run.end && !run.is_told_to_end.load(Relaxed) {
        requests += 1;
        let request = run.request(number, requests);
        let sent = Instant::now();
        let is_reused = open.is_some();
        let Some(mut stream) = run.usable(open.take()).await else { continue };
        match timeout(LIMIT, exchange(&mut *stream, &request, &mut buffer)).await {
            Ok(Ok(may_stay)) => {
                latencies.push(sent.elapsed());
                open = Some(stream).filter(|_| may_stay && !run.close);
            }
            _ if is_reused && buffer.is_empty() => run.stale.add(1),
            _ => run.failed.add(1),
        }
    }
    latencies
}

impl Run {
    /// What a client sends as its `count`th; an order has a name that no other run has.
    fn request(&self, client: usize, count: u64) -> Vec<u8> {
        match (count % 2, self.close) {
            (0, close) => order(&format!("{}-{client}-{count}", std::process::id()), close),
            (_, true) => GET_AND_CLOSE.to_vec(),
            (_, false) => GET.to_vec(),
        }
    }

    async fn usable(&self, open: Option<Box<dyn Stream>>) -> Option<Box<dyn Stream>> {
        if open.is_some() {
            return open;
        }
        match timeout(LIMIT, self.target.connect()).await {
            Ok(Ok(stream)) => {
                self.connects.add(1);
                Some(stream)
            }
            _ => {
                self.refused.add(1);
                sleep(Duration::from_millis(2)).await;
                None
            }
        }
    }
}
