//! Which files are watched: `watch` and the keys that go with it.
//!
//! PM2 ignores what `ignore_watch` says in place of its own list; here it comes on top of ours, which is meant for the same.

use globset::Glob;
use serde_json::Value;
use toml_edit::InlineTable;

use super::Translation;
use super::record::is_true;
use super::units::bounded;
use crate::config::defaults;
use crate::import::draft::list;

pub(super) fn translate(app: &mut Translation) {
    let watch = app.record.take("watch").filter(is_true);
    let ignore = app.record.take("ignore_watch").filter(is_true);
    let delay = app.record.millis("watch_delay").filter(|delay| !delay.is_zero());
    if app.record.take("watch_options").is_some_and(|options| is_true(&options)) {
        app.remark("watch_options", "is for PM2's own library; see `ignore` and `debounce` of `watch`");
    }
    let Some(watch) = watch else {
        let idle = [("ignore_watch", ignore.is_some()), ("watch_delay", delay.is_some())];
        return idle.into_iter().filter(|(_, said)| *said).for_each(|(key, _)| app.remark(key, "goes with `watch`"));
    };
    let paths = if watch == Value::Bool(true) { Vec::new() } else { texts(&watch) };
    let mut table = InlineTable::new();
    if !paths.is_empty() {
        table.insert("paths", list(&paths));
    }
    if let Some(ignore) = ignore {
        let all = texts(&ignore);
        let good: Vec<_> = all.iter().filter(|pattern| Glob::new(pattern).is_ok()).cloned().collect();
        if good.len() < all.len() {
            app.remark("ignore_watch", "what is no pattern of files is left out; see `ignore` of `watch`");
        }
        table.insert("ignore", list(&good));
    }
    if let Some(delay) = delay {
        table.insert("debounce", bounded(delay, &defaults::DEBOUNCE.range).0.into());
    }
    match (table.len(), paths.is_empty()) {
        (0, _) => app.draft.set("watch", true),
        (1, false) => app.draft.set("watch", list(&paths)),
        _ => app.draft.set("watch", table),
    }
}

/// Those that can be paths.
fn texts(value: &Value) -> Vec<String> {
    let items = if let Value::Array(items) = value { items.as_slice() } else { std::slice::from_ref(value) };
    items
        .iter()
        .filter_map(Value::as_str)
        .filter(|text| !text.is_empty() && !text.contains('\0'))
        .map(str::to_owned)
        .collect()
}
