//! `portreeve start`: a script, a command, a configuration, or an app that is stopped; with a supervisor in the background
//! if none runs.
//!
//! Finds out what is meant and hands it to the supervisor, which checks everything before anything changes.

mod meant;
mod recipe;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::ecosystem::{self, Choice, How};
use super::target::Target;
use super::{Code, DEFAULT_CONFIG, Source, Wrong, block_on, daemon, outcome, resurrect};
use crate::config::home::Home;
use crate::control::Scope;
use crate::control::client::Client;
use crate::control::words::{Order, Status};
use meant::Meant;
pub(super) use recipe::is_held;

/// A start that takes longer gets a word.
const LONG: Duration = Duration::from_secs(5);
const WAITING: &str = "portreeve: it is not ready yet, and has up to `start_timeout` (60 s unless set) for that; to see its lines: \
                       portreeve logs. An app that serves nobody is started with --task";

/// What is to be started, and how.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve start server.js                     one worker; it says on which port it serves
  portreeve start server.js -i max --name web   one worker per CPU
  portreeve start api.py --port 5000 --env WORKERS=2 -- --verbose
  portreeve start npm -- start                  a program with its arguments
  portreeve start 'node server.js | tee log'    a command line; a shell runs it if it needs one
  portreeve start worker.js --task              no server: a worker of a queue
  portreeve start report.js --cron '0 3 * * *'  a job, run at three each night
  portreeve start web                           an app that was stopped; also by id or pattern
  portreeve start ecosystem.config.js --env production --only web,api
                                                the apps of a PM2 configuration
  portreeve start site.toml                     a configuration of your own
  portreeve start                               portreeve.toml in this folder

An app listens on the PORT and HOST that each worker is given; clients come in on the port of the app, which is PORT of your
shell unless --port says another. The app has the variables of your shell as they are now, and those of --env;
`portreeve restart APP --update-env` brings those of another shell. What is started is kept in a list, and so comes back
with `portreeve resurrect`, and after a boot once `portreeve startup` has been run.")]
pub(super) struct Start {
    /// A script, a command, a .toml file, a PM2 configuration, or an app by name, id, pattern or all
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    /// Name of the app; else that of the script
    #[arg(short, long)]
    name: Option<String>,
    /// Workers: a number, max (one per CPU), or -1 (one less than CPUs) and so on
    #[arg(short, long, value_name = "COUNT", allow_hyphen_values = true, visible_alias = "workers")]
    instances: Option<String>,
    /// Where clients come in: a port, or an address with one; else PORT, else the first from 3000 that is free
    #[arg(short, long)]
    port: Option<String>,
    /// Start it although an app of that name is there: as a second copy
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    interpreter: Interpreter,
    /// A variable for the workers; without a value, that of your shell. For a configuration: the profile
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    more: More,
    /// Arguments for the script
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    manner: Manner,
}

