//! The list of a running PM2, turned back into what was configured.
//!
//! PM2 keeps one record a process with every setting resolved and the whole environment of the shell that started it. Kept
//! is what differs from PM2's defaults and, of the environment, what neither the shell of whoever asks nor PM2 itself puts
//! there: a list of all variables of a login would be a list of its secrets.

use serde_json::{Map, Value, json};

use super::Options;
use super::record::{number, text};

/// Settings that stand in a record under the name that they are configured with.
const SAME: &[&str] = &[
    "name",
    "args",
    "node_args",
    "exec_mode",
    "instance_var",
    "increment_var",
    "uid",
    "gid",
    "autorestart",
    "wait_ready",
    "listen_timeout",
    "kill_timeout",
    "shutdown_with_message",
    "stop_exit_codes",
    "restart_delay",
    "exp_backoff_restart_delay",
    "max_restarts",
    "min_uptime",
    "cron_restart",
    "max_memory_restart",
    "watch",
    "ignore_watch",
    "merge_logs",
    "log_date_format",
    "log_type",
];

/// What PM2 fills in by itself.
const DEFAULTS: &[(&str, &str)] = &[
    ("autorestart", "true"),
    ("instance_var", "NODE_APP_INSTANCE"),
    ("namespace", "default"),
    ("max_restarts", "16"),
    ("min_uptime", "1000"),
    ("restart_delay", "0"),
    ("exp_backoff_restart_delay", "0"),
    ("watch", "false"),
    ("treekill", "true"),
    ("merge_logs", "false"),
    ("args", "[]"),
    ("node_args", "[]"),
    ("stop_exit_codes", "[]"),
    ("ignore_watch", "[]"),
    ("cron_restart", "0"),
];

/// Variables of a login, and those that PM2 sets.
const OF_SESSIONS: &[&str] = &[
    "PATH",
    "HOME",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "SHELL",
    "USER",
    "LOGNAME",
    "MAIL",
    "TERM",
    "COLORTERM",
    "LS_COLORS",
    "LANG",
    "LANGUAGE",
    "TZ",
    "HOSTNAME",
    "DISPLAY",
    "EDITOR",
    "PAGER",
    "LESSOPEN",
    "LESSCLOSE",
    "TMUX",
    "STY",
    "_",
    "pm_id",
    "unique_id",
    "NODE_APP_INSTANCE",
    "name",
    "status",
    "vizion",
    "automation",
    "namespace",
    "DBUS_SESSION_BUS_ADDRESS",
];
const PREFIXES_OF_SESSIONS: &[&str] =
    &["PM2_", "pm2_", "SSH_", "XDG_", "LC_", "SUDO_", "npm_", "NVM_", "TMUX_", "GPG_", "axm_", "pm_"];

/// What was configured, as an ecosystem file would say it.
///
/// # Errors
/// A sentence: it is not PM2's list.
pub(in super::super) fn configured(list: &Value, options: &Options) -> Result<Value, String> {
    let records = list.as_array().ok_or("it is not a list of processes")?;
    // `jlist` has the settings in a record of their own, the saved list has them beside the rest.
    let settings = |record: &Value| record.get("pm2_env").unwrap_or(record).as_object().cloned();
    let processes: Vec<Map<String, Value>> = records.iter().filter_map(settings).collect();
    let is_module = |process: &Map<String, Value>| {
        process.contains_key("axm_options") && process.get("pmx_module") == Some(&json!(true))
    };
    let mut apps: Vec<(Map<String, Value>, u32)> = Vec::new();
    for process in processes.into_iter().filter(|process| !is_module(process)) {
        match apps.iter_mut().find(|(first, _)| is_one_app(first, &process)) {
            Some((_, count)) => *count += 1,
            None => apps.push((process, 1)),
        }
    }
    let apps: Vec<Value> = apps.iter().map(|(process, count)| app(process, *count, options)).collect();
    if apps.is_empty() { Err("PM2 runs no app".to_owned()) } else { Ok(json!({ "apps": apps })) }
}

fn is_one_app(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    ["name", "pm_exec_path"].iter().all(|key| one.get(*key) == other.get(*key))
}

fn app(process: &Map<String, Value>, count: u32, options: &Options) -> Value {
    let mut app = Map::new();
    for key in SAME {
        let Some(value) = process.get(*key).filter(|value| !value.is_null()) else { continue };
        if !DEFAULTS.iter().any(|(name, usual)| name == key && text(value) == *usual) {
            app.insert((*key).to_owned(), value.clone());
        }
    }
    let mut put = |key: &str, value: Option<&Value>| {
        if let Some(value) = value {
            app.insert(key.to_owned(), value.clone());
        }
    };
    let folder = process.get("pm_cwd").map(text).unwrap_or_default();
    let script = process.get("pm_exec_path").map(|path| beneath(&text(path), &folder));
    put("script", script.map(Value::String).as_ref());
    put("cwd", process.get("pm_cwd"));
    put("interpreter", process.get("exec_interpreter"));
    let is_max =
        process.get("instances").is_some_and(|instances| number(instances) == Some(0) || text(instances) == "max");
    put("instances", Some(&if is_max { json!("max") } else { json!(count) }));
    for (key, path) in [("out_file", "pm_out_log_path"), ("error_file", "pm_err_log_path"), ("log_file", "pm_log_path")]
    {
        put(
            key,
            process.get(path).filter(|path| !is_default_log(&text(path))).map(|path| unnumbered(path, count)).as_ref(),
        );
    }
    app.insert("env".to_owned(), Value::Object(variables(process, options)));
    Value::Object(app)
}

/// The path as seen from the folder, if it is within.
fn beneath(path: &str, folder: &str) -> String {
    let inner = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    inner.filter(|_| !folder.is_empty()).unwrap_or(path).to_owned()
}

/// Files that nobody named are in PM2's own folder.
fn is_default_log(path: &str) -> bool {
    path.contains("/.pm2/logs/")
}

/// PM2 puts the number of the process into the name of the file that was configured.
fn unnumbered(path: &Value, count: u32) -> Value {
    let path = text(path);
    let plain = path.rsplit_once('-').filter(|_| count > 1).and_then(|(name, end)| {
        let (number, ending) = end.split_once('.')?;
        number.parse::<u32>().is_ok().then(|| format!("{name}.{ending}"))
    });
    Value::String(plain.unwrap_or(path))
}

fn variables(process: &Map<String, Value>, options: &Options) -> Map<String, Value> {
    let all = process.get("env").and_then(Value::as_object).cloned().unwrap_or_default();
    let is_own = |name: &str, value: &Value| {
        let is_of_session =
            OF_SESSIONS.contains(&name) || PREFIXES_OF_SESSIONS.iter().any(|prefix| name.starts_with(prefix));
        // What PM2 leaks of its record has the app's own settings in it.
        let is_leaked = process.get(name) == Some(value) && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        // The settings of PM2's modules stand under the app's own name.
        let is_module = process.get("name").is_some_and(|app| text(app) == name);
        !is_of_session
            && !is_leaked
            && !is_module
            && options.environment.get(name) != Some(&text(value))
            && !value.is_object()
    };
    all.into_iter().filter(|(name, value)| is_own(name, value)).collect()
}
