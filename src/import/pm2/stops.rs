//! How a worker says that it is ready, and how it is asked to end.
//!
//! PM2 goes on with a worker that has not said so in time; here the reload is called off, so its short limits are no
//! good. And it signals at once, where here a worker first finishes what it has: that time is `drain_timeout`.

use std::time::Duration;

use super::Translation;
use super::units::bounded;
use crate::config::defaults;

pub(super) fn translate(app: &mut Translation) {
    readiness(app);
    channel(app);
    if let Some(timeout) = app.record.millis("kill_timeout") {
        let (text, is_other) = bounded(timeout, &defaults::KILL_TIMEOUT.range);
        app.draft.set("kill_timeout", text);
        if timeout > defaults::DRAIN_TIMEOUT.default {
            let (text, _) = bounded(timeout, &defaults::DRAIN_TIMEOUT.range);
            app.draft.noted("drain_timeout", text, "PM2 has one time for both.");
        }
        if is_other {
            app.remark("kill_timeout", "is longer than portreeve waits for an end, which is an hour");
        }
    }
    app.draft.noted("stop_signal", "SIGINT", "What PM2 sends; portreeve's own default is SIGTERM.");
    if app.record.flag("treekill") == Some(false) {
        app.remark("treekill", "what is left of a worker's process group is killed with it");
    }
}

fn readiness(app: &mut Translation) {
    let waits = app.record.flag("wait_ready") == Some(true);
    let given = app.record.millis("listen_timeout");
    if waits {
        app.draft.noted("ready", "ipc", "PM2's `wait_ready`: process.send('ready').");
    }
    let Some(limit) = given else { return };
    if limit > defaults::START_TIMEOUT.default {
        app.draft.set("start_timeout", bounded(limit, &defaults::START_TIMEOUT.range).0);
    } else {
        let usual: Duration = defaults::START_TIMEOUT.default;
        let text = format!(
            "PM2 goes on after {} ms, ready or not; here a reload is called off when a worker is not ready after \
             `start_timeout`, which stays at {} s",
            limit.as_millis(),
            usual.as_secs()
        );
        app.remark("listen_timeout", text);
    }
}

/// `ready = "ipc"` has the channel anyway.
fn channel(app: &mut Translation) {
    let by_message = app.record.flag("shutdown_with_message") == Some(true);
    if by_message && !app.draft.has("ready") {
        app.draft.noted("ipc", true, "PM2's `shutdown_with_message`: the message 'shutdown', and then the signal.");
    }
}
