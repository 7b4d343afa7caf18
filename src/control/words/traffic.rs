//! Taking workers and apps out of the traffic by hand, and back.
//!
//! Knows the shape of orders, as its parent does.

use crate::id::Slot;

/// What is to become of the requests for an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Diversion {
    /// The workers in these slots get no more requests and finish what they have; none: all workers.
    Drain(Vec<Slot>),
    /// They get requests again; none: all workers.
    Undrain(Vec<Slot>),
    /// Requests wait.
    Pause,
    Resume,
    /// Requests are answered with this page, or with one of ours.
    Maintenance(Option<String>),
    /// And no longer.
    Open,
}
