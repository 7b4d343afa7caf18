//! The shared-memory words that [`gate`](super::gate) and [`queue`](super::queue) are built from.
//!
//! Here they are those of the standard library. `tests/gate.rs` puts loom's in their place and so runs the very same
//! files under every interleaving. Nothing else belongs here.

pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
