//! One request after the other on each connection, without retries: nothing that goes wrong is hidden.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::Result;
use crate::connection::{Stream, Target};
use crate::http::{GET, GET_AND_CLOSE, exchange};
use crate::report::{Counter, Report};

/// A request without an answer for so long has failed.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Seen {
    /// Failed after the connection was new, or after a part of the response was there.
    failed: Counter,
    /// No connection could be made.
    refused: Counter,
    /// Failed on a reused connection before any byte of a response: the one failure that HTTP lets a client repeat.
    stale: Counter,
    connects: Counter,
}

/// With `close` each request has a connection of its own.
pub(crate) async fn run(target: Target, connections: usize, time: Duration, close: bool) -> Result<()> {
    let seen = Arc::new(Seen::default());
    let start = Instant::now();
    let client = || tokio::spawn(client(target.clone(), start + time, close, seen.clone()));
    let mut latencies = Vec::new();
    for client in (0..connections).map(|_| client()).collect::<Vec<_>>() {
        latencies.extend(client.await?);
    }
    let report = Report::default().number("count", latencies.len() as u64).number("failed", seen.failed.get());
    let report = report.number("refused", seen.refused.get()).number("stale", seen.stale.get());
    let report = report.number("connects", seen.connects.get()).seconds("seconds", start.elapsed());
    report.latencies(latencies).print();
    Ok(())
}

async fn client(target: Target, end: Instant, close: bool, seen: Arc<Seen>) -> Vec<Duration> {
    let request = if close { GET_AND_CLOSE } else { GET };
    let (mut latencies, mut buffer) = (Vec::new(), Vec::new());
    let mut open: Option<Box<dyn Stream>> = None;
    while Instant::now() < end {
        let sent = Instant::now();
        let is_reused = open.is_some();
        let Some(mut stream) = usable(open.take(), &target, &seen).await else { continue };
        match timeout(LIMIT, exchange(&mut *stream, request, &mut buffer)).await {
            Ok(Ok(may_stay)) => {
                latencies.push(sent.elapsed());
                open = Some(stream).filter(|_| may_stay && !close);
            }
            _ if is_reused && buffer.is_empty() => seen.stale.add(1),
            _ => seen.failed.add(1),
        }
    }
    latencies
}

async fn usable(open: Option<Box<dyn Stream>>, target: &Target, seen: &Seen) -> Option<Box<dyn Stream>> {
    if open.is_some() {
        return open;
    }
    match timeout(LIMIT, target.connect()).await {
        Ok(Ok(stream)) => {
            seen.connects.add(1);
            Some(stream)
        }
        _ => {
            seen.refused.add(1);
            sleep(Duration::from_millis(2)).await;
            None
        }
    }
}
