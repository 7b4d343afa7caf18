//! What a worker is bound to: its mark, and its control group where there are any.
//!
//! Invariant: a group that cannot be had keeps no worker from starting; what it would have done is said once to be missing.

use super::kit::Kit;
use crate::id::{Serial, WorkerId};
use crate::sys::cgroup::Realm;
use crate::sys::spawn::Bounds;

/// The variable by which every process of a worker is known, wherever it goes.
pub(in crate::supervisor) const MARK: &str = "PORTREEVE_WORKER";

/// What stands in it: unique among the workers of all supervisors that are alive.
pub(in crate::supervisor) fn mark(serial: Serial) -> String {
    format!("{}-{serial}", std::process::id())
}

/// Bounds for a worker that is about to be started, and told of in its kit.
pub(super) fn of(realm: Option<&Realm>, serial: Serial, id: &WorkerId, kit: &mut Kit) -> Bounds {
    let mark = mark(serial);
    kit.set(MARK, mark.clone());
    let name = format!("{}-{}.{}-{serial}", id.app, id.generation, id.slot);
    let group = realm.and_then(|realm| {
        let made = realm.group(&name);
        made.inspect_err(|error| tracing::warn!(worker = %id, %error, "worker has no control group")).ok()
    });
    Bounds { mark: Some(format!("{MARK}={mark}").into()), group, ..Bounds::default() }
}
