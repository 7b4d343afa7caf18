//! `portreeve maintenance`: every request for an app is answered with a page, until it is over.
//!
//! Workers stay as they are; health, metrics and the admin socket answer as ever.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::target::Target;
use super::{Code, Wrong, block_on, count, select};
use crate::control::words::Diversion;

/// Which apps, and what is shown.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve maintenance on                          every app
  portreeve maintenance on web --page sorry.html    with a page of your own, up to 64 KiB of HTML
  portreeve maintenance off

Answers are 503 with `Retry-After: 60`. It lasts over reloads and restarts, and ends with `off` or when the app is stopped.")]
pub(super) struct Maintenance {
    /// Whether it begins or is over
    switch: Switch,
    /// Names, ids, patterns such as 'web-*', or all
    #[arg(value_name = "APP", default_value = "all")]
    apps: Vec<String>,
    /// The page to be shown; read now
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(super) fn maintenance(args: &Maintenance) -> anyhow::Result<Code> {
    let page = args.page.as_ref().map(|path| std::fs::read_to_string(path).with_context(|| path.display().to_string()));
    let (diversion, done) = match args.switch {
        Switch::On => {
            (Diversion::Maintenance(page.transpose()?), "under maintenance; `portreeve maintenance off` ends it")
        }
        Switch::Off if page.is_some() => return Err(Wrong("a page is for `maintenance on`".to_owned()).into()),
        Switch::Off => (Diversion::Open, "open again"),
    };
    let client = args.target.client()?;
    let status = block_on(client.status())??;
    let apps = select::find(&args.apps, &status.apps).map_err(Wrong)?;
    if apps.is_empty() {
        println!("there is no app");
        return Ok(Code::Done);
    }
    let reached = block_on(client.divert(&apps, &diversion))??;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&reached)?);
    } else {
        println!("{}: {done}", count(apps.len(), "app"));
    }
    Ok(Code::Done)
}
