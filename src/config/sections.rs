//! The tables of the file, one function for each, from `[listen]` to `[log]`; the apps have a file of their own.
//!
//! Each function gives what is meant, defaults filled in, and leaves what is wrong with its table to record it.
//! What two tables have to do with each other is none of their business: see `conflicts`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

use super::fault::Fault;
use super::reader::Table;
use super::value::{self, Value};
use super::{AccessLog, Admin, App, CertificateFiles, Config, Listen, Log, LogFormat, Metrics, Proxy, Said, Text};
use super::{app, clients, defaults, home, limits, names, unknown};
use crate::id::{AppName, BadAppName};

const PAIR: &str = "`cert` and `key` go together; both name PEM files";
/// How apps are written.
const NAMED: &str = "every app has a name: write [app.web] above its keys";
pub(super) const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// The whole file; `path` is its own, absolute, and its directory that of relative paths.
pub(super) fn file(table: &mut Table, path: PathBuf) -> Config {
    let base = path.parent().unwrap_or(Path::new("/")).to_owned();
    let _ = table.take("version", version);
    let apps = apps(table, &base);
    let is_routed = apps.values().any(App::is_routed);
    Config {
        path,
        // Chosen by whoever starts portreeve, not by the file.
        profile: None,
        listen: table.section("listen", |table| listen(table, is_routed)),
        certificates: table.section("tls", |table| certificates(table, &base)),
        admin: table.section("admin", |table| admin(table, &base)),
        metrics: table.section("metrics", metrics),
        proxy: table.section("proxy", proxy),
        clients: table.section("clients", clients::clients),
        limits: table.section("limits", limits::limits),
        log: table.section("log", |table| log(table, &base)),
        apps,
        text: Text::default(),
    }
}

/// Of the format; there is one.
fn version(value: Value) -> Result<(), Fault> {
    let expected = "1, the only format that there is";
    value.integer().filter(|version| *version == 1).map(drop).ok_or_else(|| {
        value.mismatch(expected).label("of another format").help("this file may be from a newer portreeve")
    })
}

/// `is_routed`: some app is to be found by host and path, and so needs a listener here.
fn listen(table: &mut Table, is_routed: bool) -> Listen {
    let is_silent = !table.has("http") && !table.has("https");
    let (mut listen, is_clean) = table.judged(|table| Listen {
        http: table.list("http", names::listen_address),
        https: table.list("https", names::listen_address),
    });
    if is_silent && is_routed {
        listen.http.push(defaults::HTTP_LISTEN);
    } else if !is_silent && is_routed && is_clean && listen.http.is_empty() && listen.https.is_empty() {
        let fault = Fault::error(table.span_of("http"), "portreeve would listen nowhere").label("no address in here");
        table.report(fault.help("leave `http` and `https` out to listen on 127.0.0.1:8080"));
    }
    listen
}

/// `cert` and `key` of the table itself come first: they answer clients that name no known server.
fn certificates(table: &mut Table, base: &Path) -> Vec<CertificateFiles> {
    let first = certificate(table, base);
    let mut all = table.sections("certificate", |table| {
        if !table.has("cert") && !table.has("key") {
            table.report_missing(&["cert"], PAIR);
            table.report_missing(&["key"], PAIR);
        }
        certificate(table, base)
    });
    all.insert(0, first);
    all.into_iter().flatten().collect()
}

fn certificate(table: &mut Table, base: &Path) -> Option<CertificateFiles> {
    for (given, other) in [("cert", "key"), ("key", "cert")] {
        if table.has(given) && !table.has(other) {
            table.report_missing(&[other], PAIR);
        }
    }
    let (cert, key) = (table.path("cert", base), table.path("key", base));
    Some(CertificateFiles { cert: cert?, key: key? })
}

fn admin(table: &mut Table, base: &Path) -> Admin {
    let socket = table.take("socket", |value| value::socket_path(value, base));
    Admin { socket: socket.unwrap_or_else(home::admin_socket) }
}

fn metrics(table: &mut Table) -> Metrics {
    let listen = table.take("listen", |value| value::unless("off", value, names::listen_address));
    Metrics { listen: listen.unwrap_or(Some(defaults::METRICS_LISTEN)) }
}

fn proxy(table: &mut Table) -> Proxy {
    let threads = |value| value::unless("auto", value, |value| value::count(value, &defaults::THREADS));
    Proxy {
        threads: table.take("threads", threads).flatten(),
        user: table.take("user", value::text).map(str::to_owned),
        drain_timeout: table.duration("drain_timeout", &defaults::PROXY_DRAIN_TIMEOUT),
    }
}

