//! Which keys the tables of the file have, and which form each value has.
//!
//! What they mean, and their defaults, stand in the commented reference.

use serde_json::{Value, json};

use super::super::{bounds, defaults, deploy, node, restart, sections, streams, task, worker};
use super::forms::{
    self, Keys, amount, any, any_text, boolean, count, duration, filled, list, map, number, pattern, several, size,
    table, text, words, words_of,
};

/// The whole file.
pub(super) fn file() -> Value {
    let certificate = || table([("cert", text()), ("key", text())]);
    table([
        ("version", json!({ "const": 1 })),
        ("listen", table([("http", list(text())), ("https", list(text()))])),
        ("tls", table([("cert", text()), ("key", text()), ("certificate", list(certificate()))])),
        ("admin", table([("socket", text())])),
        ("metrics", table([("listen", text())])),
        ("proxy", table(proxy())),
        ("clients", table(clients())),
        ("limits", table(limits())),
        ("log", table(log())),
        ("app", map(app())),
    ])
}

fn proxy() -> Keys {
    let threads = any([words(["auto"]), count(&defaults::THREADS)]);
    vec![("threads", threads), ("user", text()), ("drain_timeout", duration())]
}

fn clients() -> Keys {
    vec![
        ("trusted_proxies", list(text())),
        ("proxy_protocol", list(text())),
        ("forwarded", boolean()),
        ("start_traces", boolean()),
        ("allow_headers", list(text())),
    ]
}

fn limits() -> Keys {
    let rate = || pattern("^ *[0-9]+ */ *[sm] *$");
    let rate_per_ip = || {
        let burst = table([("rate", rate()), ("burst", count(&defaults::RATE_PER_IP))]);
        any([words(["off"]), rate(), burst])
    };
    vec![
        ("connections", count(&defaults::CONNECTIONS.range)),
        ("header_bytes", size()),
        ("header_count", count(&defaults::HEADER_COUNT.range)),
        ("body_bytes", any([words(["unlimited"]), size()])),
        ("handshake_timeout", duration()),
        ("header_timeout", duration()),
        ("body_idle", duration()),
        ("body_rate", any([words(["off"]), size()])),
        ("write_stall", duration()),
        ("keepalive_idle", duration()),
        ("h2_streams", count(&defaults::H2_STREAMS.range)),
        ("h2_requests", count(&defaults::H2_REQUESTS.range)),
        ("handshakes", count(&defaults::HANDSHAKES.range)),
        ("connections_per_ip", any([words(["off"]), count(&defaults::CONNECTIONS_PER_IP.range)])),
        ("connects_per_ip", rate_per_ip()),
        ("requests_per_ip", rate_per_ip()),
        ("exempt", list(text())),
    ]
}

fn log() -> Keys {
    let access = table([("path", text()), ("format", words_of(&sections::FORMATS))]);
    vec![("level", text()), ("format", words_of(&sections::FORMATS)), ("access", any([text(), access]))]
}

/// An app of any kind: it has a command, or servers that something else runs.
fn app() -> Value {
    let keys = [place(), program(), environment(), contract(), life(), forwarding()];
    let mut app = table(keys.into_iter().flatten());
    app["oneOf"] = json!([{ "required": ["command"] }, { "required": ["upstream"] }]);
    app
}

/// What it is for, and which requests are for it.
fn place() -> Keys {
    vec![
        ("kind", words_of(&task::KINDS)),
        ("hosts", filled(text())),
        ("path", text()),
        ("port", filled(any([count(&(0..=u16::MAX)), text()]))),
        ("enabled", boolean()),
        ("depends_on", list(text())),
        ("upstream", filled(text())),
        ("schedule", text()),
        ("overlap", any([boolean(), words_of(&task::OVERLAPS)])),
        ("run_timeout", duration()),
    ]
}

/// What is run, by whom, and within which bounds.
fn program() -> Keys {
    let word = any([words(["unlimited"]), count(&defaults::LIMIT_COUNT), size(), duration()]);
    let both = json!({ "required": ["soft", "hard"] });
    let limit = || {
        let mut pair = table([("soft", word.clone()), ("hard", word.clone())]);
        pair["required"] = both["required"].clone();
        any([word.clone(), pair])
    };
    let memory = table([("soft", amount()), ("hard", amount()), ("interval", duration())]);
    vec![
        ("command", any([text(), several(any_text())])),
        ("shell", boolean()),
        ("directory", text()),
        ("workers", any([words(["auto"]), count(&defaults::WORKERS)])),
        ("user", text()),
        ("group", text()),
        ("groups", list(text())),
        ("umask", pattern("^[0-7]{3,4}$")),
        ("nice", count(&defaults::NICE)),
        ("oom_score_adj", count(&defaults::OOM_SCORE_ADJ)),
        ("no_new_privs", boolean()),
        ("on_supervisor_death", words_of(&bounds::ON_DEATH)),
        ("cpu", any([number(), pattern("^.*%$")])),
        ("cpu_weight", count(&defaults::CPU_WEIGHT)),
        ("limits", table(bounds::Limited::ALL.iter().map(|(key, _)| (*key, limit())))),
        ("memory", memory),
    ]
}

fn environment() -> Keys {
    let file = table([("path", text()), ("optional", boolean())]);
    let secret = table([("file", text()), ("credential", text()), ("as", words(["value", "file"]))]);
    vec![
        ("env", map(any([any_text(), map(any_text())]))),
        ("env_file", list(any([text(), file]))),
        ("inherit_env", any([boolean(), several(text()), map(any_text())])),
        ("secrets", map(any([text(), secret]))),
        ("instance_var", text()),
        ("increment_var", text()),
    ]
}

