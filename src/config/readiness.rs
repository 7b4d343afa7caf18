//! `ready` of an app: how it is asked whether a server is ready, or where the server says so itself.
//!
//! What saying needs (a channel, a socket, a descriptor) is settled in `contract`.

use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};
use super::{Command, Probe, ProbeKind, Readiness};
use super::{defaults, names, units};

/// Keys of the table that are about asking.
const ASKING: [&str; 7] = ["http", "host", "tcp", "interval", "timeout", "successes", "failures"];

/// `ready`: the word `"tcp"`, `"ipc"` or `"notify"`, or a table.
pub(super) fn readiness(table: &mut Table, hosts: &[String]) -> (Readiness, Probe) {
    let value = table.value("ready");
    if let Some(value) = value.filter(|value| value.table().is_some()) {
        return table.inner(value, table.dotted("ready"), |table| {
            let descriptor = table.take("fd", |value| value::count(value, &defaults::READY_DESCRIPTOR));
            let probe = ready(table, hosts);
            let uptime = table.take("uptime", |value| value::duration(value, &defaults::READY_UPTIME.range));
            for key in ["fd", "uptime"].into_iter().filter(|key| table.has(key)) {
                refuse_asking(table, key);
            }
            let lasting = uptime.map_or(Readiness::Probe, Readiness::Lasting);
            (descriptor.map_or(lasting, Readiness::Descriptor), probe)
        });
    }
    let word = value.map_or(Ok(Readiness::Probe), word).map_err(|fault| table.report(fault));
    (word.unwrap_or(Readiness::Probe), ready(&mut table.absent("ready"), hosts))
}

fn word(value: Value) -> Result<Readiness, Fault> {
    let fault = value.mismatch("\"tcp\", \"ipc\", \"notify\" or a table such as { http = \"/health\" }");
    match value.str() {
        Some("tcp") => Ok(Readiness::Probe),
        Some("ipc") => Ok(Readiness::Ipc),
        Some("notify") => Ok(Readiness::Notify),
        Some("fd") => Err(fault.label("which one? write { fd = 4 }")),
        Some(path) if path.starts_with('/') => Err(fault.label(format!("did you mean {{ http = \"{path}\" }}?"))),
        Some("http") => Err(fault.label("which path is to be asked for?")),
        Some(_) => Err(fault.label("not a way to ask")),
        None => Err(fault),
    }
}

/// Whoever says it itself, or has only to last, is not asked.
fn refuse_asking(table: &Table, beside: &str) {
    let other = if beside == "fd" { "uptime" } else { "" };
    for key in ASKING.into_iter().chain([other]).filter(|key| table.has(key)) {
        let fault = Fault::error(table.span_of(key), format!("`{key}` has no meaning beside `{beside}`"));
        table.report(fault.label("never looked at").related(table.span_of(beside), "the worker is not asked"));
    }
}

/// To have run for a while proves nothing about requests.
pub(super) fn refuse_uptime(table: &Table, ready: Readiness) {
    if matches!(ready, Readiness::Lasting(_)) {
        let fault = Fault::error(table.span_of("ready"), "`uptime` is for tasks");
        table.report(fault.label("requests would come before it listens").help("write ready = { http = \"/health\" }"));
    }
}

fn ready(table: &mut Table, hosts: &[String]) -> Probe {
    Probe {
        kind: probe_kind(table, hosts, "ready"),
        interval: table.duration("interval", &defaults::PROBE_INTERVAL),
        timeout: table.duration("timeout", &defaults::PROBE_TIMEOUT),
        successes: table.count("successes", &defaults::PROBE_SUCCESSES),
        failures: table.count("failures", &defaults::PROBE_FAILURES),
    }
}

pub(super) fn probe_kind(table: &mut Table, hosts: &[String], key: &str) -> ProbeKind {
    let path = table.take("http", names::request_path);
    let host = table.take("host", names::probe_host);
    let tcp = table.take("tcp", value::boolean);
    if table.has("http") && tcp == Some(true) {
        let fault = Fault::error(table.span_of("tcp"), format!("`{key}` asks by `http` or by `tcp`, not both"));
        table.report(fault.label("a connection would do").related(table.span_of("http"), "an answer is wanted"));
    }
    if !table.has("http") && tcp == Some(false) {
        let fault = Fault::error(table.span_of("tcp"), format!("`{key}` has no way left to ask"));
        table.report(fault.label("not by tcp, but how?").help(format!("write {key} = {{ http = \"/health\" }}")));
    }
    if !table.has("http") && table.has("host") {
        let fault = Fault::error(table.span_of("host"), "`host` has no meaning without `http`");
        table.report(fault.label("a connection carries no name"));
    }
    let first_name = || names::first_host(hosts).to_owned();
    match path {
        Some(path) => ProbeKind::Http { path: path.to_owned(), host: host.unwrap_or_else(first_name) },
        None => ProbeKind::Tcp,
    }
}

pub(super) fn refuse_declaring(table: &Table) {
    let fault = Fault::error(table.span_of("ready"), "servers of an `upstream` have no channel to portreeve");
    table.report(fault.label("is for workers that portreeve starts").help("write ready = { http = \"/health\" }"));
}

/// A worker that needs longer to be believed than it is given to start would never serve.
pub(super) fn check_patience(table: &Table, command: &Command, probe: &Probe) {
    if let Readiness::Lasting(uptime) = command.contract.ready {
        if uptime >= command.timeouts.start {
            let [uptime, given] = [uptime, command.timeouts.start].map(units::format_duration);
            let fault = Fault::error(table.span_of("ready"), "no worker could get ready in time");
            table.report(fault.label(format!("`start_timeout` is {given}, and {uptime} are asked for")));
        }
        return;
    }
    if command.contract.ready != Readiness::Probe {
        return;
    }
    let needed = probe.interval.saturating_mul(probe.successes.get() - 1);
    if needed >= command.timeouts.start {
        let [needed, given] = [needed, command.timeouts.start].map(units::format_duration);
        let fault = Fault::error(table.span_of("start_timeout"), "no worker could get ready in time");
        let fault = fault.label(format!("{given} are not enough"));
        table.report(fault.help(format!(
            "{} successes in a row, one every {}, take longer than {needed}",
            probe.successes,
            units::format_duration(probe.interval),
        )));
    }
}
