//! The keys of an app that say how its workers are started and stopped.
//!
//! Whether the app has workers at all is not known here: every key is asked for, so that none is unknown.

use std::num::NonZeroU32;
use std::path::Path;

use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};
use super::{Command, StopSignal, Timeouts};
use super::{bounds, command, contract, defaults, deploy, environment, output, recycle, restart};

/// The keys besides `command`; an app with `upstream` has none of them, nor of those of `bounds`.
pub(super) const KEYS: [&str; 31] = [
    "depends_on",
    "shell",
    "directory",
    "env",
    "env_file",
    "inherit_env",
    "secrets",
    "instance_var",
    "increment_var",
    "workers",
    "listen",
    "ipc",
    "node",
    "notify",
    "watchdog",
    "start_timeout",
    "drain_timeout",
    "idle_timeout",
    "streams",
    "stream_spread",
    "kill_timeout",
    "warmup",
    "warmup_timeout",
    "slow_start",
    "stop_signal",
    "deploy",
    "restart",
    "live",
    "recycle",
    "watch",
    "log",
];

pub(super) const SIGNALS: [(&str, StopSignal); 6] = [
    ("SIGTERM", StopSignal::Term),
    ("SIGINT", StopSignal::Int),
    ("SIGQUIT", StopSignal::Quit),
    ("SIGHUP", StopSignal::Hup),
    ("SIGUSR1", StopSignal::Usr1),
    ("SIGUSR2", StopSignal::Usr2),
];

/// How workers are run; `None` without a good `command`.
pub(super) fn command(table: &mut Table, base: &Path) -> Option<Command> {
    let shell = table.boolean("shell");
    let program = table.take("command", |value| command::program(value, shell));
    Some(Command {
        directory: table.path("directory", base).unwrap_or_else(|| base.to_owned()),
        environment: environment::environment(table, base),
        bounds: bounds::bounds(table),
        workers: table.take("workers", |value| value::unless("auto", value, workers)).flatten(),
        contract: contract::contract(table),
        timeouts: timeouts(table),
        deploy: table.section("deploy", deploy::deploy),
        restart: restart::restart(table),
        // Read when it is known what `ready` asks.
        live: None,
        recycle: table.section("recycle", recycle::recycle),
        output: table.section("log", |table| output::output(table, base)),
        // Last, so that the other keys are read, and known, in any case.
        program: program?,
    })
}

fn timeouts(table: &mut Table) -> Timeouts {
    let idle = |value| value::unless("off", value, |value| value::duration(value, &defaults::IDLE_TIMEOUT));
    Timeouts {
        start: table.duration("start_timeout", &defaults::START_TIMEOUT),
        drain: table.duration("drain_timeout", &defaults::DRAIN_TIMEOUT),
        kill: table.duration("kill_timeout", &defaults::KILL_TIMEOUT),
        idle: table.take("idle_timeout", idle).flatten(),
    }
}

fn workers(value: Value) -> Result<NonZeroU32, Fault> {
    let fault = |fault: Fault| match value.str() {
        Some("max") => fault.label("did you mean \"auto\"?"),
        _ => fault,
    };
    value::count(value, &defaults::WORKERS).map_err(fault)
}

/// A signal by its name, with or without `SIG`, in any case.
pub(super) fn signal(value: Value) -> Result<StopSignal, Fault> {
    let plain = |name: &str| name.to_ascii_uppercase().trim_start_matches("SIG").to_owned();
    let text = value::text(value)?;
    if plain(text) == "KILL" {
        let fault = value.mismatch("a signal that a worker can answer").label("kills without asking");
        return Err(fault.help("SIGKILL follows by itself when `kill_timeout` is over"));
    }
    let known = SIGNALS.iter().find(|(name, _)| plain(name) == plain(text));
    known.map_or_else(|| value::word(value, &SIGNALS), |(_, signal)| Ok(*signal))
}
