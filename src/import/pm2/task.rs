//! Apps that no request is for: jobs, which PM2 knows as `cron_restart` without `autorestart`, and whatever says `kind`.
//!
//! PM2 cannot tell a queue worker from a server, so a file says it with our own word, which PM2 overlooks.

use super::Translation;
use super::record::{is_true, text};
use crate::config::Schedule;

/// What is about requests.
const OF_REQUESTS: [(&str, &str); 2] = [("node", "exec_mode"), ("drain_timeout", "")];
/// What is about workers that go on; with PM2's own word, where that is lost.
const OF_WORKERS: [(&str, &str); 4] =
    [("workers", "instances"), ("ready", "wait_ready"), ("start_timeout", ""), ("watch", "watch")];

/// Says in the first lines what kind of app it is, if it serves nobody.
pub(super) fn announce(app: &mut Translation) {
    let word = app.record.text("kind");
    if let Some(schedule) = schedule(app) {
        app.record.take("cron_restart");
        app.traits.is_task = true;
        app.draft.set("kind", "task");
        let comment = "PM2's cron job: `cron_restart` with `autorestart: false`. PM2 also runs it when it is started;\n\
                       here that is `portreeve restart NAME`.";
        return app.draft.noted("schedule", schedule, comment);
    }
    match word.as_deref() {
        Some("task") => {
            app.traits.is_task = true;
            app.draft.set("kind", "task");
        }
        None | Some("web") => {}
        Some(other) => app.remark("kind", format!("{other:?} is neither \"web\" nor \"task\"")),
    }
}

/// When it is to run, if it is not to go on.
fn schedule(app: &Translation) -> Option<String> {
    let goes_on = app.record.look("autorestart").is_none_or(is_true);
    let pattern = app.record.look("cron_restart").map(text).filter(|_| !goes_on)?;
    pattern.parse::<Schedule>().ok().map(|_| pattern)
}

/// Takes out what has no meaning for it.
pub(super) fn settle(app: &mut Translation) {
    if !app.traits.is_task {
        return;
    }
    let is_job = app.draft.has("schedule");
    if app.traits.port.take().is_some() {
        app.remark("env.PORT", "no request is for a task: it has no port");
    }
    let of_workers = OF_WORKERS.iter().filter(|_| is_job);
    let several = app.traits.is_many;
    for (ours, theirs) in OF_REQUESTS.iter().chain(of_workers) {
        let is_lost = app.draft.drop_key(ours) && !theirs.is_empty() && (*ours != "workers" || several);
        if is_lost {
            let what = if is_job { "a job that runs at its times" } else { "a task" };
            app.remark(theirs, format!("has no meaning for {what}"));
        }
    }
}
