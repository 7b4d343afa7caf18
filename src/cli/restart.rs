//! `portreeve restart`: stops the workers of these apps and starts others once they are gone.
//!
//! For apps of which no two generations may run at a time; requests wait meanwhile. All others are better off with
//! `portreeve reload`.

use clap::Args;

use super::progress::Watch;
use super::target::Apps;
use super::{Code, outcome};
use crate::control::words::Order;

/// What is to be restarted.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve restart web         stops web's workers, then starts new ones with the settings as they are now
  portreeve restart all

Requests that come in between wait, up to `hold`. `portreeve reload` starts the new workers first, and so loses nothing
and keeps the old ones if the new ones fail.")]
pub(super) struct Restart {
    #[command(flatten)]
    apps: Apps,
    /// Do not show how far it has come
    #[arg(long)]
    no_progress: bool,
}

pub(super) fn restart(args: &Restart) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    if apps.is_empty() {
        println!("there is no app to restart");
        return Ok(Code::Done);
    }
    let is_shown = !args.apps.json && !args.no_progress;
    let watch = Watch { client: &client, apps: &apps, is_shown, to_the_end: true };
    let answer = watch.carry_out(client.order(Order::Restart, &apps))?;
    outcome::show(&client, Order::Restart, answer, args.apps.json)
}
