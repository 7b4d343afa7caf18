//! From a command line to an app's table in the list: what runs it, where, on which port, and what else was said.
//!
//! Values go into the list as they were given, and the supervisor judges them as it does any configuration. Only what has
//! no word there is worked out here: the interpreter, the name, the port.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::meant::{self, Program};
use super::{Files, More, Start, Times};
use crate::cli::shell;
use crate::control::words::Status;
use crate::id::AppName;

/// The first port that is given to an app that asks for none: what most examples listen on.
const FIRST_PORT: u16 = 3000;

/// What runs a script, by its extension.
const INTERPRETERS: [(&[&str], &str); 7] = [
    (&["js", "mjs", "cjs"], "node"),
    (&["py"], "python3"),
    (&["rb"], "ruby"),
    (&["php"], "php"),
    (&["pl"], "perl"),
    (&["sh", "bash"], "bash"),
    (&["lua"], "lua"),
];

const TYPESCRIPT: [&str; 4] = ["ts", "mts", "cts", "tsx"];

/// What is known of the machine and the shell.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Those that the app is to have.
    variables: BTreeMap<String, String>,
    port: Option<String>,
    cpus: usize,
    has_bun: bool,
}

impl Surroundings {
    pub(super) fn look() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let port = std::env::var("PORT").ok();
        Self { variables: shell::variables(), port, cpus, has_bun: meant::is_on_path("bun") }
    }
}

/// What the app is for.
enum Purpose {
    /// Clients come in.
    Serve { renewed: Option<String> },
    /// It goes on working.
    Task { renewed: Option<String> },
    /// It is run at these times, and ends.
    Job(String),
}

impl Purpose {
    fn of(more: &More) -> Self {
        let Times { task, cron, cron_restart } = &more.times;
        // PM2's word for "no longer".
        let renewed = cron_restart.clone().filter(|pattern| pattern != "0");
        match (cron, renewed) {
            (Some(pattern), _) => Self::Job(pattern.clone()),
            (None, Some(pattern)) if more.no_autorestart => Self::Job(pattern),
            (None, renewed) if *task => Self::Task { renewed },
            (None, renewed) => Self::Serve { renewed },
        }
    }

    fn keys(&self) -> Vec<(&'static str, Value)> {
        let recycle = |pattern: &String| Table::from_iter([("schedule".to_owned(), Value::from(pattern.clone()))]);
        let (kind, renewed) = match self {
            Self::Job(pattern) => return vec![("kind", "task".into()), ("schedule", pattern.clone().into())],
            Self::Task { renewed } => (Some(("kind", Value::from("task"))), renewed),
            Self::Serve { renewed } => (None, renewed),
        };
        kind.into_iter().chain(renewed.iter().map(|pattern| ("recycle", recycle(pattern).into()))).collect()
    }
}

/// The app as a configuration of its own, as TOML.
pub(super) fn list(args: &Start, program: &Program, status: &Status, around: &Surroundings) -> Result<String, String> {
    let mut app = Table::new();
    let mut set = |key: &str, value: Value| drop(app.insert(key.to_owned(), value));
    let folder = meant::folder(args);
    let name = name(args, program, status)?;
    for (key, value) in command(args, program, &folder, around)? {
        set(&key, value);
    }
    set("directory", text(&folder));
    let purpose = Purpose::of(&args.more);
    for (key, value) in purpose.keys() {
        set(key, value);
    }
    if args.instances.is_some() || !matches!(purpose, Purpose::Job(_)) {
        set("workers", workers(args.instances.as_deref(), around.cpus)?);
    }
    let mut variables = variables(args, around)?;
    let of_words = variables.remove("PORT");
    if matches!(purpose, Purpose::Serve { .. }) {
        let asked = args.port.clone().or(of_words).or_else(|| around.port.clone());
        set("port", asked.map_or_else(|| free_port(status), |port| Ok(address(&port)))?);
    }
    if is_python(program) {
        variables.entry("PYTHONUNBUFFERED".to_owned()).or_insert_with(|| "1".to_owned());
    }
    if !variables.is_empty() {
        set("env", variables.into_iter().map(|(key, value)| (key, Value::from(value))).collect::<Table>().into());
    }
    settings(&args.more, &name, &mut set)?;
    set("inherit_env", shell::table(&around.variables).into());
    let apps = Table::from_iter([(name.to_string(), Value::from(app))]);
    Ok(Table::from_iter([("app".to_owned(), Value::from(apps))]).to_string())
}

