//! `env`, `env_*`, `port` and what PM2 adds to the environment of each instance.
//!
//! portreeve gives each worker a port of its own and the public one is in `[listen]`, so a `PORT` becomes a listener. What
//! stands in `env_production` becomes the profile `production`, and holds without one when it was asked for.

use serde_json::{Map, Value};
use toml_edit::{Array, Item, Table};

use super::Translation;
use super::record::{is_true, number, text};
use crate::config::{is_ours, profile_name};

/// Names in which a value that should not be read by everybody is kept.
const SECRET: [&str; 7] = ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "API_KEY", "PRIVATE", "CREDENTIAL"];

pub(super) fn translate(app: &mut Translation) {
    let mut variables: Map<String, Value> = app.record.take("env").map(object).unwrap_or_default();
    if let Some(port) = app.record.take("port") {
        variables.insert("PORT".to_owned(), port);
    }
    let profiles = std::mem::take(&mut app.record.profiles);
    if let Some(chosen) = app.around.options.profile.as_ref().and_then(|name| profiles.get(name)) {
        variables.extend(object(chosen.clone()));
    }
    let instance = instance_variable(app);
    app.traits.port = variables.get("PORT").and_then(|port| public_port(app, &text(port)));
    increment_variable(app, &variables);
    let mut kept = own(app, variables, &instance);
    for (name, value) in &kept {
        app.draft.within("env", name, value.as_str());
    }
    for (name, profile) in profiles {
        kept.extend(profile_table(app, &name, profile, &instance));
    }
    warn_of_secrets(app, &kept);
    inheritance(app);
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(variables) = value { variables } else { Map::new() }
}

/// Puts a profile into the file; gives its variables.
fn profile_table(app: &mut Translation, name: &str, profile: Value, instance: &str) -> Vec<(String, String)> {
    let variables = object(profile);
    let port = variables.get("PORT").map(text);
    let kept = own(app, variables, instance);
    let is_free = !app.draft.has_within("env", name);
    if profile_name(name).is_err() || !is_free {
        app.remark(&format!("env_{name}"), "cannot be the name of a profile here; write one as [app.NAME.env.PROFILE]");
        return Vec::new();
    }
    let is_chosen = app.around.options.profile.as_deref() == Some(name);
    if let Some(port) =
        port.filter(|port| !is_chosen && Some(port) != app.traits.port.map(|port| port.to_string()).as_ref())
    {
        app.remark(&format!("env_{name}.PORT"), format!("a profile has no port of its own: {port} goes into [listen]"));
    }
    if !kept.is_empty() {
        let mut table = Table::new();
        for (key, value) in &kept {
            table.insert(key, toml_edit::value(value));
        }
        app.draft.inner("env").insert(name, Item::Table(table));
    }
    kept
}

/// The variables that are the app's to set.
fn own(app: &mut Translation, variables: Map<String, Value>, instance: &str) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    for (name, value) in variables {
        let text = text(&value);
        match name.as_str() {
            "PORT" => {}
            "HOST" => app.remark("env.HOST", format!("is set by portreeve: workers listen on loopback, not on {text}")),
            name if is_ours(name) || name == instance => {
                app.remark(&format!("env.{name}"), "is set by portreeve, for each worker");
            }
            name if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') => {
                app.remark("env", format!("{name:?} cannot be in an environment"));
            }
            _ if value.is_null() => {}
            _ => kept.push((name, text)),
        }
    }
    kept
}

fn warn_of_secrets(app: &mut Translation, kept: &[(String, String)]) {
    let is_secret = |name: &str| SECRET.iter().any(|part| name.to_ascii_uppercase().contains(part));
    let names: std::collections::BTreeSet<&str> =
        kept.iter().map(|(name, _)| name.as_str()).filter(|name| is_secret(name)).collect();
    if !names.is_empty() {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let text =
            format!("there are secrets in it, it seems ({names}): let nobody else read this file, or see `secrets`");
        app.remark("env", text);
    }
}

fn public_port(app: &mut Translation, text: &str) -> Option<u16> {
    let port = text.trim().parse().ok().filter(|port| *port != 0);
    if port.is_none() {
        app.remark("env.PORT", format!("{text:?} is no port; each worker is given one of its own in PORT"));
    }
    port
}

/// The variable with the number of a worker.
fn instance_variable(app: &mut Translation) -> String {
    const USUAL: &str = "NODE_APP_INSTANCE";
    match app.record.text("instance_var") {
        None => USUAL.to_owned(),
        Some(name) if is_ours(&name) || name.contains(['=', '\0']) => {
            app.remark("instance_var", format!("{name:?} cannot be set; the number is in {USUAL}"));
            USUAL.to_owned()
        }
        Some(name) => {
            app.draft.set("instance_var", name.as_str());
            name
        }
    }
}

fn increment_variable(app: &mut Translation, variables: &Map<String, Value>) {
    match app.record.text("increment_var") {
        None => {}
        Some(name) if name == "PORT" => app.remark("increment_var", "each worker is given a PORT of its own anyway"),
        Some(name) if is_ours(&name) || name.contains(['=', '\0']) => {
            app.remark("increment_var", format!("{name:?} cannot be set"));
        }
        Some(name) if variables.get(&name).is_some_and(|base| text(base).trim().parse::<i64>().is_err()) => {
            app.remark("increment_var", format!("{name} is no number in `env`: there is nothing to count from"));
        }
        Some(name) => app.draft.set("increment_var", name),
    }
}

fn inheritance(app: &mut Translation) {
    match app.record.take("filter_env") {
        Some(Value::Bool(true)) => {
            let comment = "PM2's `filter_env: true`; programs are looked up in PATH.";
            app.draft.noted("inherit_env", ["PATH"].into_iter().collect::<Array>(), comment);
        }
        Some(filter) if is_true(&filter) || number(&filter).is_some() => {
            app.remark(
                "filter_env",
                "name the variables that are passed on, in `inherit_env`: those left out are not known",
            );
        }
        _ => {}
    }
}