/// What a worker is given, and what it says.
fn contract() -> Keys {
    let modes = table([("mode", words_of(&node::MODES)), ("port", count(&node::PORTS)), ("disconnect", boolean())]);
    let own = [("fd", count(&defaults::READY_DESCRIPTOR)), ("uptime", duration())];
    vec![
        ("listen", words(["port", "inherit", "unix"])),
        ("ipc", boolean()),
        ("notify", boolean()),
        ("watchdog", any([words(["off"]), duration()])),
        ("node", any([words_of(&node::MODES), modes])),
        ("ready", any([words(["tcp", "ipc", "notify"]), table(probe().into_iter().chain(own))])),
    ]
}

/// How somebody is asked.
fn probe() -> Keys {
    vec![
        ("http", text()),
        ("host", text()),
        ("tcp", boolean()),
        ("interval", duration()),
        ("timeout", duration()),
        ("successes", count(&defaults::PROBE_SUCCESSES.range)),
        ("failures", count(&defaults::PROBE_FAILURES.range)),
    ]
}

/// How long things may take, and what follows when a worker ends, is old, or hangs.
fn life() -> Keys {
    let signal = || forms::signal(&worker::SIGNALS);
    let or_never = || any([words(["never"]), duration()]);
    let more =
        [("replace_after", or_never()), ("hung_after", or_never()), ("dump_signal", any([words(["none"]), signal()]))];
    let recycle = [
        ("max_age", duration()),
        ("max_requests", count(&defaults::MAX_REQUESTS)),
        ("jitter", pattern("^[0-9]+ *%$")),
        ("schedule", text()),
    ];
    let watch = [("paths", filled(text())), ("ignore", list(text())), ("debounce", duration())];
    vec![
        ("start_timeout", duration()),
        ("drain_timeout", duration()),
        ("idle_timeout", any([words(["off"]), duration()])),
        ("streams", words_of(&streams::POLICIES)),
        ("stream_spread", duration()),
        ("kill_timeout", duration()),
        ("stop_signal", signal()),
        ("warmup", filled(text())),
        ("warmup_timeout", duration()),
        ("slow_start", duration()),
        ("deploy", table(deploys())),
        ("restart", any([words_of(&restart::POLICIES), table(restarts())])),
        ("recycle", table(recycle)),
        ("live", any([words(["off"]), table(probe().into_iter().chain(more))])),
        ("watch", any([boolean(), filled(text()), table(watch)])),
        ("log", table(output())),
    ]
}

/// How a new generation comes into service.
fn deploys() -> Keys {
    let part = || any([count(&defaults::PART), pattern("^[0-9]+ *%$")]);
    vec![
        ("strategy", words_of(&deploy::STRATEGIES)),
        ("max_surge", any([words(["auto"]), part()])),
        ("max_unavailable", part()),
        ("reserve", any([words(["auto"]), amount()])),
        ("on_no_room", words_of(&deploy::WITHOUT_ROOM)),
        ("progress_deadline", duration()),
        ("pre_promote", any([any_text(), filled(any_text())])),
        ("post_promote", any([any_text(), filled(any_text())])),
        ("hook_timeout", duration()),
        ("bake", duration()),
        ("retain", duration()),
        ("canary", pattern("^[0-9]+(\\.[0-9]{1,2})? *%$")),
        ("canary_bake", duration()),
        ("consistent", boolean()),
    ]
}

fn restarts() -> Keys {
    vec![
        ("policy", words_of(&restart::POLICIES)),
        ("stop_exit_codes", list(count(&defaults::EXIT_CODES))),
        ("delay", duration()),
        ("backoff_min", duration()),
        ("backoff_max", duration()),
        ("reset", duration()),
        ("intensity", any([words(["auto"]), count(&defaults::INTENSITY)])),
        ("period", duration()),
        ("retry", duration()),
        ("give_up", boolean()),
    ]
}

/// What workers print.
fn output() -> Keys {
    let rotate = [
        ("size", any([words(["unlimited"]), size()])),
        ("age", any([words(["unlimited"]), duration()])),
        ("keep", count(&defaults::ROTATE_KEEP.range)),
        ("gzip", boolean()),
    ];
    vec![
        ("file", text()),
        ("out", text()),
        ("err", text()),
        ("format", words_of(&sections::FORMATS)),
        ("time", any([boolean(), text()])),
        ("per_worker", boolean()),
        ("stdout", boolean()),
        ("rotate", any([words(["off"]), table(rotate)])),
    ]
}

/// How requests are forwarded.
fn forwarding() -> Keys {
    let hold = [
        ("requests", count(&defaults::HOLD_REQUESTS.range)),
        ("time", duration()),
        ("shed_after", any([words(["off"]), duration()])),
    ];
    vec![
        ("max_inflight", any([words(["unlimited"]), count(&defaults::MAX_INFLIGHT)])),
        ("body_bytes", any([words(["unlimited"]), size()])),
        ("hold", table(hold)),
        ("connect_timeout", duration()),
        ("response_timeout", any([words(["unlimited"]), duration()])),
        ("keepalive", duration()),
        ("proxy_protocol", boolean()),
        ("retry", table([("idempotency_key", boolean())])),
        ("request_start", boolean()),
    ]
}
