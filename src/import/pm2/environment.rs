//! `env`, `env_*`, `port` and what PM2 adds to the environment of each instance.
//!
//! portreeve gives each worker a port of its own and the public one is in `[listen]`, so a `PORT` becomes a listener.

use serde_json::{Map, Value};

use super::Translation;
use super::record::text;

/// Set by portreeve for each worker.
const OURS: [&str; 4] = ["PORT", "HOST", "NODE_APP_INSTANCE", "NODE_UNIQUE_ID"];

/// Parts of names whose values should not be read by everybody.
const SECRET: [&str; 7] = ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "API_KEY", "PRIVATE", "CREDENTIAL"];

pub(super) fn translate(app: &mut Translation) {
    let base = app.record.take("env").map(object).unwrap_or_default();
    let mut variables: Map<String, Value> = base;
    if let Some(port) = app.record.take("port") {
        variables.insert("PORT".to_owned(), port);
    }
    profiles(app, &mut variables);
    instance_variables(app);
    if app.record.take("filter_env").is_some_and(|filter| super::record::is_true(&filter)) {
        app.remark("filter_env", "workers inherit the environment that `portreeve run` is started with, all of it");
    }
    let secrets: Vec<String> = variables.keys().filter(|name| is_secret(name)).cloned().collect();
    for (name, value) in variables {
        variable(app, &name, &value);
    }
    if !secrets.is_empty() {
        app.remark(
            "env",
            format!("there are secrets in it, it seems ({}): let nobody else read this file", secrets.join(", ")),
        );
    }
}

/// The variables of the chosen profile win; those of others are only named.
fn profiles(app: &mut Translation, variables: &mut Map<String, Value>) {
    let chosen = app.around.options.profile.clone();
    for (name, value) in std::mem::take(&mut app.record.profiles) {
        if chosen.as_deref() == Some(name.as_str()) {
            variables.extend(object(value));
        } else {
            let only = object(value).keys().cloned().collect::<Vec<_>>().join(", ");
            let text =
                format!("is left out with its variables {only}; import with `--env {name}` to have them in `env`");
            app.remark(&format!("env_{name}"), text);
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(variables) = value { variables } else { Map::new() }
}

fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    SECRET.iter().any(|part| upper.contains(part))
}

fn variable(app: &mut Translation, name: &str, value: &Value) {
    let text = text(value);
    let is_ours = name.starts_with("PORTREEVE_") || name.starts_with("NODE_CHANNEL_") || OURS.contains(&name);
    match name {
        "PORT" => app.traits.port = port(app, &text),
        "HOST" => app.remark("env.HOST", format!("is set by portreeve: workers listen on loopback, not on {text}")),
        _ if is_ours => app.remark(&format!("env.{name}"), "is set by portreeve, for each worker"),
        _ if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') => {
            app.remark("env", format!("{name:?} cannot be in an environment"));
        }
        _ if value.is_null() => {}
        _ => app.draft.within("env", name, text),
    }
}

fn port(app: &mut Translation, text: &str) -> Option<u16> {
    let port = text.trim().parse().ok().filter(|port| *port != 0);
    if port.is_none() {
        app.remark("env.PORT", format!("{text:?} is no port; each worker is given one of its own in PORT"));
    }
    port
}

fn instance_variables(app: &mut Translation) {
    match app.record.text("increment_var").as_deref() {
        None | Some("PORT") => {}
        Some(name) => {
            let text = format!("{name} is the same in all workers; what differs is PORTREEVE_SLOT, counted from 0");
            app.remark("increment_var", text);
        }
    }
    match app.record.text("instance_var").as_deref() {
        None | Some("NODE_APP_INSTANCE" | "PORTREEVE_SLOT") => {}
        Some(name) => {
            app.remark("instance_var", format!("{name} is not set; NODE_APP_INSTANCE and PORTREEVE_SLOT are, from 0"));
        }
    }
}
