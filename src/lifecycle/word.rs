//! What a worker says of itself once it runs, beyond that it can serve.
//!
//! The words alone; what follows from each depends on where the worker is in its life (`worker::said`, `generation::said`).

use std::time::Duration;

/// One thing that a worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is on its way to its end (`STOPPING=1`): no more requests, and somebody else in its slot.
    Leaves,
    /// It will not come to serve; the text says why, as a sentence without a full stop whose subject is "it".
    Hopeless(String),
    /// It is well (`WATCHDOG=1`).
    Well,
    /// It is not (`WATCHDOG=trigger`).
    Ill,
    /// From now on it says within this time that it is well, or, with `None`, no more (`WATCHDOG_USEC=`).
    Watchdog(Option<Duration>),
    /// What it is at takes so long from now on (`EXTEND_TIMEOUT_USEC=`).
    Extend(Duration),
}
