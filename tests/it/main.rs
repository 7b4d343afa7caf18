//! End-to-end tests: real processes, real sockets, each run in a folder of its own.
//!
//! One binary, so that cargo links once; each module one part of what portreeve promises, each test one sentence of it.
//! The tests know portreeve by its command line, configuration, sockets and output only.

#![allow(clippy::unwrap_used, reason = "in a test an unwrap is an assertion, also in the functions that tests share")]

mod acceptance;
mod activation;
mod broken;
mod canaries;
mod completions;
mod config;
mod contract;
mod cpus;
mod crash;
mod daemon;
mod demo;
mod deploys;
mod diff;
mod diversions;
mod docs;
mod ecosystem;
mod environment;
mod exhaustion;
mod fixed_upstream;
mod floods;
mod following;
mod harness;
mod hold;
mod import;
mod info;
mod ipc;
mod liveness;
mod logs;
mod manners;
mod memory;
mod metrics;
mod monit;
mod node_cluster;
mod node_preload;
mod notify;
mod overload;
#[path = "../worker/pattern.rs"]
mod pattern;
mod pm2_configs;
mod pm2_faults;
mod pm2_logs;
mod pm2_restarts;
mod pm2_scenarios;
mod pm2_table;
mod pm2_tasks;
mod pm2_verbs;
mod ports;
mod privileges;
mod prove;
mod proxy_death;
mod recycles;
mod reload;
mod rescues;
mod restarts;
mod retry;
mod routing;
mod scales;
mod selftest;
mod several_apps;
mod shutdown;
mod sleep;
mod soak;
mod startup;
mod status;
mod streams;
mod supervisor_kills;
mod systemd;
mod tasks;
mod tools;
mod trees;
mod trials;
mod units;
mod upgrades;
mod versions;
mod warmth;
mod watch;
mod wire;
