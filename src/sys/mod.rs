//! The kernel's side of the house: sockets, processes, limits, and the service manager's socket.
//!
//! The only room with `unsafe`, and with the crates `nix`, `rustix`, `socket2`, `seccompiler`, `sd-notify` and `tikv-jemalloc-sys`;
//! it knows nothing of apps, configuration or HTTP. Linux only, from 5.11 on (pidfds, `close_range` with
//! `CLOSE_RANGE_CLOEXEC`). Invariants: every descriptor made here is close-on-exec until a [`spawn::Spawn`]
//! places it in a child, and every process started here is reaped here, through its pidfd and by nothing else.

pub mod allocator;
pub mod arrived;
pub mod cgroup;
pub mod confinement;
mod descriptor;
pub mod exhaustion;
pub mod file_watch;
pub mod handout;
pub mod handover;
mod identity;
pub mod journal;
pub mod keeping;
pub mod listener;
pub mod listening;
pub mod lockdown;
pub mod memory;
pub mod notify;
pub mod notify_socket;
pub mod orphans;
pub mod powers;
pub mod process;
pub mod program_text;
pub mod socket;
pub mod socket_folder;
pub mod spawn;
pub mod standstill;
pub mod stat;
pub mod stream;
pub mod tree;
pub mod unread;

#[cfg(test)]
mod testing;
