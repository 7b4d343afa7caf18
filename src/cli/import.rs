//! `portreeve import`: the configuration of another program as a commented `portreeve.toml`, and what was left out.
//!
//! The file goes to standard output or to `-o FILE`, remarks to standard error. Invariants: a file that is there is not
//! overwritten without `--force`, and what is written has been read by the reader that `run` uses.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::{Code, DEFAULT_CONFIG};
use crate::config;
use crate::import::pm2::{Options, Ports};
use crate::import::{self, Imported};

/// What PM2 itself looks for, and the other forms of it.
const ECOSYSTEMS: [&str; 7] = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.json",
    "ecosystem.yaml",
    "ecosystem.yml",
    "pm2.json",
];

/// Translates the configuration of another program.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve import pm2                              # the ecosystem file of this folder
  portreeve import pm2 ecosystem.config.js --env production -o portreeve.toml
  portreeve import pm2 running -o portreeve.toml    # what PM2 runs, or has saved
  portreeve import nginx /etc/nginx/nginx.conf
  portreeve import procfile

What cannot be translated is said on standard error, and in comments of the file.")]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// A PM2 ecosystem file in JavaScript, JSON or YAML; `running`: what PM2 runs or has saved
    Pm2 {
        /// The file, or `running` [default: the ecosystem file of this folder]
        source: Option<PathBuf>,
        /// Take the variables of this environment, as `pm2 --env` does
        #[arg(long, value_name = "NAME")]
        env: Option<String>,
        /// Only these apps
        #[arg(long, value_name = "APP", value_delimiter = ',')]
        only: Vec<String>,
        #[command(flatten)]
        target: Destination,
    },
    /// Servers and locations of an nginx configuration that are forwarded to servers
    Nginx {
        /// Its file, such as nginx.conf or one of sites-enabled
        file: PathBuf,
        #[command(flatten)]
        target: Destination,
    },
    /// A Procfile
    Procfile {
        /// Its path
        #[arg(default_value = "Procfile")]
        file: PathBuf,
        #[command(flatten)]
        target: Destination,
    },
}

#[derive(Args, Debug)]
struct Destination {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the file
    #[arg(long, requires = "output")]
    force: bool,
    /// Print the answer as JSON: the configuration, and what there is to say of it
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

pub(super) fn import(import: &Import) -> anyhow::Result<Code> {
    let result = match &import.from {
        From::Pm2 { source, env, only, target } => pm2(source.as_deref(), env.clone(), only.clone(), target),
        From::Nginx { file, target } => foreign(import::nginx::translate(file), target),
        From::Procfile { file, target } => {
            let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()));
            foreign(text.and_then(|text| import::procfile::translate(&text)), target)
        }
    };
    // The file of the other program is at fault.
    result.or_else(|error| match error.downcast_ref::<import::Error>() {
        Some(fault) => {
            eprintln!("portreeve: {fault}");
            Ok(Code::Config)
        }
        None => Err(error),
    })
}

fn pm2(
    source: Option<&Path>,
    profile: Option<String>,
    only: Vec<String>,
    target: &Destination,
) -> anyhow::Result<Code> {
    let source = match source {
        Some(source) => source.to_owned(),
        None => here().context("there is no ecosystem file in this folder; name it, or `running`")?,
    };
    let is_running = source == Path::new("running") && !source.exists();
    let options = options(&folder(target, (!is_running).then_some(&source))?, profile, only);
    let imported = if is_running { running(&options)? } else { import::read(&source, &options)? };
    write(&imported, target)
}

/// Writes what became of a file, or says why nothing did.
fn foreign(imported: Result<Imported, String>, target: &Destination) -> anyhow::Result<Code> {
    match imported {
        Ok(imported) => write(&imported, target),
        Err(fault) => {
            eprintln!("portreeve: {fault}");
            Ok(Code::Config)
        }
    }
}

/// How the caller's surroundings bear on a translation.
fn options(target: &Path, profile: Option<String>, only: Vec<String>) -> Options {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get().try_into().unwrap_or(u32::MAX));
    let environment =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Options { target: target.to_owned(), profile, only, cpus, environment: environment.collect(), ports: Ports::Shared }
}

fn here() -> Option<PathBuf> {
    ECOSYSTEMS.into_iter().map(PathBuf::from).find(|path| path.exists())
}

/// The folder that the new file will be in: that of `-o`, else that of the source, else this one.
fn folder(target: &Destination, source: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    let file = target.output.as_ref().or(source).cloned().unwrap_or_else(|| DEFAULT_CONFIG.into());
    let file = std::path::absolute(file)?;
    Ok(file.parent().unwrap_or(Path::new("/")).to_owned())
}

/// What PM2 runs; where it does not run, what it has saved. It is asked only if it is there: its client would start it.
fn running(options: &Options) -> anyhow::Result<Imported> {
    let home = env::var_os("PM2_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pm2"))).context("HOME is not set")?;
    if UnixStream::connect(home.join("rpc.sock")).is_ok() {
        let listed = Command::new("pm2").arg("jlist").stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        if let Ok(list) = listed.as_ref().map(|output| String::from_utf8_lossy(&output.stdout)) {
            return Ok(import::dump(&list, Path::new("pm2 jlist"), options)?);
        }
    }
    let saved = home.join("dump.pm2");
    let text = fs::read_to_string(&saved)
        .with_context(|| format!("PM2 does not run, and what `pm2 save` writes cannot be read: {}", saved.display()))?;
    Ok(import::dump(&text, &saved, options)?)
}

/// Proves that we take the file, and writes it.
fn write(imported: &Imported, target: &Destination) -> anyhow::Result<Code> {
    let text = imported.to_toml();
    let name = target.output.clone().unwrap_or_else(|| DEFAULT_CONFIG.into());
    if let Err(problems) = config::parse(&text, &name) {
        eprint!("{text}{}", problems.render(false));
        bail!("what was made of {} is no valid configuration, which is a fault of portreeve's", imported.origin);
    }
    if target.json {
        let remarks = imported.all_remarks();
        let remarks = remarks.map(|(app, remark)| serde_json::json!({ "app": app, "remark": remark.to_string() }));
        let answer = serde_json::json!({ "config": text, "remarks": remarks.collect::<Vec<_>>() });
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(Code::Done);
    }
    for (app, remark) in imported.all_remarks() {
        eprintln!("portreeve: {}{remark}", app.map_or_else(String::new, |app| format!("{app}: ")));
    }
    let Some(path) = &target.output else {
        print!("{text}");
        return Ok(Code::Done);
    };
    // It may hold secrets of the apps' environment.
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if target.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let opened = options.open(path);
    let mut file = opened.with_context(|| format!("{} is not written (--force overwrites)", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| path.display().to_string())?;
    eprintln!(
        "portreeve: wrote {}; `portreeve check -c {0}` looks at it, `portreeve run -c {0}` serves",
        path.display()
    );
    Ok(Code::Done)
}
