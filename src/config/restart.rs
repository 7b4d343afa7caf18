//! `restart` of an app: a word for the policy, or a table with all that is to follow when a worker ends by itself.
//!
//! Keys that contradict each other, or that could never matter, are faults here: nobody writes them on purpose.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use super::fault::Fault;
use super::reader::Table;
use super::value;
use super::{defaults, units};

/// What follows when a worker ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    pub policy: RestartPolicy,
    /// A worker that ends with one of these is not started again, and has not crashed.
    pub stop_exit_codes: BTreeSet<u8>,
    /// The pause before every restart; `None`: as `backoff` says.
    pub delay: Option<Duration>,
    pub backoff: Backoff,
    /// More unexpected ends than these within `period` are a crash loop; `None`: twice the number of workers, and no
    /// fewer than 5.
    pub intensity: Option<NonZeroU32>,
    pub period: Duration,
    /// In a crash loop, from the latest end until one worker is tried.
    pub retry: Duration,
    /// In a crash loop nothing more is tried.
    pub give_up: bool,
}

/// Which workers that have ended by themselves are started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    /// All but those that ended with exit code 0.
    OnFailure,
    Never,
}

/// How long to wait before a crashed worker is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub min: Duration,
    pub max: Duration,
    /// A worker that lived this long starts the count anew.
    pub reset: Duration,
}

pub(super) const POLICIES: [(&str, RestartPolicy); 3] =
    [("always", RestartPolicy::Always), ("on-failure", RestartPolicy::OnFailure), ("never", RestartPolicy::Never)];

/// Keys of the table without a meaning when nobody is started again.
const OF_RESTARTS: [&str; 9] =
    ["stop_exit_codes", "delay", "backoff_min", "backoff_max", "reset", "intensity", "period", "retry", "give_up"];

/// What `restart` says, in either form.
pub(super) fn restart(table: &mut Table) -> Restart {
    match table.value("restart") {
        Some(value) if value.table().is_some() => table.inner(value, table.dotted("restart"), settings),
        Some(value) => {
            let policy = value::word(value, &POLICIES).map_err(|fault| {
                table.report(fault.or_help("or write a table such as { policy = \"on-failure\" }"));
            });
            Restart { policy: policy.unwrap_or(RestartPolicy::Always), ..settings(&mut table.absent("restart")) }
        }
        None => settings(&mut table.absent("restart")),
    }
}

fn settings(table: &mut Table) -> Restart {
    let auto = |value| value::unless("auto", value, |value| value::count(value, &defaults::INTENSITY));
    let restart = Restart {
        policy: table.take("policy", |value| value::word(value, &POLICIES)).unwrap_or(RestartPolicy::Always),
        stop_exit_codes: exit_codes(table),
        delay: table.take("delay", |value| value::duration(value, &defaults::RESTART_DELAY)),
        backoff: backoff(table),
        intensity: table.take("intensity", auto).flatten(),
        period: table.duration("period", &defaults::INTENSITY_PERIOD),
        retry: table.duration("retry", &defaults::LOOP_RETRY),
        give_up: table.boolean("give_up"),
    };
    if restart.policy == RestartPolicy::Never {
        refuse(table, &OF_RESTARTS, "policy", "nobody is started again");
    }
    if restart.delay.is_some() {
        refuse(table, &["backoff_min", "backoff_max"], "delay", "the pause is always this");
    }
    if restart.give_up {
        refuse(table, &["retry"], "give_up", "nothing is tried again");
    }
    restart
}

fn exit_codes(table: &mut Table) -> BTreeSet<u8> {
    table.list("stop_exit_codes", |value| value::count(value, &defaults::EXIT_CODES)).into_iter().collect()
}

/// Keys that have no meaning beside `with`.
fn refuse(table: &Table, keys: &[&str], with: &str, why: &str) {
    for key in keys.iter().filter(|key| table.has(key)) {
        let fault = Fault::error(table.span_of(key), format!("`{key}` has no meaning beside this `{with}`"));
        table.report(fault.label("never looked at").related(table.span_of(with), why));
    }
}

fn backoff(table: &mut Table) -> Backoff {
    let min = table.duration("backoff_min", &defaults::BACKOFF_MIN);
    let max = table.duration("backoff_max", &defaults::BACKOFF_MAX);
    let reset = table.duration("reset", &defaults::BACKOFF_RESET);
    if min > max {
        let [min, max] = [min, max].map(units::format_duration);
        let key = if table.has("backoff_min") { "backoff_min" } else { "backoff_max" };
        let fault = Fault::error(table.span_of(key), "`backoff_min` is longer than `backoff_max`");
        table.report(fault.label(format!("{min} to {max} is no range")));
    }
    Backoff { min, max, reset }
}
