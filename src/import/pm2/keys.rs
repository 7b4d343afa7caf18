//! The keys that an app of PM2 may have, by the names that PM2 itself takes them under, and those that mean nothing here.
//!
//! PM2 accepts each key in `snake_case` and `camelCase`, so names are compared without case and underscores.

/// A key's own name, and the others that it is known by; all without underscores, in lower case.
const KEYS: &[(&str, &[&str])] = &[
    ("name", &[]),
    ("script", &["exec", "cmd", "command"]),
    ("args", &[]),
    ("cwd", &[]),
    ("interpreter", &["execinterpreter"]),
    ("node_args", &["nodeargs", "interpreterargs"]),
    ("exec_mode", &["execmode"]),
    ("instances", &[]),
    ("instance_var", &["instancevar"]),
    ("increment_var", &["incrementvar"]),
    ("port", &[]),
    ("env", &[]),
    ("filter_env", &["filterenv"]),
    ("uid", &["user"]),
    ("gid", &[]),
    ("autorestart", &[]),
    ("autostart", &[]),
    ("treekill", &[]),
    ("wait_ready", &["waitready"]),
    ("listen_timeout", &["listentimeout"]),
    ("kill_timeout", &["killtimeout"]),
    ("shutdown_with_message", &["shutdownwithmessage"]),
    ("stop_exit_codes", &["stopexitcodes"]),
    ("restart_delay", &["restartdelay"]),
    ("exp_backoff_restart_delay", &["expbackoffrestartdelay"]),
    ("max_restarts", &["maxrestarts"]),
    ("min_uptime", &["minuptime"]),
    ("cron_restart", &["cronrestart", "cron"]),
    ("max_memory_restart", &["maxmemoryrestart"]),
    ("watch", &[]),
    ("ignore_watch", &["ignorewatch"]),
    ("watch_delay", &["watchdelay"]),
    ("watch_options", &["watchoptions"]),
    ("out_file", &["outfile", "out", "output", "outlog"]),
    ("error_file", &["errorfile", "error", "err", "errfile", "errlog", "errorlog"]),
    ("log_file", &["logfile", "log"]),
    ("merge_logs", &["mergelogs", "combinelogs"]),
    ("disable_logs", &["disablelogs"]),
    ("log_date_format", &["logdateformat"]),
    ("time", &[]),
    ("log_type", &["logtype"]),
    ("append_env_to_name", &["appendenvtoname"]),
    ("name_prefix", &["nameprefix"]),
    // Ours: PM2 overlooks what it does not know, so a file may say it for both.
    ("kind", &[]),
];

/// Keys without a meaning here, with the reason.
const IDLE: &[(&str, &str)] = &[
    ("namespace", "there are no namespaces: apps are named one by one, or all of them at once"),
    ("disablesourcemapsupport", "portreeve adds nothing to node; for source maps write `node --enable-source-maps`"),
    ("sourcemapsupport", "portreeve adds nothing to node; for source maps write `node --enable-source-maps`"),
    ("pmx", "no agent is put into the app; metrics are at [metrics]"),
    ("automation", "no agent is put into the app; metrics are at [metrics]"),
    ("trace", "no agent is put into the app; metrics are at [metrics]"),
    ("io", "no agent is put into the app; metrics are at [metrics]"),
    ("vizion", "nothing is read from git"),
    ("git", "nothing is read from git"),
    ("killretrytime", "the end of a process is an event here, nothing is asked for again and again"),
    ("pidfile", "no pid files are written; `portreeve status --json` has the pids"),
    ("pid", "no pid files are written; `portreeve status --json` has the pids"),
    ("force", "a name stands for one app"),
    ("updateenv", "the environment is that of the file, with every reload"),
    ("windowshide", "is for another system"),
    ("deploy", "portreeve does not fetch releases; a reload follows the symlink in `directory`"),
    ("postupdate", "portreeve does not fetch releases"),
    ("version", "is only shown by PM2"),
    ("nodaemon", "`portreeve run` stays in the foreground"),
    ("daemon", "`portreeve run` stays in the foreground"),
];

/// What a key of a configuration is.
pub(super) enum Kind<'a> {
    Known(&'static str),
    /// Variables for `--env` with this name.
    Profile(&'a str),
    Idle(&'static str),
    Unknown,
}

pub(super) fn kind(key: &str) -> Kind<'_> {
    let plain: String = key.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect();
    let named =
        |(name, others): &&(&'static str, &[&str])| name.replace('_', "") == plain || others.contains(&plain.as_str());
    if let Some((name, _)) = KEYS.iter().find(named) {
        return Kind::Known(name);
    }
    if let Some(profile) = key.strip_prefix("env_").filter(|profile| !profile.is_empty()) {
        return Kind::Profile(profile);
    }
    IDLE.iter().find(|(name, _)| *name == plain).map_or(Kind::Unknown, |(_, why)| Kind::Idle(why))
}

/// Every name under which PM2 takes a key; for tests.
#[cfg(test)]
pub(super) fn all() -> Vec<&'static str> {
    let known = KEYS.iter().flat_map(|(name, others)| others.iter().copied().chain([*name]));
    known.chain(IDLE.iter().map(|(name, _)| *name)).collect()
}
