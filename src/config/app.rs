//! One `[app.NAME]`: who answers for it, how it is asked whether it is ready, how requests are forwarded.
//!
//! What the keys of one app have to do with each other is checked here; apps among themselves in `conflicts`.

use std::path::Path;

use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};
use super::{App, Channel, Command, Forwarding, Probe, ProbeKind, Program, Readiness, Server};
use super::{bounds, defaults, names, node, units, worker};
use crate::id::{Address, AppName};

/// The app, or `None` when something about it is wrong and recorded.
pub(super) fn app(table: &mut Table, name: AppName, base: &Path) -> Option<App> {
    let (app, is_clean) = table.judged(|table| {
        let hosts = table.filled_list("hosts", "leave it out to serve every host", names::host);
        let path = table.take("path", names::prefix).unwrap_or_else(|| "/".to_owned());
        let ports = table.filled_list("port", "leave it out to serve the app on [listen]", names::own_address);
        let routed = !table.has("port") || table.has("hosts") || table.has("path");
        let enabled = table.take("enabled", value::boolean).unwrap_or(true);
        let mut server = server(table, base);
        let (readiness, probe) = readiness(table, &hosts);
        match (&mut server, readiness) {
            (Some(Server::Command(command)), Readiness::Probe) if node::announces(command, table.has("ready")) => {
                command.node.announces = true;
            }
            (Some(Server::Command(command)), Readiness::Probe) => check_patience(table, command, &probe),
            (Some(Server::Command(command)), Readiness::Ipc) => declare(table, command),
            (Some(Server::Fixed(_)), Readiness::Ipc) => refuse_declaring(table),
            _ => {}
        }
        if let Some(Server::Command(command)) = &mut server {
            node::check(table, command);
        }
        let forwarding = forwarding(table);
        let depends_on = table.list("depends_on", dependency);
        Some(App { name, hosts, path, ports, routed, enabled, depends_on, server: server?, probe, forwarding })
    });
    app.filter(|_| is_clean)
}

/// The name of an app; whether there is one is seen when all are known.
fn dependency(value: Value) -> Result<AppName, Fault> {
    let name = value::text(value)?;
    name.parse().map_err(|_| value.mismatch("names of other apps").label("no app is called that"))
}

/// Exactly one of `command` and `upstream`.
fn server(table: &mut Table, base: &Path) -> Option<Server> {
    let started = worker::command(table, base).map(|command| Server::Command(Box::new(command)));
    let fixed = upstream(table, base).map(Server::Fixed);
    match (table.has("command"), table.has("upstream")) {
        (true, false) => started,
        (false, true) => {
            refuse_worker_keys(table);
            fixed
        }
        (true, true) => {
            let fault = Fault::error(table.span_of("upstream"), "an app has `command` or `upstream`, not both");
            let fault = fault.label("forwards to servers that something else runs");
            table.report(fault.related(table.span_of("command"), "starts workers"));
            None
        }
        (false, false) => {
            let help =
                "command = \"node server.js\" starts workers; upstream = \"127.0.0.1:9000\" forwards to a server";
            table.report_missing(&["command", "upstream"], help);
            None
        }
    }
}

fn refuse_worker_keys(table: &Table) {
    for key in worker::KEYS.into_iter().chain(bounds::KEYS).filter(|key| table.has(key)) {
        let fault = Fault::error(table.span_of(key), format!("`{key}` has no meaning for an app with `upstream`"));
        let fault = fault.label("is for workers that portreeve starts");
        table.report(fault.related(table.span_of("upstream"), "something else runs these"));
    }
}

fn upstream(table: &mut Table, base: &Path) -> Option<Vec<Address>> {
    let read = |value| names::server_address(value, base);
    let servers = table.filled_list("upstream", "nobody would answer", read);
    let is_repeated = |(index, server): &(usize, &Address)| servers[..*index].contains(server);
    if let Some((_, server)) = servers.iter().enumerate().find(is_repeated) {
        let fault = Fault::error(table.span_of("upstream"), format!("{server} is listed twice in `upstream`"));
        table.report(fault.label("name every server once"));
    }
    Some(servers).filter(|servers| !servers.is_empty())
}

/// `ready`: the word `"tcp"` or `"ipc"`, or a table.
fn readiness(table: &mut Table, hosts: &[String]) -> (Readiness, Probe) {
    let value = table.value("ready");
    if let Some(value) = value.filter(|value| value.table().is_some()) {
        let probe = table.inner(value, table.dotted("ready"), |table| ready(table, hosts));
        return (Readiness::Probe, probe);
    }
    let word = value.map_or(Ok(Readiness::Probe), word).map_err(|fault| table.report(fault));
    (word.unwrap_or(Readiness::Probe), ready(&mut table.absent("ready"), hosts))
}

