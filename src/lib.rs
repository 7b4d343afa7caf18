//! portreeve owns the public port and hands traffic to worker processes which it spawns and supervises.
//!
//! The rooms, from the ground up, and which may use which, are described in `ARCHITECTURE.md` and held by `tests/layers.rs`.

pub mod certs;
pub mod cli;
pub mod config;
pub mod control;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod id;
pub mod import;
pub mod lifecycle;
pub mod link;
pub mod proxy;
pub mod route;
pub mod supervisor;
pub mod sys;
pub mod telemetry;
pub mod upstream;
