//! The proxy in one process with its test: real threads, real sockets on loopback, a link whose other end the test holds,
//! and workers that the test plays itself, byte by byte.

mod client;
mod clients;
mod frames;
mod rig;
mod worker;

mod bodies;
mod conduct;
mod crowd;
mod ends;
mod fields;
mod holding;
mod keepalive;
mod limits;
mod load;
mod publishing;
mod retrying;
mod slow;
mod tunnels;

use std::time::Duration;

pub(super) use rig::inheritable;

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on a thread of its own kind: the proxy's threads are others.
fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the test is stuck") });
}
