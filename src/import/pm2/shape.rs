//! The shapes that a configuration of PM2 may have: `{ apps }`, `{ pm2 }`, a list, one app.
//!
//! What has a `script` is an app; what stands beside the apps is named with the reason why it is left out.

use serde_json::{Map, Value};

use super::super::Remark;

/// The apps of a configuration.
pub(super) struct Shaped {
    pub(super) apps: Vec<Map<String, Value>>,
    pub(super) remarks: Vec<Remark>,
}

/// Finds the apps.
///
/// # Errors
/// A sentence that says what was found instead.
pub(super) fn apps(value: &Value) -> Result<Shaped, String> {
    let mut remarks = Vec::new();
    let list = match value {
        Value::Array(list) => list.clone(),
        Value::Object(file) => match file.get("apps").or_else(|| file.get("pm2")) {
            Some(apps) => {
                remarks.extend(file.keys().filter_map(|key| beside(key)));
                apps.as_array().cloned().unwrap_or_else(|| vec![apps.clone()])
            }
            None => vec![value.clone()],
        },
        _ => return Err("it is no object with `apps` in it, and no list of apps".to_owned()),
    };
    let count = list.len();
    let apps: Vec<_> = list.into_iter().filter_map(app).collect();
    if apps.is_empty() {
        return Err("there is no app in it: every app has a `script`".to_owned());
    }
    if apps.len() < count {
        remarks
            .push(Remark::new("apps", format!("{} of {count} have no `script` and are left out", count - apps.len())));
    }
    Ok(Shaped { apps, remarks })
}

/// What has a script is an app.
fn app(value: Value) -> Option<Map<String, Value>> {
    let Value::Object(app) = value else { return None };
    let is_script = |key: &str| matches!(super::keys::kind(key), super::keys::Kind::Known("script"));
    app.iter().any(|(key, value)| is_script(key) && (value.is_string() || value.is_array())).then_some(app)
}

/// What stands in the file beside the apps.
fn beside(key: &str) -> Option<Remark> {
    let why = match key {
        "apps" | "pm2" => return None,
        "deploy" => "portreeve does not fetch releases; a reload follows the symlink in `directory`",
        "static" => "portreeve does not serve files by itself; keep the server that does, or let the app do it",
        _ => "not a key of PM2, which ignores it too",
    };
    Some(Remark::new(key, why))
}
