//! Log files: `out_file`, `error_file`, `log_file` and how their lines look.
//!
//! PM2 without any of them writes to files in its own folder; portreeve to its own output, where the service manager
//! takes it. Rotation is built in, and has its defaults here.

use std::collections::BTreeMap;

use super::super::{ImportedApp, Remark};
use super::Translation;
use super::record::{is_true, text};
use super::time_format::strftime;

/// PM2's keys and ours.
const FILES: [(&str, &str); 3] = [("log_file", "file"), ("out_file", "out"), ("error_file", "err")];

/// What PM2's `time: true` looks like.
const USUAL_TIME: &str = "%Y-%m-%dT%H:%M:%S";

pub(super) fn translate(app: &mut Translation) {
    let mut has_files = false;
    for (key, ours) in FILES {
        let Some(value) = app.record.take(key) else { continue };
        has_files |= file(app, key, ours, &value);
    }
    if app.record.flag("disable_logs") == Some(true) {
        app.draft.within("log", "stdout", false);
        has_files.then(|| app.remark("disable_logs", "has no meaning beside the files that are named"));
    }
    let is_merged = app.record.flag("merge_logs").unwrap_or(false);
    if has_files && !is_merged && app.traits.is_many {
        app.draft.within("log", "per_worker", true);
    }
    lines(app, has_files);
}

/// Whether a file is named.
fn file(app: &mut Translation, key: &str, ours: &str, value: &serde_json::Value) -> bool {
    let path = text(value);
    if value.is_boolean() {
        if is_true(value) {
            app.remark(key, "PM2's own folder is not used; name a file");
        }
        return false;
    }
    if path.is_empty() || path.contains('\0') {
        return false;
    }
    let path = match path.as_str() {
        "NULL" | "/dev/null" => "/dev/null".to_owned(),
        path => app.relative(&app.directory.join(path)),
    };
    app.draft.within("log", ours, path);
    true
}

/// How lines look; without a file these keys mean nothing.
fn lines(app: &mut Translation, has_files: bool) {
    let is_json = app.record.text("log_type").as_deref() == Some("json");
    let date = app.record.text("log_date_format");
    let is_timed = app.record.flag("time") == Some(true);
    if !has_files {
        if is_json || date.is_some() || is_timed {
            app.remark("log_date_format", "there is no log file; how lines look on portreeve's own output is in [log]");
        }
        return;
    }
    if is_json {
        return app.draft.within("log", "format", "json");
    }
    let format = date.map(|date| (strftime(&date), date));
    match format {
        Some((Some(format), _)) => app.draft.within("log", "time", format),
        Some((None, date)) => {
            app.remark("log_date_format", format!("{date:?} has nothing in it that stands for a time; see `time`"));
            app.draft.within("log", "time", true);
        }
        None if is_timed => app.draft.within("log", "time", USUAL_TIME),
        None => {}
    }
}

/// One file belongs to one app; PM2 lets several write to it.
pub(super) fn keep_files_apart(apps: &mut [ImportedApp]) {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for app in apps {
        let Some(log) = app.table.get_mut("log").and_then(|log| log.as_table_mut()) else { continue };
        for (key, ours) in FILES {
            let path = log.get(ours).and_then(|path| path.as_str()).map(str::to_owned);
            let Some(path) = path.filter(|path| path != "/dev/null") else { continue };
            let owner = owners.entry(path.clone()).or_insert_with(|| app.name.to_string());
            if owner != app.name.as_str() {
                let own = format!("{}-{}", app.name, file_name(&path));
                let text = format!("{path} is written by {owner}, and two apps cannot share a file: it is {own} here");
                app.remarks.push(Remark::new(key, text));
                log.insert(ours, toml_edit::value(beside(&path, &own)));
            }
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn beside(path: &str, name: &str) -> String {
    path.rsplit_once('/').map_or_else(|| name.to_owned(), |(folder, _)| format!("{folder}/{name}"))
}
