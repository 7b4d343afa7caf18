//! `portreeve reload`: begins a reload, waits for its end, and tells the truth about it.
//!
//! The exit code is part of the answer: a deploy script goes by it.

use clap::Args;

use super::ecosystem::{self, Choice, File, How};
use super::progress::Watch;
use super::target::{ONLY, Target};
use super::{Code, Wrong, block_on, outcome, select, shell};
use crate::control::Scope;
use crate::control::client::Client;
use crate::control::words::Order;
use crate::id::AppName;

/// What is to be reloaded.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve reload              everything, and all else that the configuration says
  portreeve reload web          only web: its settings and its code
  portreeve reload 'web-*' 3    those that match, and the app with id 3
  DEBUG=1 portreeve reload web --update-env    with the variables of this shell from now on
  portreeve reload ecosystem.config.js         the apps of a PM2 configuration, as it is now

Without apps it is the same as SIGHUP to the supervisor, but waits for the end and tells how it went: once the last of
the old workers is gone, how many requests there were meanwhile, and how many of them waited for a worker (held), were
sent a second time (retried), were cut off at `drain_timeout` (forced), or had no answer (failed). Ctrl-C stops the
telling, not the reload.

Exit codes:
   0  live: the new workers serve
   1  aborted: the old workers serve on
   2  rolled back: the new workers served and were bad (`deploy.bake`); the old ones do again
   3  superseded: a newer reload took its place
   4  invalid configuration, nothing has changed
  64  wrong usage, or no such app
  69  no supervisor answers
  78  the file of -c cannot be read")]
pub(super) struct Reload {
    /// Names, ids, patterns such as 'web-*', or all; without any: everything
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// Use this profile of the apps' variables from now on; else the one that is in use
    #[arg(long = "env", value_name = "PROFILE", value_parser = crate::config::profile_name)]
    profile: Option<String>,
    /// Give the apps the variables of this shell in place of those that they were started with
    #[arg(long, conflicts_with = "profile")]
    update_env: bool,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    target: Target,
    /// End as soon as the new workers serve, without a report of what there was until the old ones were gone
    #[arg(long)]
    no_drain: bool,
    /// Do not show how far it has come
    #[arg(long)]
    no_progress: bool,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn reload(args: &Reload) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let is_shown = !args.json && !args.no_progress;
    if let Some(path) = ecosystem::alone(&args.apps)? {
        let status = block_on(client.status())??;
        let file = File { path, profile: args.profile.as_deref(), choice: &args.choice };
        let how = How { order: Order::Reload, json: args.json, is_shown, to_the_end: !args.no_drain };
        return file.carry_out(&client, &status, &how);
    }
    if !args.choice.only.is_empty() {
        return Err(Wrong(ONLY.to_owned()).into());
    }
    if !args.apps.is_empty() && args.profile.is_some() {
        return Err(Wrong("a profile is that of all apps: leave --env or the apps out".to_owned()).into());
    }
    let apps = meant(args, &client)?;
    if args.update_env && apps.is_empty() {
        println!("there is no app to reload");
        return Ok(Code::Done);
    }
    let watch = Watch { client: &client, apps: &apps, is_shown, to_the_end: !args.no_drain };
    let answer = if args.update_env {
        let variables = shell::table(&shell::variables()).to_string();
        watch.carry_out(client.renew(&apps, &variables, Order::Reload))?
    } else {
        let scope = Scope { apps: apps.clone(), profile: args.profile.clone() };
        watch.carry_out(client.reload(&scope))?
    };
    outcome::show(&client, Order::Reload, answer, args.json)
}

/// The apps that are named; none: everything, but for variables, which are given to apps.
fn meant(args: &Reload, client: &Client) -> anyhow::Result<Vec<AppName>> {
    if args.apps.is_empty() && !args.update_env {
        return Ok(Vec::new());
    }
    let status = block_on(client.status())??;
    if args.apps.is_empty() {
        return Ok(status.apps.into_iter().map(|app| app.name).collect());
    }
    let mut apps = Vec::new();
    // An app that is new in the file is not known to the supervisor yet: a plain name is passed on as it is.
    for word in &args.apps {
        match (select::find(std::slice::from_ref(word), &status.apps), word.parse()) {
            (Ok(found), _) => apps.extend(found),
            (Err(_), Ok(name)) if !word.bytes().all(|byte| byte.is_ascii_digit()) => apps.push(name),
            (Err(error), _) => return Err(Wrong(error).into()),
        }
    }
    Ok(apps)
}