/// How portreeve is started if need be, and how it answers.
#[derive(Args, Debug)]
struct Manner {
    #[command(flatten)]
    keeping: daemon::Keeping,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// What runs a script, and where.
#[derive(Args, Debug)]
struct Interpreter {
    /// Working directory
    #[arg(long, value_name = "FOLDER")]
    cwd: Option<PathBuf>,
    /// What runs the script, instead of what its extension says; none: it runs itself
    #[arg(long = "interpreter", value_name = "PROGRAM")]
    program: Option<String>,
    /// Arguments for the interpreter, in front of the script
    #[arg(long = "interpreter-args", value_name = "WORDS", allow_hyphen_values = true, visible_alias = "node-args")]
    words: Option<String>,
}

/// Settings that the configuration has keys for.
#[derive(Args, Debug)]
struct More {
    /// Path that answers with a status below 400 once a worker is ready; else a connection is enough
    #[arg(long, value_name = "PATH", conflicts_with = "wait_ready")]
    ready: Option<String>,
    /// A worker is ready when it says process.send('ready')
    #[arg(long)]
    wait_ready: bool,
    /// From the stop signal to the kill: 5s, or a number of milliseconds
    #[arg(long, value_name = "TIME")]
    kill_timeout: Option<String>,
    #[command(flatten)]
    times: Times,
    /// A worker that ends is not started again
    #[arg(long)]
    no_autorestart: bool,
    /// Exit codes after which a worker is not started again
    #[arg(long, value_name = "CODE", num_args = 1..)]
    stop_exit_codes: Vec<u8>,
    /// A fixed pause before each restart: 2s, or a number of milliseconds
    #[arg(long, value_name = "TIME")]
    restart_delay: Option<String>,
    /// File for what the workers print; /dev/null for nowhere
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File for what they print to standard error; /dev/null for nowhere
    #[arg(short, long, value_name = "FILE")]
    error: Option<PathBuf>,
    /// Put the time in front of each line
    #[arg(long)]
    time: bool,
    #[command(flatten)]
    files: Files,
    /// Whom the workers run as, if the supervisor is root
    #[arg(short, long, value_name = "USER", visible_alias = "uid")]
    user: Option<String>,
}

/// Apps that serve nobody, and what is done at a time of day.
#[derive(Args, Debug)]
struct Times {
    /// No request is for it: a worker of a queue, or the like; it gets no port
    #[arg(long, conflicts_with_all = ["port", "ready"])]
    task: bool,
    /// A job that is run at these times, and ends: minute, hour, day, month, day of the week
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["port", "ready", "cron_restart"])]
    cron: Option<String>,
    /// Replace the workers at these times, one by one; with --no-autorestart the same as --cron, as under PM2
    #[arg(long, value_name = "PATTERN")]
    cron_restart: Option<String>,
}

/// Files whose change reloads the app.
#[derive(Args, Debug)]
struct Files {
    /// For development: reload when files change, all in the working directory or those below PATH
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = ".")]
    watch: Vec<String>,
    /// Files not to watch, by name or pattern; more than one with spaces between
    #[arg(long, value_name = "PATTERNS", value_delimiter = ' ', requires = "watch")]
    ignore_watch: Vec<String>,
    /// How long nothing must change before a reload: 1s, or a number of milliseconds
    #[arg(long, value_name = "TIME", requires = "watch")]
    watch_delay: Option<String>,
}

impl More {
    fn is_any(&self) -> bool {
        self.ready.is_some()
            || self.wait_ready
            || self.kill_timeout.is_some()
            || self.times.task
            || self.times.cron.is_some()
            || self.times.cron_restart.is_some()
            || self.no_autorestart
            || !self.stop_exit_codes.is_empty()
            || self.restart_delay.is_some()
            || self.output.is_some()
            || self.error.is_some()
            || self.time
            || self.user.is_some()
            || !self.files.watch.is_empty()
    }
}

pub(super) fn start(args: &Start) -> anyhow::Result<Code> {
    let home = Home::find();
    let client = if args.target.is_open() { nearest(&args.target, &home)? } else { args.target.client()? };
    let status = block_on(client.status())?.ok();
    match meant::find(args, status.as_ref()).map_err(Wrong)? {
        Meant::File(file) => start_file(args, &file, &home),
        Meant::Apps(apps) => {
            let answer = block_on(client.order(Order::Start, &apps))?;
            outcome::show(&client, Order::Start, answer, args.manner.json)
        }
        Meant::Ecosystem(file) => {
            let profile = profile(args).map_err(Wrong)?;
            let file = ecosystem::File { path: &file, profile: profile.as_deref(), choice: &args.choice };
            // What cannot be read starts no supervisor.
            file.names()?;
            let status = running(args, status, &client, &home)?;
            let how = How { order: Order::Start, json: args.manner.json, is_shown: false, to_the_end: false };
            file.carry_out(&client, &status, &how)
        }
        Meant::Program(program) => {
            let status = running(args, status, &client, &home)?;
            let list = recipe::list(args, &program, &status, &recipe::Surroundings::look()).map_err(Wrong)?;
            let call = client.add(&list, Order::Start);
            let answer = if args.manner.json { block_on(call)? } else { block_on(patiently(call))? };
            outcome::show(&client, Order::Start, answer, args.manner.json)
        }
    }
}

