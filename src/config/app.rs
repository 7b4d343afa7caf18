//! One `[app.NAME]`: who answers for it, which requests it gets, how they are forwarded.
//!
//! What the keys of one app have to do with each other is checked here; apps among themselves in `conflicts`.

use std::path::Path;

use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};
use super::{App, BodyBytes, Forwarding, Kind, Readiness, Said, Server};
use super::{bounds, contract, defaults, liveness, names, node, readiness, streams, task, warm, watch, worker};
use crate::id::{Address, AppName};

/// The app, or `None` when something about it is wrong and recorded.
pub(super) fn app(table: &mut Table, name: AppName, base: &Path) -> Option<App> {
    let (app, is_clean) = table.judged(|table| {
        let kind = task::kind(table);
        let hosts = table.filled_list("hosts", "leave it out to serve every host", names::host);
        let path = table.take("path", names::prefix).unwrap_or_else(|| "/".to_owned());
        let ports = table.filled_list("port", "leave it out to serve the app on [listen]", names::own_address);
        let enabled = table.take("enabled", value::boolean).unwrap_or(true);
        let mut server = server(table, base);
        let (readiness, probe) = readiness::readiness(table, &hosts);
        match &mut server {
            Some(Server::Command(command)) if kind.is_task() => {
                task::settle(table, &kind, command, readiness, &probe);
            }
            Some(Server::Fixed(_)) if kind.is_task() => refuse_task(table),
            Some(Server::Command(command)) => {
                readiness::refuse_uptime(table, readiness);
                let is_asked = readiness != Readiness::Probe || table.has("ready");
                let ready = if node::announces(command, is_asked) { Readiness::Listening } else { readiness };
                contract::settle(table, command, ready, &probe);
                node::check(table, command);
                readiness::check_patience(table, command, &probe);
            }
            Some(Server::Fixed(_)) if readiness != Readiness::Probe => readiness::refuse_declaring(table),
            _ => {}
        }
        let forwarding = forwarding(table, server.as_ref());
        let live = liveness::liveness(table, &hosts, readiness, &probe);
        if let (Some(Server::Command(command)), Kind::Web { .. }) = (&mut server, &kind) {
            if let Some(live) = &live {
                liveness::check_age(table, live, forwarding.response_timeout);
            }
            command.live = live;
        }
        let warm = warm::warm(table, &hosts);
        if let Some(Server::Command(command)) = &mut server {
            command.deploy.warm = warm;
        }
        let depends_on = table.list("depends_on", dependency);
        let directory = server.as_ref().and_then(|server| match server {
            Server::Command(command) => Some(command.directory.clone()),
            Server::Fixed(_) => None,
        });
        let watch = watch::watch(table, directory.as_deref().unwrap_or(base));
        Some(App {
            name,
            kind,
            hosts,
            path,
            ports,
            enabled,
            depends_on,
            server: server?,
            probe,
            forwarding,
            watch,
            said: Said::default(),
        })
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

/// No request may wait: nothing could wake an app that sleeps.
fn check_sleep(table: &Table, server: Option<&Server>) {
    if !matches!(server, Some(Server::Command(command)) if command.timeouts.idle.is_some()) {
        return;
    }
    let fault = Fault::error(table.span_of("idle_timeout"), "an app that sleeps is woken by requests that wait for it");
    let fault = fault.label("nothing could wake it").related(table.span_of("hold"), "no request may wait");
    table.report(fault.help("let some wait, with `requests` of `hold`"));
}

fn refuse_task(table: &Table) {
    let fault = Fault::error(table.span_of("kind"), "a task has a `command`");
    table.report(fault.label("nothing to run").related(table.span_of("upstream"), "something else runs these"));
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

fn forwarding(table: &mut Table, server: Option<&Server>) -> Forwarding {
    let inflight = |value| value::unless("unlimited", value, |value| value::count(value, &defaults::MAX_INFLIGHT));
    let body_bytes = |value| value::unless("unlimited", value, |value| value::size(value, &defaults::BODY_BYTES));
    let response = &defaults::RESPONSE_TIMEOUT;
    let response_timeout = |value| value::unless("unlimited", value, |value| value::duration(value, &response.range));
    let shed = &defaults::SHED_AFTER;
    let shed_after = |value| value::unless("off", value, |value| value::duration(value, &shed.range));
    let (hold_requests, hold_time, shed_after) = table.section("hold", |table| {
        let requests = table.count("requests", &defaults::HOLD_REQUESTS);
        let time = table.duration("time", &defaults::HOLD_TIME);
        (requests, time, table.take("shed_after", shed_after).unwrap_or(Some(shed.default)))
    });
    if hold_requests == 0 {
        check_sleep(table, server);
    }
    Forwarding {
        max_inflight: table.take("max_inflight", inflight).flatten(),
        body_bytes: match table.take("body_bytes", body_bytes) {
            None => BodyBytes::Common,
            Some(bytes) => bytes.map_or(BodyBytes::Unlimited, BodyBytes::Most),
        },
        hold_requests,
        hold_time,
        shed_after,
        connect_timeout: table.duration("connect_timeout", &defaults::CONNECT_TIMEOUT),
        response_timeout: table.take("response_timeout", response_timeout).unwrap_or(Some(response.default)),
        keepalive: table.duration("keepalive", &defaults::KEEPALIVE),
        proxy_protocol: table.boolean("proxy_protocol"),
        retry_idempotency_key: table.section("retry", |table| table.boolean("idempotency_key")),
        request_start: table.boolean("request_start"),
        streams: streams::streams(table),
    }
}
