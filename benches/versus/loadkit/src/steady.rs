//! A constant rate of requests, far below what a proxy can take: what its users' latency is.
//!
//! Each thread sends at instants fixed in advance and counts from them, so a slow answer makes the next ones late as
//! well, as it would for a user. Threads block: a timer wheel of one millisecond would be coarser than what is measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::Result;
use crate::connection::{Target, server_name};
use crate::http::{GET, field, head_length};
use crate::report::{Counter, Report};

trait Blocking: Read + Write {}

impl<S: Read + Write> Blocking for S {}

/// `rate` requests a second in all, from `threads` connections.
pub(crate) fn run(target: Target, rate: u32, time: Duration, threads: u32) -> Result<()> {
    if rate == 0 || threads == 0 {
        return Err("a rate and threads above 0".into());
    }
    let failed = Arc::new(Counter::default());
    let gap = Duration::from_secs(1) * threads / rate;
    let start = Instant::now() + Duration::from_millis(300);
    let spawn = |number| {
        let (target, failed) = (target.clone(), failed.clone());
        let first = start + gap * number / threads;
        thread::spawn(move || sender(&target, first, gap, start + time, &failed))
    };
    let mut seen = Vec::new();
    for sender in (0..threads).map(spawn).collect::<Vec<_>>() {
        seen.extend(sender.join().map_err(|_| "a sender panicked")?);
    }
    let report = Report::default().number("count", seen.len() as u64).number("failed", failed.get());
    report.seconds("seconds", time).latencies(seen).print();
    Ok(())
}

fn sender(target: &Target, first: Instant, gap: Duration, end: Instant, failed: &Counter) -> Vec<Duration> {
    let mut seen = Vec::new();
    // Connected, and used once, before the clock starts.
    let mut open = attempt(None, target).ok();
    let mut due = first;
    while due < end {
        wait_until(due);
        open = attempt(open.take(), target).ok();
        if open.is_some() {
            seen.push(due.elapsed());
        } else {
            failed.add(1);
        }
        due += gap;
    }
    seen
}

#[allow(clippy::disallowed_methods, reason = "a generator of load keeps time")]
fn wait_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// One request; gives back the connection for the next.
fn attempt(open: Option<Box<dyn Blocking>>, target: &Target) -> Result<Box<dyn Blocking>> {
    let mut stream = match open {
        Some(stream) => stream,
        None => connect(target)?,
    };
    stream.write_all(GET)?;
    stream.flush()?;
    let (mut buffer, mut filled) = ([0; 8192], 0);
    loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err("closed, or longer than expected".into()),
            count => filled += count,
        }
        let Some(length) = head_length(&buffer[..filled]) else { continue };
        let head = String::from_utf8_lossy(&buffer[..length]);
        let body: usize = field(&head, "content-length").ok_or("no content-length")?.parse()?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err("refused".into());
        }
        if filled >= length + body {
            return Ok(stream);
        }
    }
}

fn connect(target: &Target) -> Result<Box<dyn Blocking>> {
    let stream = TcpStream::connect(target.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(match &target.tls {
        None => Box::new(stream),
        Some(config) => Box::new(StreamOwned::new(ClientConnection::new(config.clone(), server_name())?, stream)),
    })
}