/// Waits for the end of a start, and says what for if that takes long.
async fn patiently<T>(call: impl Future<Output = T>) -> T {
    let mut call = std::pin::pin!(call);
    tokio::select! {
        answer = &mut call => return answer,
        () = tokio::time::sleep(LONG) => eprintln!("{WAITING}"),
    }
    call.await
}

/// What the supervisor says of itself that is to have the app; it is started if need be.
fn running(args: &Start, status: Option<Status>, client: &Client, home: &Home) -> anyhow::Result<Status> {
    match status {
        Some(status) => Ok(status),
        None if args.target.is_open() => background(client, home, args),
        None => Ok(block_on(client.status())??),
    }
}

/// The profile of a configuration, which says all the rest itself.
fn profile(args: &Start) -> Result<Option<String>, String> {
    let is_said = args.name.is_some()
        || args.instances.is_some()
        || args.port.is_some()
        || !args.args.is_empty()
        || args.interpreter.program.is_some()
        || args.interpreter.words.is_some()
        || args.more.is_any();
    if is_said {
        return Err(
            "an app of a PM2 configuration is as the file says: beside it there are --env PROFILE, --only, --cwd \
                    and --json"
                .to_owned(),
        );
    }
    match &args.env[..] {
        [] => Ok(None),
        [profile] if !profile.contains('=') => Ok(Some(profile.clone())),
        _ => Err("with a PM2 configuration --env chooses a profile, such as production for env_production; variables \
                  stand in the file"
            .to_owned()),
    }
}

/// The supervisor that answers, or else the one of this home, which can be started.
fn nearest(target: &Target, home: &Home) -> anyhow::Result<Client> {
    let near = target.client()?;
    let own = Client::new(home.socket().to_owned());
    Ok(if block_on(near.status())?.is_ok() { near } else { own })
}

fn background(client: &Client, home: &Home, args: &Start) -> anyhow::Result<Status> {
    let status = daemon::of_list(home, args.manner.keeping).start(client)?;
    if !args.manner.json {
        println!("portreeve runs in the background, pid {}; its log: {}", status.pid, home.log().display());
    }
    Ok(status)
}

/// A configuration of somebody's own has a supervisor of its own.
fn start_file(args: &Start, file: &Path, home: &Home) -> anyhow::Result<Code> {
    let file = std::path::absolute(file).context("find the working directory")?;
    let profile = args.env.iter().find(|word| !word.contains('=')).cloned();
    let source = Source { config: file.clone(), profile: profile.clone() };
    let Some(loaded) = super::load(&source) else { return Ok(Code::Config) };
    let client = Client::new(loaded.config.admin.socket);
    match block_on(client.status())? {
        Ok(status) if status.config == file => {
            let answer = block_on(client.reload(&Scope { apps: Vec::new(), profile }))?;
            outcome::show(&client, Order::Reload, answer, args.manner.json)
        }
        Ok(status) => {
            let (socket, other) = (client.socket().display(), status.config.display());
            Err(Wrong(format!(
                "{socket} is the admin socket of the portreeve that serves {other}; give {} one of its own:\n\n  \
                 [admin]\n  socket = \"admin.sock\"\n",
                file.display()
            ))
            .into())
        }
        Err(_) => {
            let daemon = daemon::of_file(&file, profile.as_deref(), &home.logs(), args.manner.keeping);
            let status = daemon.start(&client)?;
            if !args.manner.json {
                println!("portreeve runs in the background, pid {}; its log: {}", status.pid, daemon.log.display());
            }
            resurrect::await_all(&client, &status, args.manner.json)
        }
    }
}

/// The configuration that `start` alone means.
fn here() -> Option<PathBuf> {
    Some(PathBuf::from(DEFAULT_CONFIG)).filter(|path| path.is_file())
}