/// What a worker runs: `command`, and `shell` where only a shell understands it.
fn command(
    args: &Start,
    program: &Program,
    folder: &Path,
    around: &Surroundings,
) -> Result<Vec<(String, Value)>, String> {
    let script = match program {
        Program::Line(line) => return line_command(line, &args.args),
        Program::OnPath(name) => {
            let words = std::iter::once(name).chain(&args.args).cloned().collect();
            return Ok(vec![("command".to_owned(), list_of(words))]);
        }
        Program::Script(script) => script,
    };
    let mut words = match args.interpreter.program.as_deref() {
        Some("none") => Vec::new(),
        Some(interpreter) => vec![interpreter.to_owned()],
        None => interpreter(script, &folder.join(script), around)?.into_iter().map(str::to_owned).collect(),
    };
    if let Some(more) = &args.interpreter.words {
        words.extend(shell_words::split(more).map_err(|error| format!("--interpreter-args: {error}"))?);
    }
    let name = script.to_string_lossy().into_owned();
    // Without an interpreter a bare name would be looked for on the PATH.
    let is_bare = words.is_empty() && !name.contains('/');
    words.push(if is_bare { format!("./{name}") } else { name });
    words.extend(args.args.iter().cloned());
    Ok(vec![("command".to_owned(), list_of(words))])
}

fn line_command(line: &str, args: &[String]) -> Result<Vec<(String, Value)>, String> {
    let quoted: Vec<String> = args.iter().map(|word| shell_words::quote(word).into_owned()).collect();
    let line = std::iter::once(line.to_owned()).chain(quoted).collect::<Vec<_>>().join(" ");
    shell_words::split(&line).map_err(|_| format!("a quote in {line:?} is never closed"))?;
    let needs_shell = line.contains(['|', '&', ';', '<', '>', '(', ')', '$', '`', '*'])
        || line.split_whitespace().next().is_some_and(|word| word.contains('='));
    let mut keys = vec![("command".to_owned(), Value::from(line))];
    if needs_shell {
        keys.push(("shell".to_owned(), Value::from(true)));
    }
    Ok(keys)
}

/// What runs a script: nothing where it runs itself.
fn interpreter(script: &Path, file: &Path, around: &Surroundings) -> Result<Option<&'static str>, String> {
    let extension = script.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    if let Some(extension) = &extension {
        if TYPESCRIPT.contains(&extension.as_str()) {
            // Node runs TypeScript from 22.18 on.
            return Ok(Some(if around.has_bun { "bun" } else { "node" }));
        }
        let known = INTERPRETERS.iter().find(|(extensions, _)| extensions.contains(&extension.as_str()));
        if let Some((_, interpreter)) = known {
            return Ok(Some(interpreter));
        }
    }
    let is_executable = file.metadata().is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
    match extension {
        _ if is_executable => Ok(None),
        None => Ok(Some("node")),
        Some(extension) => Err(format!(
            "what runs a .{extension} file? Say it with --interpreter PROGRAM, or make {} executable: chmod +x",
            script.display()
        )),
    }
}

fn is_python(program: &Program) -> bool {
    matches!(program, Program::Script(script) if script.extension().is_some_and(|extension| extension == "py"))
}

fn name(args: &Start, program: &Program, status: &Status) -> Result<AppName, String> {
    let wanted = args.name.clone().unwrap_or_else(|| match program {
        Program::Script(script) => stem(script),
        Program::OnPath(name) => stem(Path::new(name)),
        Program::Line(line) => stem(Path::new(line.split_whitespace().next().unwrap_or("app"))),
    });
    let parsed = |name: &str| name.parse::<AppName>().map_err(|error| format!("--name {name}: {error}"));
    let is_taken = |name: &AppName| status.apps.iter().any(|app| app.name == *name);
    let first = parsed(&wanted)?;
    if !is_taken(&first) {
        return Ok(first);
    }
    if !args.force {
        return Err(format!(
            "there is an app `{first}` already: `portreeve restart {first}` or `reload {first}` renews it, \
             --name gives this one another name, --force makes it a second copy"
        ));
    }
    let mut names = (2..).map(|number| format!("{wanted}-{number}"));
    names.find_map(|name| parsed(&name).map(|name| (!is_taken(&name)).then_some(name)).transpose()).unwrap_or(Ok(first))
}

/// The name of a file without its ending, in the letters that names have.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    let name: String = stem.chars().map(fit).take(48).collect();
    let name = name.trim_start_matches(['-', '_']);
    if name.is_empty() { "app".to_owned() } else { name.to_owned() }
}

