//! The proxy in one process with its test: real threads, real sockets on loopback, a link whose other end the test holds,
//! and workers that the test plays itself, byte by byte.

mod client;
mod clients;
mod frames;
mod plain;
#[allow(dead_code, reason = "shared with the end-to-end tests, which look at more of it")]
#[path = "../../../tests/wire/frames.rs"]
mod raw_frames;
#[path = "../../../tests/wire/reader.rs"]
mod reader;
mod rig;
mod worker;

mod bodies;
mod conduct;
mod crowd;
mod ends;
mod fields;
mod holding;
mod introduced;
mod keepalive;
mod leaving;
mod limits;
mod load;
mod mutations;
mod publishing;
mod relinking;
mod retrying;
mod slow;
mod starts;
mod tunnels;
mod websockets;

use std::time::Duration;

pub(super) use rig::inheritable;

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on a thread of its own kind: the proxy's threads are others.
fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("the test is stuck") });
}
