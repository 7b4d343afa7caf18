//! Tests of the machines: every move of a worker as a table; stories of an app told in order; a walk over every
//! reachable state of small apps; and chance.
//!
//! All but the table run against one simulated world, which checks after each step what must hold at any time.

mod chance;
mod moves;
mod stories;
mod taken_over;
mod walk;
mod world;

use std::time::Duration;

use super::{Backoff, ExitCodes, Liveness, OnLoop, Plan, Policy, Probing, Readiness, Restart, Timeouts};

/// A plan with round numbers and no crash loop in sight; tests change what they are about.
pub(super) fn plan(workers: u32) -> Plan {
    Plan {
        workers,
        timeouts: Timeouts {
            start: Duration::from_mins(1),
            drain: Duration::from_secs(30),
            kill: Duration::from_secs(10),
            progress: Duration::from_mins(10),
            warmup: None,
        },
        probing: Probing {
            readiness: Readiness::Probed,
            interval: Duration::from_millis(250),
            soonest: Duration::MAX,
            successes: 3,
        },
        restart: Restart {
            policy: Policy::Always,
            stop_codes: ExitCodes::default(),
            backoff: Backoff {
                min: Duration::from_secs(1),
                max: Duration::from_secs(8),
                reset: Duration::from_mins(1),
            },
            delay: None,
            intensity: 1_000,
            period: Duration::from_mins(1),
            on_loop: OnLoop::Retry(Duration::from_secs(30)),
        },
        liveness: None,
        watchdog: None,
        recycling: super::Recycling::default(),
        concurrent_starts: 4,
        overlaps: true,
        trial: super::Trial::default(),
        rollout: super::Rollout::default(),
        gated: false,
    }
}

/// The plan with something else about it.
pub(super) fn tuned(mut plan: Plan, tune: impl FnOnce(&mut Plan)) -> Plan {
    tune(&mut plan);
    plan
}

/// The plan with workers that are asked on: one answer turns them, and the waits are those of a table of moves.
pub(super) fn watched(plan: Plan) -> Plan {
    let liveness = Liveness {
        interval: Duration::from_secs(5),
        failures: 1,
        successes: 1,
        replace_after: Some(Duration::from_secs(10)),
        hung_after: Some(Duration::from_secs(30)),
        dumps: true,
    };
    tuned(plan, |plan| plan.liveness = Some(liveness))
}

/// A plan whose workers say themselves that they are ready.
pub(super) fn declared(plan: Plan) -> Plan {
    tuned(plan, |plan| plan.probing.readiness = Readiness::Declared)
}

/// A plan whose workers are ready when they have run for 5 s.
pub(super) fn lasting(plan: Plan) -> Plan {
    tuned(plan, |plan| plan.probing.readiness = Readiness::Lasting(Duration::from_secs(5)))
}

/// A plan whose workers are warmed up, for 10 s at most.
pub(super) fn warmed(plan: Plan) -> Plan {
    tuned(plan, |plan| plan.timeouts.warmup = Some(Duration::from_secs(10)))
}

/// A plan whose workers never run beside their successors.
pub(super) fn alternating(plan: Plan) -> Plan {
    tuned(plan, |plan| plan.overlaps = false)
}
