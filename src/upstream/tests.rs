//! Claims, leases, the hold queue and the listing, one step at a time on a paused clock; and all at once, in threads.

mod claiming;
mod growing;
mod holding;
mod listing;
mod storm;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::time::advance;

use super::*;
use crate::id::{Address, Generation, Slot};

/// Counts the connections of a test that exist.
type Connection = Arc<()>;

/// How often each endpoint was reported idle.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<BTreeMap<Serial, usize>>>);

impl Reports {
    fn of(&self, serial: u64) -> usize {
        self.0.lock().unwrap().get(&Serial(serial)).copied().unwrap_or(0)
    }
}

fn upstream() -> (Upstream<Connection>, Reports) {
    let reports = Reports::default();
    let counting = reports.clone();
    let on_idle = move |serial| *counting.0.lock().unwrap().entry(serial).or_default() += 1;
    (Upstream::new(2, Arc::new(on_idle)), reports)
}

fn spec(serial: u64, open: bool) -> Spec {
    let address = Address::Unix(format!("/run/{serial}.sock").into());
    Spec {
        serial: Serial(serial),
        slot: Slot(0),
        generation: Generation(serial),
        address,
        open,
        introduced: false,
        leaving: false,
        streams: Streams::Wait,
        ramp: None,
    }
}

fn open(serial: u64) -> Spec {
    spec(serial, true)
}

fn closed(serial: u64) -> Spec {
    spec(serial, false)
}

const SECOND: Duration = Duration::from_secs(1);

/// One exchange for each endpoint, two requests on hold, for ten seconds.
const TIGHT: Bounds = Bounds {
    max_inflight: NonZeroU32::new(1),
    hold_requests: 2,
    hold_time: Duration::from_secs(10),
    shed_after: None,
    expected: false,
    wakes: false,
};

/// The same while a worker is to come up.
const EXPECTED: Bounds = Bounds { expected: true, ..TIGHT };

/// The same without a limit on exchanges.
const WIDE: Bounds = Bounds { max_inflight: None, ..TIGHT };

type Claim<'a> = Pin<Box<dyn Future<Output = Result<Lease<Connection>, Refused>> + Send + 'a>>;

fn claim<'a>(upstream: &'a Upstream<Connection>, avoid: &'a [Serial]) -> Claim<'a> {
    Box::pin(upstream.claim(avoid))
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The serial of what was claimed; the lease ends at once.
fn serial(claimed: Poll<Result<Lease<Connection>, Refused>>) -> u64 {
    match claimed {
        Poll::Ready(Ok(lease)) => lease.serial.0,
        Poll::Ready(Err(refused)) => panic!("refused: {refused}"),
        Poll::Pending => panic!("still waits"),
    }
}

fn refusal(claimed: Poll<Result<Lease<Connection>, Refused>>) -> Option<Refused> {
    match claimed {
        Poll::Ready(claimed) => claimed.err(),
        Poll::Pending => None,
    }
}
