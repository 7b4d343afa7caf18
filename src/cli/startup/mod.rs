//! `portreeve startup` and `unstartup`: has the machine's service manager start portreeve, and takes that back.
//!
//! Root gets a service of the system, anybody else one of their own. Every file says by whom it was written, and only such
//! files are ever replaced or removed.

mod openrc;
mod service;
mod systemd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Code, Wrong};
use crate::config;
use crate::config::home::Home;
use service::Service;

/// The first words of every file that is written here.
const MARK: &str = "# Written by `portreeve startup`; `portreeve unstartup` removes it.";

/// How it is to be started.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve startup                      the list of apps, for whoever says this
  sudo portreeve startup                 the list of apps of root, as a service of the system
  sudo portreeve startup -c /etc/portreeve/portreeve.toml
                                         this configuration; systemd opens its ports
  portreeve startup --print              only shows what it would write

PATH is kept as it is now, so that the programs of your apps are found; run it again when they move. It knows systemd and
OpenRC; there is nothing for launchd, because portreeve runs on Linux.")]
pub(super) struct Startup {
    #[command(flatten)]
    place: Place,
    /// A configuration file, instead of the list of apps
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only show the files
    #[arg(long)]
    print: bool,
}

/// What is to be taken back.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve unstartup
  sudo portreeve unstartup --name site

What runs goes on; `systemctl stop portreeve` ends it.")]
pub(super) struct Unstartup {
    #[command(flatten)]
    place: Place,
}

/// Where the files are.
#[derive(Args, Debug)]
struct Place {
    /// The service manager; else the one that runs here
    #[arg(value_enum)]
    manager: Option<Init>,
    /// Name of the service
    #[arg(long, default_value = "portreeve")]
    name: String,
    /// Below this folder, as for an image of a machine; nothing is switched on
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Those that were written, or removed.
    files: Vec<PathBuf>,
    /// What the service manager was told.
    done: Vec<String>,
    /// What it is still to be told.
    to_be_done: Vec<String>,
}

impl Report {
    /// `what`: what became of the files.
    fn show(&self, what: &str, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        for (what, lines) in [("done", &self.done), ("to be done", &self.to_be_done)] {
            for line in lines {
                println!("{what}: {line}");
            }
        }
        for file in &self.files {
            println!("{what} {}", file.display());
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Init {
    Systemd,
    Openrc,
}

/// A file to be written.
#[derive(Debug)]
struct Unit {
    path: PathBuf,
    text: String,
    mode: u32,
}

pub(super) fn startup(args: &Startup) -> anyhow::Result<Code> {
    let manager = args.place.manager()?;
    let mut service = service(args)?;
    service.keeps_descriptors = manager == Init::Systemd && systemd::keeps_descriptors();
    let units = match manager {
        Init::Systemd => systemd::units(&service),
        Init::Openrc => openrc::units(&service),
    };
    if args.print {
        for unit in &units {
            print!("==> {} <==\n{}\n", unit.path.display(), unit.text);
        }
        return Ok(Code::Done);
    }
    let mut report = Report::default();
    for unit in &units {
        report.files.push(write(unit, &args.place.below(&unit.path))?);
    }
    let orders = match manager {
        Init::Systemd => systemd::enabling(&service),
        Init::Openrc => openrc::enabling(&service),
    };
    args.place.carry_out(manager, &orders, &mut report);
    report.show("wrote", args.place.json)?;
    if args.place.json {
        return Ok(Code::Done);
    }
    if manager == Init::Systemd && !service.is_root {
        let user = std::env::var("USER").unwrap_or_else(|_| "$USER".to_owned());
        println!("it starts when you log in; to have it started with the machine: sudo loginctl enable-linger {user}");
    }
    println!("it is not started yet: portreeve kill; {}", starting(manager, &service));
    Ok(Code::Done)
}

pub(super) fn unstartup(args: &Unstartup) -> anyhow::Result<Code> {
    let manager = args.place.manager()?;
    let service = Service::bare(&args.place.name);
    let (paths, orders) = match manager {
        Init::Systemd => (systemd::paths(&service).to_vec(), systemd::disabling(&service)),
        Init::Openrc => (openrc::paths(&service).to_vec(), openrc::disabling(&service)),
    };
    let paths: Vec<_> = paths.iter().map(|path| args.place.below(path)).filter(|path| path.exists()).collect();
    if paths.is_empty() && !args.place.json {
        println!("there is nothing to take back: no service {} of ours", args.place.name);
        return Ok(Code::Done);
    }
    paths.iter().try_for_each(|path| require_ours(path))?;
    let mut report = Report::default();
    if !paths.is_empty() {
        args.place.carry_out(manager, &orders, &mut report);
    }
    for path in paths {
        fs::remove_file(&path).with_context(|| path.display().to_string())?;
        report.files.push(path);
    }
    report.show("removed", args.place.json)?;
    Ok(Code::Done)
}

impl Place {
    fn manager(&self) -> anyhow::Result<Init> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            return Err(Wrong(format!("--name {}: letters, digits, - and _", self.name)).into());
        }
        let running = || {
            let is_there = |path: &str| Path::new(path).exists();
            match () {
                () if is_there("/run/systemd/system") => Some(Init::Systemd),
                () if is_there("/run/openrc") => Some(Init::Openrc),
                () => None,
            }
        };
        let unknown = || Wrong("no service manager is known here; say which: systemd or openrc".to_owned());
        Ok(self.manager.or_else(running).ok_or_else(unknown)?)
    }

    fn below(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// Gives orders to the service manager that runs here, or says which are to be given.
    fn carry_out(&self, manager: Init, orders: &[Vec<String>], report: &mut Report) {
        let is_running = match manager {
            Init::Systemd => Path::new("/run/systemd/system").exists(),
            Init::Openrc => Path::new("/run/openrc").exists(),
        };
        for words in orders.iter().filter(|words| !words.is_empty()) {
            let line = words.join(" ");
            let is_wanted = is_running && self.root.is_none();
            if is_wanted && Command::new(&words[0]).args(&words[1..]).status().is_ok_and(|status| status.success()) {
                report.done.push(line);
            } else {
                report.to_be_done.push(line);
            }
        }
    }
}

fn service(args: &Startup) -> anyhow::Result<Service> {
    let mut service = Service::bare(&args.place.name);
    service.program = std::env::current_exe().context("find our own program")?;
    service.variables.push(("PATH".to_owned(), std::env::var("PATH").unwrap_or_default()));
    if let Some(file) = &args.config {
        let file = std::path::absolute(file)?;
        let loaded = config::load(&file).map_err(|problems| anyhow::anyhow!("{}", problems.render(false)))?;
        service.listens = service::addresses(&loaded.config);
        service.config = Some(file);
    } else if std::env::var_os("PORTREEVE_HOME").is_some() {
        service.variables.push(("PORTREEVE_HOME".to_owned(), Home::find().folder().display().to_string()));
    }
    Ok(service)
}

fn starting(manager: Init, service: &Service) -> String {
    match manager {
        Init::Systemd if service.is_root => format!("systemctl start {}", service.name),
        Init::Systemd => format!("systemctl --user start {}", service.name),
        Init::Openrc => format!("rc-service {} start", service.name),
    }
}

fn write(unit: &Unit, path: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    if path.exists() {
        require_ours(path)?;
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, &unit.text));
    let written = written.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(unit.mode)));
    written.with_context(|| path.display().to_string())?;
    Ok(path.to_owned())
}

fn require_ours(path: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    if text.contains(MARK) {
        return Ok(());
    }
    bail!("{} was not written by portreeve: it stays as it is; --name chooses another name", path.display())
}
