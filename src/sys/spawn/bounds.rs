//! What a program is bound to from its first instruction on: limits, priority, its control group, and its mark.
//!
//! Plain values; [`super::after_fork`] puts them into force. Where the kernel refuses one the start fails, by name.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit};

use super::super::cgroup::Group;
use super::exit::Signal;

/// Bounds of a program; by default those of its parent.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// `NAME=value`, one of the variables of its environment, by which those of its processes are known that have left
    /// its session.
    pub mark: Option<OsString>,
    /// The control group to be in.
    pub group: Option<Arc<Group>>,
    /// Permissions that files made by it do not get.
    pub umask: Option<u32>,
    /// From -20 (served first) to 19 (served last).
    pub nice: Option<i32>,
    /// From -1000 (never killed when memory runs out) to 1000 (killed first).
    pub oom_score_adj: Option<i32>,
    pub limits: Vec<Limit>,
    /// Sent to the program when the thread that has started it ends, and its process with it. A program with rights of its own
    /// (set-user-ID) does not get it.
    pub death_signal: Option<Signal>,
}

/// A limit of each process (setrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub limited: Limited,
    /// In force; `None`: none.
    pub soft: Option<u64>,
    /// As far as a process without rights may raise it.
    pub hard: Option<u64>,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Descriptors.
    OpenFiles,
    /// Processes and threads of its user.
    Processes,
    /// Bytes of a dump of its memory.
    Core,
    /// Bytes of address space.
    AddressSpace,
    /// Bytes of the stack.
    Stack,
    /// Bytes of a file that it writes.
    FileSize,
    /// Bytes that it may keep from being swapped out.
    LockedMemory,
    /// Seconds of CPU time.
    CpuTime,
}

impl Limited {
    pub(in crate::sys) fn resource(self) -> Resource {
        match self {
            Self::OpenFiles => Resource::Nofile,
            Self::Processes => Resource::Nproc,
            Self::Core => Resource::Core,
            Self::AddressSpace => Resource::As,
            Self::Stack => Resource::Stack,
            Self::FileSize => Resource::Fsize,
            Self::LockedMemory => Resource::Memlock,
            Self::CpuTime => Resource::Cpu,
        }
    }
}

impl Limit {
    pub(super) fn values(self) -> Rlimit {
        Rlimit { current: self.soft, maximum: self.hard }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.limited {
            Limited::OpenFiles => "open files",
            Limited::Processes => "processes",
            Limited::Core => "size of a core dump",
            Limited::AddressSpace => "address space",
            Limited::Stack => "stack",
            Limited::FileSize => "size of a file",
            Limited::LockedMemory => "locked memory",
            Limited::CpuTime => "CPU time",
        };
        let number = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        write!(f, "{name}, {} of {}", number(self.soft), number(self.hard))
    }
}
