//! What a worker is given on its way: descriptors, the variables that tell it of them, and its bounds.
//!
//! Does not know what any of it is for. Invariant: every descriptor has a number of its own, from 3 on, in the order in
//! which they were placed.

use std::ffi::OsString;
use std::os::fd::{OwnedFd, RawFd};

use crate::sys::spawn::Bounds;

/// The number of the first descriptor behind the standard streams.
const FIRST: RawFd = 3;

#[derive(Debug, Default)]
pub(in crate::supervisor) struct Kit {
    /// They win over what the worker inherits and what its app sets.
    pub(super) variables: Vec<(&'static str, OsString)>,
    pub(super) descriptors: Vec<(OwnedFd, RawFd)>,
    pub(super) bounds: Bounds,
}

impl Kit {
    /// Sets a variable.
    pub(in crate::supervisor) fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.push((name, value.into()));
    }

    /// Lets the worker have this descriptor; gives its number there.
    pub(in crate::supervisor) fn place(&mut self, descriptor: OwnedFd) -> RawFd {
        let highest = self.descriptors.iter().map(|(_, number)| *number).max();
        let number = highest.map_or(FIRST, |highest| highest + 1);
        self.descriptors.push((descriptor, number));
        number
    }
}
