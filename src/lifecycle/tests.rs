//! Tests of the machines: every move of a worker as a table; stories of an app told in order; a walk over every
//! reachable state of small apps; and chance.
//!
//! All but the table run against one simulated world, which checks after each step what must hold at any time.

mod chance;
mod moves;
mod stories;
mod walk;
mod world;

use std::time::Duration;

use super::{Backoff, ExitCodes, OnLoop, Plan, Policy, Readiness, Restart};

/// A plan with round numbers and no crash loop in sight; tests change what they are about.
pub(super) fn plan(workers: u32) -> Plan {
    Plan {
        workers,
        start_timeout: Duration::from_mins(1),
        drain_timeout: Duration::from_secs(30),
        kill_timeout: Duration::from_secs(10),
        probe_interval: Duration::from_millis(250),
        readiness: Readiness::Probed,
        successes: 3,
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
        concurrent_starts: 4,
        progress_deadline: Duration::from_mins(10),
    }
}
