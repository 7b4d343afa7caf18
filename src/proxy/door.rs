//! What it takes to be let in: a permit, a turn, and a place among those of the same address.
//!
//! Does not know what comes after. Invariant: all threads go through the same door.

use std::sync::Arc;

use super::crowd::Crowd;
use super::permits::Permits;

/// The one door of a proxy.
#[derive(Debug)]
pub(crate) struct Door {
    /// For connections.
    pub(crate) permits: Arc<Permits>,
    /// For handshakes.
    pub(crate) turns: Arc<Permits>,
    pub(crate) crowd: Arc<Crowd>,
}

impl Door {
    /// A door that lets nobody in.
    pub(crate) fn closed() -> Self {
        Self { permits: Arc::default(), turns: Arc::default(), crowd: Arc::new(Crowd::new()) }
    }
}