/// `max`, `0`: one per CPU; `-1`: one less.
fn workers(count: Option<&str>, cpus: usize) -> Result<Value, String> {
    let number = match count {
        None => 1,
        Some("max" | "auto" | "0") => return Ok(Value::from("auto")),
        Some(count) => {
            count.parse::<i64>().map_err(|_| format!("--instances {count}: write a number, max, or -1 for one less"))?
        }
    };
    let cpus = i64::try_from(cpus).unwrap_or(i64::MAX);
    Ok(Value::from(if number < 0 { (cpus + number).max(1) } else { number }))
}

fn variables(args: &Start, around: &Surroundings) -> Result<BTreeMap<String, String>, String> {
    let of_shell = |name: &str| around.variables.get(name).cloned();
    let mut variables = BTreeMap::new();
    for word in &args.env {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                (word.as_str(), of_shell(word).ok_or_else(|| format!("--env {word}: your shell has no such variable"))?)
            }
        };
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

/// The first port from 3000 on that no app has, and no other program.
fn free_port(status: &Status) -> Result<Value, String> {
    let is_known = |port: u16| status.listeners.iter().any(|listener| listener.address.port() == port);
    let is_taken = |port: u16| is_known(port) || is_held(port);
    let port = (FIRST_PORT..FIRST_PORT + 1000).find(|port| !is_taken(*port));
    port.map(|port| Value::from(i64::from(port))).ok_or_else(|| "no port is free: say one with --port".to_owned())
}

/// Does another program listen there? The supervisor is on this machine, too.
pub(in crate::cli) fn is_held(port: u16) -> bool {
    std::net::TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port)).is_err()
}

/// A port as a number, an address as it is.
fn address(text: &str) -> Value {
    text.parse::<u16>().map_or_else(|_| Value::from(text), |port| Value::from(i64::from(port)))
}

fn settings(more: &More, name: &AppName, set: &mut impl FnMut(&str, Value)) -> Result<(), String> {
    if let Some(path) = &more.ready {
        set("ready", Table::from_iter([("http".to_owned(), Value::from(path.clone()))]).into());
    }
    if more.wait_ready {
        set("ready", "ipc".into());
    }
    if let Some(time) = &more.kill_timeout {
        set("kill_timeout", duration(time));
    }
    let mut restart = Table::new();
    // A run of a job is not tried again anyway.
    if more.no_autorestart && !matches!(Purpose::of(more), Purpose::Job(_)) {
        restart.insert("policy".to_owned(), "never".into());
    }
    if !more.stop_exit_codes.is_empty() {
        let codes = more.stop_exit_codes.iter().map(|code| Value::from(i64::from(*code)));
        restart.insert("stop_exit_codes".to_owned(), Value::Array(codes.collect()));
    }
    if let Some(time) = &more.restart_delay {
        restart.insert("delay".to_owned(), duration(time));
    }
    if !restart.is_empty() {
        set("restart", restart.into());
    }
    if let Some(watch) = watch(&more.files) {
        set("watch", watch.into());
    }
    if let Some(user) = &more.user {
        set("user", user.clone().into());
    }
    set("log", log(more, name)?.into());
    Ok(())
}

/// Paths are taken from the working directory of the app.
fn watch(files: &Files) -> Option<Table> {
    if files.watch.is_empty() {
        return None;
    }
    let mut watch = Table::from_iter([("paths".to_owned(), list_of(files.watch.clone()))]);
    if !files.ignore_watch.is_empty() {
        watch.insert("ignore".to_owned(), list_of(files.ignore_watch.clone()));
    }
    if let Some(time) = &files.watch_delay {
        watch.insert("debounce".to_owned(), duration(time));
    }
    Some(watch)
}

/// Files of their own, beside the list, unless others are named.
fn log(more: &More, name: &AppName) -> Result<Table, String> {
    let file = |given: &Option<PathBuf>, kind: &str| match given {
        Some(path) if path.as_os_str() == "NULL" => Ok(Value::from("/dev/null")),
        Some(path) => std::path::absolute(path).map(|path| text(&path)).map_err(|error| error.to_string()),
        None => Ok(Value::from(format!("logs/{name}-{kind}.log"))),
    };
    let mut log = Table::new();
    log.insert("out".to_owned(), file(&more.output, "out")?);
    log.insert("err".to_owned(), file(&more.error, "error")?);
    if more.time {
        log.insert("time".to_owned(), true.into());
    }
    Ok(log)
}

/// A number alone is milliseconds, as under PM2.
fn duration(text: &str) -> Value {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { format!("{text}ms").into() } else { text.into() }
}

fn text(path: &Path) -> Value {
    path.display().to_string().into()
}

fn list_of(words: Vec<String>) -> Value {
    Value::Array(words.into_iter().map(Value::from).collect())
}
