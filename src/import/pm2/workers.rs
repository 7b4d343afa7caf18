//! `instances`, `exec_mode`: how many workers. `uid`, `gid`: who they are.
//!
//! PM2 starts one process unless it is told otherwise, so the number always stands in the file.

use serde_json::Value;

use super::Translation;
use super::record::{number, text};
use crate::config::defaults;

pub(super) fn translate(app: &mut Translation) {
    let instances = app.record.take("instances");
    mode(app, instances.as_ref());
    count(app, instances.as_ref());
    identity(app);
    if app.record.flag("autostart") == Some(false) {
        app.remark("autostart", "every app of the file is started; take the app out of the file until it is wanted");
    }
}

/// Cluster mode is for several Node processes that share a port, and what PM2 chooses when `instances` is given.
fn mode(app: &mut Translation, instances: Option<&Value>) {
    let given = app.record.text("exec_mode");
    let usual = instances.is_some_and(|value| is_max(value) || number(value).is_some_and(|count| count >= -1));
    app.traits.is_cluster = match given.as_deref() {
        Some(mode) => mode.starts_with("cluster"),
        None => usual && app.traits.is_node,
    };
    if app.traits.is_cluster && app.traits.is_node {
        app.draft.noted("node", "cluster", "As in PM2's cluster mode: whatever port the app's code has.");
    }
}

fn is_max(instances: &Value) -> bool {
    text(instances) == "max" || number(instances) == Some(0)
}

fn count(app: &mut Translation, instances: Option<&Value>) {
    let cpus = i64::from(app.around.options.cpus.max(1));
    let (least, most) = (i64::from(defaults::WORKERS.start().get()), i64::from(defaults::WORKERS.end().get()));
    let Some(instances) = instances else { return app.draft.set("workers", 1) };
    if is_max(instances) {
        app.traits.is_many = true;
        return app.draft.set("workers", "auto");
    }
    let given = number(instances).unwrap_or(1);
    let meant = if given < 0 { cpus.saturating_add(given) } else { given }.clamp(least, most);
    app.traits.is_many = meant > 1;
    if given < 0 {
        app.draft.noted("workers", meant, &format!("PM2: {given}, that is {meant} on this machine with {cpus} CPUs."));
    } else {
        app.draft.set("workers", meant);
    }
    if given > most {
        app.remark("instances", format!("{given} are more than portreeve starts of one app, which is {most}"));
    }
}

fn identity(app: &mut Translation) {
    for (key, ours) in [("uid", "user"), ("gid", "group")] {
        let name = app.record.text(key).map(|name| name.replace('\0', ""));
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            app.draft.set(ours, name);
        }
    }
}
