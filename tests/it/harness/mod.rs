//! The harness: starts the real thing in a folder of its own, talks to it, and sees to its end.
//!
//! [`Portreeve`] describes a configuration and starts it; [`Running`] is the supervisor with everything below it. When that
//! is dropped it is stopped, and the test fails if a process is left behind or a counter that must stay 0 has not. Nothing
//! here knows the code under test: only its command line, configuration file, sockets and output.

mod admin;
mod app;
mod binaries;
mod builder;
mod client;
mod connection;
mod direct;
mod ending;
mod exposition;
mod home;
mod ledger;
mod load;
mod notify;
mod output;
mod poll;
pub(crate) mod process;
mod running;
mod systemd;
mod tally;
mod terminal;
mod tls;

pub(crate) use admin::Job;
pub(crate) use app::{App, program, upstream, worker};
pub(crate) use binaries::{example, portreeve};
pub(crate) use builder::{Portreeve, isolated};
pub(crate) use client::{Body, Failure, Reply, Target, block_on, request};
pub(crate) use connection::{Connection, open_tls};
pub(crate) use direct::Direct;
pub(crate) use exposition::Exposition;
pub(crate) use home::Home;
pub(crate) use ledger::Ledger;
pub(crate) use load::{Load, Running as Loaded};
pub(crate) use notify::Notices;
pub(crate) use poll::{SOON, until, within};
pub(crate) use running::{Running, Said, said};
pub(crate) use systemd::Systemd;
pub(crate) use terminal::Terminal;
pub(crate) use tls::trusting_client;
