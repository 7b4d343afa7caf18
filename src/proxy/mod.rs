//! The data plane: accepts, TLS, HTTP, routing, holding, forwarding.
//!
//! A request goes down these files in this order: [`listener`] → [`connection`] (with [`introduction`], [`io`], [`pulse`] and [`watch`] at its
//! side) → [`exchange`], the one page → [`policy`] → [`request_head`] → [`forward`] → [`wire`] → [`body`] or [`tunnel`]. What all
//! of them share is [`Proxy`]; what changes under way is the [`World`]. It knows no process, no
//! configuration and no life cycle: what it is to serve, it is told over the link.
//!
//! Each thread is a runtime of its own with its own listeners, connections and connections to workers: nothing of an
//! exchange crosses threads but counters. Measured, that takes a quarter less CPU time than one runtime over all threads.

mod alarm;
mod body;
mod conduct;
mod conductor;
mod connection;
mod cork;
mod crowd;
mod door;
mod error;
mod events;
mod exchange;
mod farewell;
mod fault;
mod forward;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod headers;
mod host;
mod introducing;
mod introduction;
mod io;
mod listener;
mod load;
mod meter;
mod notes;
mod outgoing;
mod pace;
mod parting;
mod peer;
mod permits;
mod policy;
mod pulse;
mod record;
mod refusal;
mod request_head;
mod retry;
mod run;
mod socket;
mod streams;
mod thread;
mod tunnel;
mod unread;
mod upload;
mod versions;
mod watch;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::certs::Store;
use crate::link::FromProxy;
use crate::telemetry::access::AccessLog;
use crate::telemetry::exchange_metrics::{AppMetrics, ExchangeMetrics};
use door::Door;
use world::World;

pub use error::Error;
pub use run::{Ends, run, run_unconfined};

/// The descriptor number at which a proxy finds its link.
pub use crate::link::{DESCRIPTOR as LINK, RELINK};

/// What all threads of a proxy share.
struct Proxy {
    world: ArcSwap<World>,
    tls: TlsAcceptor,
    certificates: Arc<Store>,
    door: Door,
    metrics: ExchangeMetrics,
    /// For exchanges that no app was found for.
    no_app: AppMetrics,
    access: Option<AccessLog>,
    unread: unread::Unread,
    /// Connections and tunnels.
    work: TaskTracker,
    /// Cancelled when the proxy is to accept no more.
    retiring: CancellationToken,
    retirement: OnceLock<Retirement>,
    reports: mpsc::Sender<FromProxy>,
}

/// The end of a proxy's service.
#[derive(Debug)]
struct Retirement {
    at: Instant,
    /// Its time is up: what is left breaks off.
    is_over: AtomicBool,
    /// How long an idle HTTP/1 connection may wait for the last request that it is answered.
    grace: Duration,
    /// Within which exchanges that last are to end.
    spread: Duration,
}

impl Proxy {
    fn is_retiring(&self) -> bool {
        self.retirement.get().is_some()
    }

    fn retirement(&self) -> Option<&Retirement> {
        self.retirement.get()
    }

    /// Does what is left break off?
    fn is_over(&self) -> bool {
        self.retirement().is_some_and(|retirement| retirement.is_over.load(Relaxed))
    }

    /// Accepts no more and has every connection ended as soon as that loses nothing.
    fn retire(&self, grace: Duration, spread: Duration) {
        self.retirement.get_or_init(|| Retirement {
            at: Instant::now(),
            is_over: AtomicBool::new(false),
            grace,
            spread,
        });
        self.retiring.cancel();
    }

    /// Whoever has not ended by now is cut off, and that is not its client's doing.
    fn end(&self) {
        if let Some(retirement) = self.retirement() {
            retirement.is_over.store(true, Relaxed);
        }
    }

    /// Tells the supervisor, unless it is far behind with listening: what is told here, it learns by itself soon after.
    fn tell(&self, report: FromProxy) {
        let _ = self.reports.try_send(report);
    }
}
