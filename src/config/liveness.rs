//! `live` of an app: how workers that serve are asked on, and what follows when they do not answer.
//!
//! What is to be asked is what `ready` asks, unless something else is said. Whoever says himself that he is ready is asked
//! for a connection: there is no other question that every app understands.

use std::time::Duration;

use super::fault::Fault;
use super::reader::Table;
use super::value;
use super::{Live, Probe, ProbeKind, Readiness};
use super::{defaults, readiness, units, worker};

/// What `live` says; `None`: nobody is asked.
pub(super) fn liveness(table: &mut Table, hosts: &[String], how: Readiness, ready: &Probe) -> Option<Live> {
    let is_watched = table.has("watchdog");
    let question = if how == Readiness::Probe { ready.kind.clone() } else { ProbeKind::Tcp };
    match table.value("live") {
        Some(value) if value.table().is_some() => {
            Some(table.inner(value, table.dotted("live"), |table| settings(table, hosts, question, is_watched)))
        }
        Some(value) => {
            if value.str() != Some("off") {
                let fault = value.mismatch("\"off\" or a table such as { interval = \"5s\", failures = 3 }");
                let fault = match value.str() {
                    Some(path) if path.starts_with('/') => {
                        fault.label(format!("did you mean {{ http = \"{path}\" }}?"))
                    }
                    _ => fault,
                };
                table.report(fault);
            }
            None
        }
        None => Some(settings(&mut table.absent("live"), hosts, question, is_watched)),
    }
}

fn settings(table: &mut Table, hosts: &[String], question: ProbeKind, is_watched: bool) -> Live {
    let is_own = ["http", "host", "tcp"].into_iter().any(|key| table.has(key));
    let own = readiness::probe_kind(table, hosts, "live");
    let live = Live {
        probe: Probe {
            kind: if is_own { own } else { question },
            interval: table.duration("interval", &defaults::LIVE_INTERVAL),
            timeout: table.duration("timeout", &defaults::LIVE_TIMEOUT),
            successes: table.count("successes", &defaults::LIVE_SUCCESSES),
            failures: table.count("failures", &defaults::LIVE_FAILURES),
        },
        replace_after: limit(table, "replace_after", &defaults::REPLACE_AFTER),
        hung_after: limit(table, "hung_after", &defaults::HUNG_AFTER),
        dump_signal: table.take("dump_signal", |value| value::unless("none", value, worker::signal)).flatten(),
    };
    if live.hung_after.is_none() && live.dump_signal.is_some() && !is_watched {
        let fault = Fault::error(table.span_of("dump_signal"), "`dump_signal` would never be sent");
        let fault = fault.label("is for a worker that is hung");
        table.report(fault.related(table.span_of("hung_after"), "none is ever found to be"));
    }
    live
}

fn limit(table: &mut Table, key: &'static str, setting: &defaults::Setting<Duration>) -> Option<Duration> {
    let read = |value| value::unless("never", value, |value| value::duration(value, &setting.range));
    table.take(key, read).unwrap_or(Some(setting.default))
}

/// The proxy gives up a request after `response_timeout`: none is ever older.
pub(super) fn check_age(table: &Table, live: &Live, response_timeout: Option<Duration>) {
    if let (Some(hung_after), Some(most)) = (live.hung_after, response_timeout)
        && hung_after >= most
        && table.has("live")
    {
        let [hung_after, most] = [hung_after, most].map(units::format_duration);
        let fault = Fault::warning(table.span_of("live"), format!("no worker is found to be hung after {hung_after}"));
        let fault = fault.label(format!("no request waits for longer than `response_timeout`, {most}"));
        table.report(fault.help("write a smaller `hung_after`, or \"never\""));
    }
}
