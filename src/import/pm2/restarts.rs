//! What follows when a worker ends, and when one is replaced: policy, delays, limits, schedule, memory.
//!
//! A PM2 app that reaches `max_restarts` is dead until somebody comes; here that is a crash loop, which is tried again.

use serde_json::Value;
use toml_edit::{Array, InlineTable};

use super::Translation;
use super::record::{is_true, number};
use super::units::{bounded, bytes, size, time};
use crate::config::{Schedule, defaults};

/// Keys without a meaning when nobody is started again.
const OF_RESTARTS: [&str; 5] =
    ["stop_exit_codes", "restart_delay", "exp_backoff_restart_delay", "max_restarts", "min_uptime"];

pub(super) fn translate(app: &mut Translation) {
    restart(app);
    replacement(app);
}

fn restart(app: &mut Translation) {
    if app.record.flag("autorestart") == Some(false) {
        // A run of a job is not tried again unless that is said.
        if !app.draft.has("schedule") {
            app.draft.set("restart", "never");
        }
        for key in OF_RESTARTS {
            if app.record.take(key).is_some_and(|value| is_true(&value)) {
                app.remark(key, "has no meaning beside `autorestart: false`");
            }
        }
        return;
    }
    let mut restart = InlineTable::new();
    exit_codes(app, &mut restart);
    delays(app, &mut restart);
    let is_limited = limits(app, &mut restart);
    if restart.is_empty() {
        return;
    }
    if is_limited {
        let comment = "PM2 counts per process and gives up for good; here all workers of the app are counted, and one is\n\
                       tried now and then. give_up = true is PM2's way.";
        app.draft.noted("restart", restart, comment);
    } else {
        app.draft.set("restart", restart);
    }
}

fn exit_codes(app: &mut Translation, restart: &mut InlineTable) {
    let Some(codes) = app.record.take("stop_exit_codes") else { return };
    let list = if let Value::Array(list) = codes { list } else { vec![codes] };
    let good: Array = list.iter().filter_map(number).filter(|code| (0..=255).contains(code)).collect();
    if good.len() < list.len() {
        app.remark("stop_exit_codes", "exit codes are numbers from 0 to 255; others are left out");
    }
    if !good.is_empty() {
        restart.insert("stop_exit_codes", good.into());
    }
}

/// The growing delay wins under PM2 too.
fn delays(app: &mut Translation, restart: &mut InlineTable) {
    let fixed = app.record.millis("restart_delay").filter(|delay| !delay.is_zero());
    let growing = app.record.millis("exp_backoff_restart_delay").filter(|delay| !delay.is_zero());
    match (growing, fixed) {
        (Some(growing), fixed) => {
            let (text, _) = bounded(growing, &defaults::BACKOFF_MIN.range);
            restart.insert("backoff_min", text.as_str().into());
            if growing > defaults::BACKOFF_MAX.default {
                restart.insert("backoff_max", text.into());
            }
            if fixed.is_some() {
                app.remark("restart_delay", "has no meaning beside `exp_backoff_restart_delay`");
            }
        }
        (None, Some(fixed)) => {
            let (text, is_other) = bounded(fixed, &defaults::RESTART_DELAY);
            restart.insert("delay", text.into());
            if is_other {
                app.remark("restart_delay", "a pause has an hour at most");
            }
        }
        (None, None) => {}
    }
}

fn limits(app: &mut Translation, restart: &mut InlineTable) -> bool {
    let most = app.record.number("max_restarts");
    let uptime = app.record.take("min_uptime").and_then(|value| time(&value)).filter(|time| !time.is_zero());
    let (least, highest) = (i64::from(defaults::INTENSITY.start().get()), i64::from(defaults::INTENSITY.end().get()));
    if let Some(most) = most {
        restart.insert("intensity", most.clamp(least, highest).into());
    }
    if let Some(uptime) = uptime {
        // Within so long PM2 counts an early end as one too many.
        let count = u32::try_from(most.unwrap_or(16).clamp(least, highest)).unwrap_or(1);
        let (period, _) = bounded(uptime.saturating_mul(count), &defaults::INTENSITY_PERIOD.range);
        restart.insert("period", period.into());
    }
    most.is_some() || uptime.is_some()
}

/// What replaces workers that are well: memory and the clock.
fn replacement(app: &mut Translation) {
    if let Some(limit) = app.record.take("max_memory_restart") {
        match size(&limit).filter(|limit| defaults::MEMORY_BYTES.contains(limit)) {
            Some(limit) => {
                let mut memory = InlineTable::new();
                // A run is not replaced: one that needs more is ended.
                let key = if app.draft.has("schedule") { "hard" } else { "soft" };
                memory.insert(key, bytes(limit).into());
                app.draft.set("memory", memory);
            }
            None => app.remark("max_memory_restart", format!("{} is no size", super::record::text(&limit))),
        }
    }
    match app.record.text("cron_restart").map(|pattern| (pattern.parse::<Schedule>(), pattern)) {
        Some((Ok(_), pattern)) => {
            let mut recycle = InlineTable::new();
            recycle.insert("schedule", pattern.into());
            app.draft.set("recycle", recycle);
        }
        // PM2 has this for "never".
        Some((Err(_), pattern)) if pattern == "0" => {}
        Some((Err(error), pattern)) => app.remark("cron_restart", format!("\"{pattern}\" is no schedule: {error}")),
        None => {}
    }
}
