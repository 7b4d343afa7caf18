//! One supervisor takes over from another: all that lives goes on, and nobody outside notices.
//!
//! The one that goes writes a ledger and leaves its descriptors; the one that comes finds both ([`Estate`]), seats every
//! worker where it was, gives each proxy another link, and goes on. It makes no difference who has kept the descriptors:
//! the process itself, which has become another program ([`upgrade`]), or a keeper that outlives a supervisor that was
//! killed. Invariants: until everything that can fail has succeeded nothing of an estate is taken, so that another one
//! can take it; what has gone meanwhile is told to the machines as an end like any other.

mod estate;
mod ledger;
mod seat;
mod store;
mod strays;
mod upgrade;
mod write;

pub use estate::Heritage;
pub use strays::clear_service;
pub use upgrade::judge;

pub(super) use estate::{Estate, KEPT};
pub(super) use ledger::{Identity, ListenerEntry, PlaceEntry, ProxyEntry, WorkerEntry};
pub(super) use store::{PREFIX, Store};
pub(super) use upgrade::{Checked, Upgrade, own_path};

/// Which one of those that took over from each other this is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// How many there were before.
    pub(super) before: u64,
    /// Why one that was to take over has not.
    pub(super) refused: Option<String>,
}
