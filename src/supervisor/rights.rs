//! What of the bounds of workers this machine grants to this process, asked before anything is started.
//!
//! The other half of `config::permits`: it knows the words, here are the answers.

use super::launch::limit;
use super::release;
use crate::config::{self, Bounds};
use crate::sys::powers::Powers;
use crate::sys::spawn;

/// This process on this machine.
#[derive(Debug)]
pub struct Here {
    powers: Powers,
}

impl Here {
    /// Looks at what this process may.
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub fn look() -> std::io::Result<Self> {
        Ok(Self { powers: Powers::own()? })
    }
}

impl config::Machine for Here {
    fn may_become(&self, bounds: &Bounds) -> Result<bool, String> {
        let Some(identity) = release::identity(bounds)? else { return Ok(true) };
        Ok(self.powers.may_become_others() || identity.is_ours_without_privileges())
    }

    fn may_nice(&self, nice: i32) -> bool {
        self.powers.may_nice(nice)
    }

    fn may_protect(&self, oom_score_adj: i32) -> bool {
        self.powers.may_protect(oom_score_adj)
    }

    fn may_limit(&self, wanted: &config::Limit) -> bool {
        let spawn::Limit { limited, hard, .. } = limit(wanted);
        self.powers.may_limit(limited, hard)
    }
}