fn log(table: &mut Table, base: &Path) -> Log {
    let level = table.take("level", level).unwrap_or(defaults::LOG_LEVEL).to_owned();
    let format = table.take("format", |value| value::word(value, &FORMATS)).unwrap_or(LogFormat::Text);
    Log { level, format, access: access(table, format, base) }
}

/// A level, or a filter such as `info,portreeve::proxy=debug`.
fn level(value: Value<'_>) -> Result<&str, Fault> {
    let text = value::text(value)?;
    let fault =
        |label: String| value.mismatch("a level or a filter such as \"info,portreeve::proxy=debug\"").label(label);
    // A lone word that is no level would be taken as the name of a module, and silence everything else.
    if !text.contains('=') && text.split(',').all(|word| !LEVELS.contains(&word.trim())) {
        let label = match unknown::nearest(text, &LEVELS) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("the levels are {}", LEVELS.join(", ")),
        };
        return Err(fault(label));
    }
    EnvFilter::builder().parse(text).map(|_| text).map_err(|bad| fault(bad.to_string()))
}

/// Where access lines go.
enum Access {
    Off,
    Stdout,
    File(PathBuf),
}

impl Access {
    fn with(self, format: LogFormat) -> Option<AccessLog> {
        match self {
            Self::Off => None,
            Self::Stdout => Some(AccessLog { path: None, format }),
            Self::File(path) => Some(AccessLog { path: Some(path), format }),
        }
    }
}

/// `access`: where to, as a text, or a table that also has a format of its own.
fn access(table: &mut Table, format: LogFormat, base: &Path) -> Option<AccessLog> {
    let value = table.value("access")?;
    if value.table().is_none() {
        return access_path(value, base).map_err(|fault| table.report(fault)).ok()?.with(format);
    }
    table.inner(value, table.dotted("access"), |table| {
        let target = table.take("path", |value| access_path(value, base)).unwrap_or(Access::Stdout);
        let format = table.take("format", |value| value::word(value, &FORMATS)).unwrap_or(format);
        target.with(format)
    })
}

fn access_path(value: Value, base: &Path) -> Result<Access, Fault> {
    let expected = "\"off\", \"stdout\" or a file such as \"log/access.log\"";
    match value.str() {
        None => Err(value.mismatch(expected)),
        Some("off") => Ok(Access::Off),
        Some("stdout") => Ok(Access::Stdout),
        Some("on" | "yes" | "true") => Err(value.mismatch(expected).label("did you mean \"stdout\"?")),
        Some("no" | "none" | "false") => Err(value.mismatch(expected).label("did you mean \"off\"?")),
        Some("stderr") => Err(value.mismatch(expected).label("standard error is for portreeve's own log")),
        Some(_) => value::path(value, base).map(Access::File),
    }
}

/// Apps by name; one that has an error of its own is recorded and left out.
fn apps(table: &mut Table, base: &Path) -> BTreeMap<AppName, App> {
    let Some(value) = table.value("app") else {
        table.report_missing(&["app"], "the shortest one is\n\n  [app.web]\n  command = \"node server.js\"");
        return BTreeMap::new();
    };
    if value.table().is_none() {
        table.report(value.mismatch("a table of apps by their names").help(NAMED));
        return BTreeMap::new();
    }
    table.inner(value, table.dotted("app"), |apps| {
        let entries = apps.entries();
        if entries.is_empty() {
            let fault = Fault::warning(value.span(), "[app] has no app in it").label("nothing to run");
            apps.report(fault.help(NAMED));
        }
        entries.into_iter().filter_map(|(key, value)| named_app(apps, key, value, base)).collect()
    })
}

fn named_app(apps: &Table, key: Range<usize>, value: Value, base: &Path) -> Option<(AppName, App)> {
    let name = app_name(key, value).map_err(|fault| apps.report(fault)).ok()?;
    let mut app = apps.inner(value, apps.dotted(value.key), |table| app::app(table, name.clone(), base))?;
    app.said = value.table().map(|table| Said::of(table, value.text)).unwrap_or_default();
    Some((name, app))
}

fn app_name(key: Range<usize>, value: Value) -> Result<AppName, Fault> {
    if value.table().is_none() {
        let fault = Fault::error(key, format!("`{}` stands in [app] itself", value.key));
        return Err(fault.label("which app is this of?").help(NAMED));
    }
    value.key.parse().map_err(|bad: BadAppName| Fault::error(key, bad.to_string()).label("not a name for an app"))
}
