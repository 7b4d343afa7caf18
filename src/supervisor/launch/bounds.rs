//! What a worker is bound to: its mark, its limits, and its control group where there are any.
//!
//! Translates what the operator wants. Invariant: a control group that cannot be had, or that cannot enforce a limit, keeps
//! no worker from starting, but is told of; any other bound that is refused does keep it, by name.

use std::sync::Arc;

use super::kit::Kit;
use crate::config;
use crate::id::{Serial, WorkerId};
use crate::supervisor::settings::bytes;
use crate::sys::cgroup::{self, Group, Realm};
use crate::sys::spawn::{Bounds, Limit, Limited};

/// The variable by which every process of a worker is known, wherever it goes.
pub(in crate::supervisor) const MARK: &str = "PORTREEVE_WORKER";

/// What stands in it: unique among the workers of all supervisors that are alive. `line`: the process ID of the first
/// supervisor of those that took over from each other.
pub(in crate::supervisor) fn mark(line: u32, serial: Serial) -> String {
    format!("{line}-{serial}")
}

/// The same, as it stands in the environment.
pub(super) fn variable(line: u32, serial: Serial) -> std::ffi::OsString {
    format!("{MARK}={}", mark(line, serial)).into()
}

/// Bounds for a worker that is about to be started, and told of in its kit.
pub(super) fn of(
    wanted: &config::Bounds,
    (realm, line): (Option<&Realm>, u32),
    serial: Serial,
    id: &WorkerId,
    kit: &mut Kit,
) -> Bounds {
    kit.set(MARK, mark(line, serial));
    Bounds {
        mark: Some(variable(line, serial)),
        group: group(wanted, realm, serial, id),
        umask: wanted.umask,
        nice: wanted.nice,
        oom_score_adj: wanted.oom_score_adj,
        limits: wanted.limits.iter().map(limit).collect(),
        death_signal: None,
    }
}

fn group(wanted: &config::Bounds, realm: Option<&Realm>, serial: Serial, id: &WorkerId) -> Option<Arc<Group>> {
    let config::Bounds { cpu, cpu_weight, memory, .. } = wanted;
    let limits = cgroup::Limits { memory: memory.hard.and_then(bytes), cpu: *cpu, cpu_weight: *cpu_weight };
    let controllers = realm.map(Realm::controllers).unwrap_or_default();
    if (limits.cpu.is_some() || limits.cpu_weight.is_some()) && !controllers.cpu {
        let key = if limits.cpu.is_some() { "cpu" } else { "cpu_weight" };
        tracing::warn!(worker = %id, "`{key}` is not in force: there is no control group with the CPU controller to be had");
    }
    let name = format!("{}-{}.{}-{serial}", id.app, id.generation, id.slot);
    let made = realm?.group(&name).and_then(|group| group.limit(limits).map(|()| group));
    made.inspect_err(|error| tracing::warn!(worker = %id, %error, "worker has no control group")).ok()
}

/// A limit, in the kernel's words.
pub(in crate::supervisor) fn limit(limit: &config::Limit) -> Limit {
    let limited = match limit.limited {
        config::Limited::OpenFiles => Limited::OpenFiles,
        config::Limited::Processes => Limited::Processes,
        config::Limited::Core => Limited::Core,
        config::Limited::AddressSpace => Limited::AddressSpace,
        config::Limited::Stack => Limited::Stack,
        config::Limited::FileSize => Limited::FileSize,
        config::Limited::LockedMemory => Limited::LockedMemory,
        config::Limited::CpuTime => Limited::CpuTime,
    };
    Limit { limited, soft: limit.soft, hard: limit.hard }
}
