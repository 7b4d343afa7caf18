//! `portreeve restart`: stops the workers of these apps and starts others once they are gone.
//!
//! For apps of which no two generations may run at a time; requests wait meanwhile. All others are better off with
//! `portreeve reload`.

use clap::Args;

use super::ecosystem::{self, File, How};
use super::progress::Watch;
use super::target::Apps;
use super::{Code, Wrong, block_on, outcome, shell};
use crate::control::words::Order;

/// What `--env` is for.
const PROFILE: &str = "the profile of a restart is that of the supervisor, or of a PM2 configuration: name that file as well; \
                       `portreeve reload --env PROFILE` changes it for all apps";

/// What is to be restarted.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve restart web         stops web's workers, then starts new ones with its settings of now
  portreeve restart all
  NODE_ENV=test portreeve restart web --update-env    with the variables of this shell from now on
  portreeve restart ecosystem.config.js           the apps of a PM2 configuration, as it is now

Requests that come in between wait, up to `hold`. `portreeve reload` starts the new workers first, and so loses nothing
and keeps the old ones if the new ones fail.")]
pub(super) struct Restart {
    #[command(flatten)]
    apps: Apps,
    /// Of a PM2 configuration: the profile, such as `production` for `env_production`
    #[arg(long = "env", value_name = "PROFILE")]
    profile: Option<String>,
    /// Give the apps the variables of this shell in place of those that they were started with
    #[arg(long)]
    update_env: bool,
    /// Do not show how far it has come
    #[arg(long)]
    no_progress: bool,
}

pub(super) fn restart(args: &Restart) -> anyhow::Result<Code> {
    let is_shown = !args.apps.json && !args.no_progress;
    if let Some(path) = ecosystem::alone(&args.apps.words)? {
        let client = args.apps.target.client()?;
        let status = block_on(client.status())??;
        let file = File { path, profile: args.profile.as_deref(), choice: &args.apps.choice };
        let how = How { order: Order::Restart, json: args.apps.json, is_shown, to_the_end: true };
        return file.carry_out(&client, &status, &how);
    }
    if args.profile.is_some() {
        return Err(Wrong(PROFILE.to_owned()).into());
    }
    let (client, _, apps) = args.apps.find()?;
    if apps.is_empty() {
        println!("there is no app to restart");
        return Ok(Code::Done);
    }
    let watch = Watch { client: &client, apps: &apps, is_shown, to_the_end: true };
    let answer = if args.update_env {
        let variables = shell::table(&shell::variables()).to_string();
        watch.carry_out(client.renew(&apps, &variables, Order::Restart))?
    } else {
        watch.carry_out(client.order(Order::Restart, &apps))?
    };
    outcome::show(&client, Order::Restart, answer, args.apps.json)
}
