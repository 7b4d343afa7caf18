//! What this process may do to the programs that it starts: become others, raise limits, raise priority.
//!
//! Only asks; the kernel decides again when it comes to it. See capabilities(7).

use std::fs;
use std::io;

use rustix::process::{getpriority_process, getrlimit};

use super::spawn::Limited;

/// Bits of a capability set.
const SETGID: u32 = 6;
const SETUID: u32 = 7;
const SYS_NICE: u32 = 23;
const SYS_RESOURCE: u32 = 24;

/// What the calling process may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Powers {
    capabilities: u64,
    nice: i32,
    oom_score_adj: i32,
}

impl Powers {
    /// Those of this process.
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub fn own() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let score = fs::read_to_string("/proc/self/oom_score_adj")?;
        Ok(Self {
            capabilities: capabilities(&status),
            nice: getpriority_process(None)?,
            oom_score_adj: score.trim().parse().unwrap_or_default(),
        })
    }

    /// Start programs as other users and in other groups.
    #[must_use]
    pub fn may_become_others(&self) -> bool {
        self.has(SETUID) && self.has(SETGID)
    }

    /// Give programs this priority.
    #[must_use]
    pub fn may_nice(&self, nice: i32) -> bool {
        // The limit is kept from 1 to 40 for 19 to -20.
        let least = getrlimit(rustix::process::Resource::Nice).current.and_then(|limit| i64::try_from(limit).ok());
        let least = least.map_or(-20, |limit| 20 - limit);
        nice >= self.nice || self.has(SYS_NICE) || i64::from(nice) >= least
    }

    /// Protect programs so well from the end of memory.
    #[must_use]
    pub fn may_protect(&self, oom_score_adj: i32) -> bool {
        oom_score_adj >= self.oom_score_adj || self.has(SYS_RESOURCE)
    }

    /// Raise the hard limit of programs so far; `None`: to none at all.
    #[must_use]
    pub fn may_limit(&self, limited: Limited, hard: Option<u64>) -> bool {
        let own = getrlimit(limited.resource()).maximum;
        let is_within = own.is_none_or(|own| hard.is_some_and(|hard| hard <= own));
        is_within || self.has(SYS_RESOURCE)
    }

    fn has(&self, capability: u32) -> bool {
        self.capabilities & (1 << capability) != 0
    }
}

/// The effective set.
fn capabilities(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_effective_set() {
        assert_eq!(capabilities("CapPrm:\t1\nCapEff:\t00000000000000c0\n"), 0xc0);
        assert_eq!(capabilities("Name:\tx\n"), 0);
        let powers = |capabilities| Powers { capabilities, nice: 0, oom_score_adj: 0 };
        assert!(powers(0xc0).may_become_others() && !powers(0x80).may_become_others());
        assert!(powers(1 << SYS_NICE).may_nice(-20) && powers(0).may_nice(5));
        assert!(powers(1 << SYS_RESOURCE).may_protect(-1000) && !powers(0).may_protect(-1) && powers(0).may_protect(0));
    }

    #[test]
    fn limits_may_be_lowered_by_anybody_and_raised_by_few() {
        let own = getrlimit(rustix::process::Resource::Nofile).maximum;
        let powerless = Powers::default();
        assert!(powerless.may_limit(Limited::OpenFiles, Some(1)));
        assert_eq!(powerless.may_limit(Limited::OpenFiles, None), own.is_none());
        let above = own.map(|own| own + 1);
        assert!(above.is_none() || !powerless.may_limit(Limited::OpenFiles, above));
        assert!(Powers { capabilities: 1 << SYS_RESOURCE, ..powerless }.may_limit(Limited::OpenFiles, None));
    }

    #[test]
    fn our_own_powers_are_known() {
        let powers = Powers::own().unwrap();
        assert!(powers.may_nice(19) && powers.may_protect(1000));
        if rustix::process::geteuid().is_root() {
            assert_eq!(powers.may_become_others(), powers.has(SETUID) && powers.has(SETGID));
        } else {
            assert!(!powers.may_become_others() || powers.has(SETUID));
        }
    }
}
