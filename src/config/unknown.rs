//! Advice on a word that is not known: the nearest known one, or what the word of another program is called here.
//!
//! Pure. The table of foreign words holds what people bring along from PM2, nginx and systemd.

use std::ops::Range;

use super::fault::Fault;

/// What to say of a foreign word.
#[derive(Clone, Copy)]
enum Advice {
    /// The same thing, in the same table.
    Is(&'static str),
    /// Anything else, as a sentence.
    Say(&'static str),
}

use Advice::{Is, Say};

const ACME: &str = "portreeve does not order certificates yet: name files with `cert` and `key` in [tls]";
const NO_MODE: &str =
    "every app is a set of `workers`; node = \"cluster\" is for a Node app that ran in PM2's cluster mode as it is";
const PROFILE: &str = "a profile is a table: [app.NAME.env.production], chosen by --env production";
const FILTERED: &str = "say what is let in, not what is kept out: inherit_env = [\"PATH\", \"LANG\", \"APP_*\"]";
const OUTPUT: &str = "files for the output of the workers are named in [app.NAME.log]: `file`, `out` and `err`";
const MERGED: &str = "workers share files unless [app.NAME.log] says `per_worker = true`";
const STAMP: &str = "see [app.NAME.log]: time = \"%Y-%m-%d %H:%M:%S\"";
const SOFT: &str = "see [app.NAME.memory]: soft = \"500MiB\"";
const HARD: &str = "see [app.NAME.memory]: hard = \"800MiB\"";
const OPEN_FILES: &str = "see [app.NAME.limits]: open_files = 65536";
const WATCHED: &str = "see `watch = { paths = [\"src\"], ignore = [\"*.md\"], debounce = \"200ms\" }`";
const LINES: &str = "see [app.NAME.log]: format = \"json\"";

/// Words of other programs, written as [`plain`] does.
const FOREIGN: &[(&str, Advice)] = &[
    ("instances", Is("workers")),
    ("numprocs", Is("workers")),
    ("processes", Is("workers")),
    ("concurrency", Is("max_inflight")),
    ("script", Is("command")),
    ("cmd", Is("command")),
    ("exec", Is("command")),
    ("execstart", Is("command")),
    ("start", Is("command")),
    ("run", Is("command")),
    ("args", Say("write the arguments behind the program in `command`")),
    ("interpreter", Say("write the interpreter as the first word of `command`")),
    ("nodeargs", Say("write the arguments of node in `command`: \"node --flag server.js\"")),
    ("execmode", Say(NO_MODE)),
    ("cluster", Say(NO_MODE)),
    ("cwd", Is("directory")),
    ("dir", Is("directory")),
    ("workdir", Is("directory")),
    ("workingdirectory", Is("directory")),
    ("root", Is("directory")),
    ("environment", Is("env")),
    ("envproduction", Say(PROFILE)),
    ("envdevelopment", Say(PROFILE)),
    ("envstaging", Say(PROFILE)),
    ("envfile", Is("env_file")),
    ("envfiles", Is("env_file")),
    ("dotenv", Is("env_file")),
    ("environmentfile", Is("env_file")),
    ("filterenv", Say(FILTERED)),
    ("passenvironment", Is("inherit_env")),
    ("instancevar", Is("instance_var")),
    ("after", Is("depends_on")),
    ("requires", Is("depends_on")),
    ("wants", Is("depends_on")),
    ("dependson", Is("depends_on")),
    ("dependencies", Is("depends_on")),
    ("incrementvar", Is("increment_var")),
    ("loadcredential", Is("secrets")),
    ("credentials", Is("secrets")),
    ("uid", Is("user")),
    ("gid", Is("group")),
    ("supplementarygroups", Is("groups")),
    ("nonewprivileges", Is("no_new_privs")),
    ("oomscoreadjust", Is("oom_score_adj")),
    ("cpuquota", Is("cpu")),
    ("cpus", Is("cpu")),
    ("cpuweight", Is("cpu_weight")),
    ("cpushares", Is("cpu_weight")),
    ("limitnofile", Say(OPEN_FILES)),
    ("nofile", Say(OPEN_FILES)),
    ("ulimit", Say(OPEN_FILES)),
    ("rlimits", Is("limits")),
    ("maxmemoryrestart", Say(SOFT)),
    ("memorylimit", Say(HARD)),
    ("memorymax", Say(HARD)),
    ("memoryhigh", Say(SOFT)),
    ("cronrestart", Say("see [app.NAME.recycle]: schedule = \"30 4 * * *\"; for a job that ends: kind = \"task\"")),
    ("cron", Is("schedule")),
    ("oncalendar", Is("schedule")),
    ("type", Is("kind")),
    ("concurrencypolicy", Is("overlap")),
    ("activedeadlineseconds", Is("run_timeout")),
    ("runtimemaxsec", Is("run_timeout")),
    ("maxrequestsjitter", Is("jitter")),
    ("maxlifetime", Is("max_age")),
    ("ignorewatch", Say(WATCHED)),
    ("watchignore", Say(WATCHED)),
    ("watchdelay", Say(WATCHED)),
    ("watchoptions", Say(WATCHED)),
    ("files", Is("watch")),
    ("delay", Is("debounce")),
    ("autorestart", Say("a worker that ends is started again, unless you say restart = \"never\" or \"on-failure\"")),
    ("maxrestarts", Say("see `restart = { intensity = 10, period = \"60s\", give_up = true }`")),
    ("stopexitcodes", Say("see `restart = { stop_exit_codes = [0] }`")),
    ("startlimitburst", Say("see `restart = { intensity = 5 }`")),
    ("startlimitintervalsec", Say("see `restart = { period = \"60s\" }`")),
    ("restartsec", Say("see `restart = { delay = \"2s\" }`")),
    ("minuptime", Say("see `restart = { reset = \"60s\" }`")),
    ("expbackoffrestartdelay", Say("see `restart = { backoff_min = \"100ms\" }`")),
    ("restartdelay", Say("see `restart = { delay = \"2s\" }`")),
    ("waitready", Say("write ready = \"ipc\"")),
    ("notifyaccess", Say("the worker and its descendants are heard; see `notify`")),
    ("notificationfd", Say("write ready = { fd = 4 }")),
    ("socket", Is("listen")),
    ("shutdownwithmessage", Is("ipc")),
    ("health", Is("ready")),
    ("healthcheck", Is("ready")),
    ("healthcheckpath", Is("ready")),
    ("readiness", Is("ready")),
    ("check", Is("ready")),
    ("probe", Is("ready")),
    ("liveness", Is("live")),
    ("livenessprobe", Is("live")),
    ("dumpsignal", Say("see `live = { dump_signal = \"SIGQUIT\" }`")),
    ("hungafter", Say("see `live = { hung_after = \"30s\" }`")),
    ("watchdogsec", Is("watchdog")),
    ("watchdogusec", Is("watchdog")),
    ("watchdogsignal", Say("see `live = { dump_signal = \"SIGQUIT\" }`")),
    ("failtimeout", Say("see `live = { interval = \"5s\", successes = 2 }`")),
    ("maxfails", Say("see `live = { failures = 3 }`")),
    ("failurethreshold", Is("failures")),
    ("successthreshold", Is("successes")),
    ("periodseconds", Is("interval")),
    ("timeoutseconds", Is("timeout")),
    ("listentimeout", Is("start_timeout")),
    ("killsignal", Is("stop_signal")),
    ("signal", Is("stop_signal")),
    ("gracefultimeout", Is("drain_timeout")),
    ("listenport", Is("port")),
    ("publicport", Is("port")),
    ("disabled", Is("enabled")),
    ("errorfile", Say(OUTPUT)),
    ("outfile", Say(OUTPUT)),
    ("logfile", Say(OUTPUT)),
    ("errorlog", Say(OUTPUT)),
    ("outlog", Say(OUTPUT)),
    ("output", Say(OUTPUT)),
    ("error", Say(OUTPUT)),
    ("errfile", Say(OUTPUT)),
    ("errlog", Say(OUTPUT)),
    ("disablelogs", Say("see [app.NAME.log]: stdout = false")),
    ("mergelogs", Say(MERGED)),
    ("combinelogs", Say(MERGED)),
    ("logdateformat", Say(STAMP)),
    ("logtype", Say(LINES)),
    ("maxsize", Is("size")),
    ("retain", Is("keep")),
    ("compress", Is("gzip")),
    ("proxypass", Is("upstream")),
    ("upstreams", Is("upstream")),
    ("backend", Is("upstream")),
    ("backends", Is("upstream")),
    ("servers", Is("upstream")),
    ("target", Is("upstream")),
    ("servername", Is("hosts")),
    ("domain", Is("hosts")),
    ("domains", Is("hosts")),
    ("hostname", Is("hosts")),
    ("location", Is("path")),
    ("prefix", Is("path")),
    ("url", Is("path")),
    ("retries", Is("retry")),
    ("queue", Is("hold")),
    ("proxyconnecttimeout", Is("connect_timeout")),
    ("proxyreadtimeout", Is("response_timeout")),
    ("timeout", Is("response_timeout")),
    ("sendproxy", Is("proxy_protocol")),
    ("sendproxyv2", Is("proxy_protocol")),
    ("sslcertificate", Is("cert")),
    ("certificatefile", Is("cert")),
    ("chain", Is("cert")),
    ("sslcertificatekey", Is("key")),
    ("privatekey", Is("key")),
    ("acme", Say(ACME)),
    ("email", Say(ACME)),
    ("ssl", Is("https")),
    ("tls", Is("https")),
    ("bind", Is("http")),
    ("address", Is("http")),
    ("workerprocesses", Is("threads")),
    ("workerconnections", Is("connections")),
    ("maxconn", Is("connections")),
    ("clientmaxbodysize", Is("body_bytes")),
    ("clientheadertimeout", Is("header_timeout")),
    ("clientbodytimeout", Is("body_idle")),
    ("keepalivetimeout", Is("keepalive_idle")),
    ("sendtimeout", Is("write_stall")),
    ("limitconn", Is("connections_per_ip")),
    ("connrate", Is("connects_per_ip")),
    ("limitreq", Is("requests_per_ip")),
    ("ratelimit", Is("requests_per_ip")),
    ("http2maxconcurrentstreams", Is("h2_streams")),
    ("keepaliverequests", Is("h2_requests")),
    ("accesslog", Is("access")),
    ("apps", Is("app")),
    ("server", Is("app")),
    ("service", Is("app")),
    ("listener", Is("listen")),
];

/// The fault of a key that its table does not have.
pub(super) fn key(key: &str, span: Range<usize>, table: &str, known: &[&'static str]) -> Fault {
    let fault = Fault::error(span, format!("unknown key `{key}` in {table}"));
    let keys: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
    match (foreign(key), nearest(key, known)) {
        (Some(Is(here)), _) if known.contains(&here) => fault.label(format!("this is called `{here}` here")),
        (_, Some(near)) => fault.label(format!("did you mean `{near}`?")),
        (Some(Say(what)), None) => fault.label("not a key of portreeve").help(what),
        (_, None) => {
            fault.label("not a key of this table").help(format!("the keys of {table} are {}", keys.join(", ")))
        }
    }
}

/// Was probably one of `wanted` meant by this key?
pub(super) fn may_mean(key: &str, wanted: &[&'static str]) -> bool {
    matches!(foreign(key), Some(Is(here)) if wanted.contains(&here)) || nearest(key, wanted).is_some()
}

/// The known word that differs from `word` by no more than a slip or two, if there is one.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = plain(word);
    let distance = |known: &str| strsim::damerau_levenshtein(&word, &plain(known));
    let close = |(distance, known): &(usize, &str)| *distance * 3 <= word.len().max(known.len()) && *distance <= 3;
    known.iter().map(|known| (distance(known), *known)).filter(close).min_by_key(|(d, _)| *d).map(|(_, known)| known)
}

fn foreign(word: &str) -> Option<Advice> {
    let word = plain(word);
    FOREIGN.iter().find(|(name, _)| *name == word).map(|(_, advice)| *advice)
}

/// The word without what people vary: case, underscores, hyphens. Cut where no known word could be near any more.
fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).take(64).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["workers", "command", "directory", "env", "ready", "path", "key", "http", "https"];

    #[test]
    fn a_slip_finds_the_word_that_was_meant() {
        for (typed, meant) in [
            ("worker", "workers"),
            ("Workers", "workers"),
            ("comand", "command"),
            ("directroy", "directory"),
            ("htps", "https"),
            ("pfad", ""),
            ("x", ""),
            ("", ""),
            ("completely_else", ""),
        ] {
            assert_eq!(nearest(typed, KNOWN).unwrap_or(""), meant, "{typed}");
        }
    }

    #[test]
    fn words_of_other_programs_are_translated() {
        assert_eq!(key("instances", 0..0, "[app.web]", KNOWN).label, "this is called `workers` here");
        assert_eq!(key("workingDirectory", 0..0, "[app.web]", KNOWN).label, "this is called `directory` here");
        let args = key("args", 0..0, "[app.web]", KNOWN);
        assert!(args.help.is_some_and(|help| help.contains("`command`")));
    }

    #[test]
    fn a_translation_is_only_given_where_the_word_exists() {
        let fault = key("instances", 0..0, "[tls]", &["cert", "certificate"]);
        assert_eq!(fault.help.as_deref(), Some("the keys of [tls] are `cert`, `certificate`"));
    }

    #[test]
    fn foreign_words_are_written_as_they_are_looked_up_and_stand_once() {
        for (index, (word, _)) in FOREIGN.iter().enumerate() {
            assert_eq!(*word, plain(word));
            assert!(!FOREIGN[..index].iter().any(|(other, _)| other == word), "{word} twice");
        }
    }
}