fn word(value: Value) -> Result<Readiness, Fault> {
    let fault = value.mismatch("\"tcp\", \"ipc\" or a table such as { http = \"/health\" }");
    match value.str() {
        Some("tcp") => Ok(Readiness::Probe),
        Some("ipc") => Ok(Readiness::Ipc),
        Some(path) if path.starts_with('/') => Err(fault.label(format!("did you mean {{ http = \"{path}\" }}?"))),
        Some("http") => Err(fault.label("which path is to be asked for?")),
        Some(_) => Err(fault.label("not a way to ask")),
        None => Err(fault),
    }
}

fn ready(table: &mut Table, hosts: &[String]) -> Probe {
    Probe {
        kind: probe_kind(table, hosts),
        interval: table.duration("interval", &defaults::PROBE_INTERVAL),
        timeout: table.duration("timeout", &defaults::PROBE_TIMEOUT),
        successes: table.count("successes", &defaults::PROBE_SUCCESSES),
        failures: table.count("failures", &defaults::PROBE_FAILURES),
    }
}

/// The `Host` of a probe is the first name that the app serves, because frameworks refuse names that they do not know.
fn probe_kind(table: &mut Table, hosts: &[String]) -> ProbeKind {
    let path = table.take("http", names::request_path);
    let host = table.take("host", names::probe_host);
    let tcp = table.take("tcp", value::boolean);
    if table.has("http") && tcp == Some(true) {
        let fault = Fault::error(table.span_of("tcp"), "`ready` asks by `http` or by `tcp`, not both");
        table.report(fault.label("a connection would do").related(table.span_of("http"), "an answer is wanted"));
    }
    if !table.has("http") && tcp == Some(false) {
        let fault = Fault::error(table.span_of("tcp"), "`ready` has no way left to ask");
        table.report(fault.label("not by tcp, but how?").help("write ready = { http = \"/health\" }"));
    }
    if !table.has("http") && table.has("host") {
        let fault = Fault::error(table.span_of("host"), "`host` has no meaning without `http`");
        table.report(fault.label("a connection carries no name"));
    }
    let first_name = || hosts.iter().find(|host| !host.starts_with('*')).map_or("localhost", String::as_str).to_owned();
    match path {
        Some(path) => ProbeKind::Http { path: path.to_owned(), host: host.unwrap_or_else(first_name) },
        None => ProbeKind::Tcp,
    }
}

/// The workers say themselves when they are ready, on the channel that they are given for it.
fn declare(table: &Table, command: &mut Command) {
    if table.has("ipc") && command.channel == Channel::Absent {
        let fault = Fault::error(table.span_of("ipc"), "`ready` needs the channel that `ipc` takes away");
        table.report(fault.label("no channel").related(table.span_of("ready"), "to be said on a channel"));
    }
    command.channel = Channel::Declares;
    if let Some(wrapper) = wrapper(command) {
        let fault = Fault::warning(table.span_of("command"), format!("`{wrapper}` keeps the channel to itself"));
        let fault = fault.label("the app behind it cannot say that it is ready");
        table.report(fault.help("start the app directly, such as command = \"node server.js\""));
    }
}

/// The first Node in the chain takes the channel, and these are Node programs.
fn wrapper(command: &Command) -> Option<&str> {
    let Program::Direct(words) = &command.program else { return None };
    let name = Path::new(words.first()?).file_name()?.to_str()?;
    ["npm", "npx", "pnpm", "yarn"].contains(&name).then_some(name)
}

fn refuse_declaring(table: &Table) {
    let fault = Fault::error(table.span_of("ready"), "servers of an `upstream` have no channel to portreeve");
    table.report(fault.label("is for workers that portreeve starts").help("write ready = { http = \"/health\" }"));
}

/// A worker that needs longer to be believed than it is given to start would never serve.
fn check_patience(table: &Table, command: &Command, probe: &Probe) {
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

fn forwarding(table: &mut Table) -> Forwarding {
    let inflight = |value| value::unless("unlimited", value, |value| value::count(value, &defaults::MAX_INFLIGHT));
    let response = &defaults::RESPONSE_TIMEOUT;
    let response_timeout = |value| value::unless("unlimited", value, |value| value::duration(value, &response.range));
    let (hold_requests, hold_time) = table.section("hold", |table| {
        (table.count("requests", &defaults::HOLD_REQUESTS), table.duration("time", &defaults::HOLD_TIME))
    });
    Forwarding {
        max_inflight: table.take("max_inflight", inflight).flatten(),
        hold_requests,
        hold_time,
        connect_timeout: table.duration("connect_timeout", &defaults::CONNECT_TIMEOUT),
        response_timeout: table.take("response_timeout", response_timeout).unwrap_or(Some(response.default)),
        keepalive: table.duration("keepalive", &defaults::KEEPALIVE),
        retry_idempotency_key: table.section("retry", |table| table.boolean("idempotency_key")),
    }
}
