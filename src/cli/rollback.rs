//! `portreeve rollback`: lets what served before the latest reload serve again.
//!
//! Says what the supervisor has answered; what there is to go back to is for that to know.

use clap::Args;

use super::progress::Watch;
use super::target::Apps;
use super::{Code, outcome};
use crate::control::words::Order;

/// What is to go back.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve rollback web        the generation that served before the present one

While the earlier workers are still kept (`deploy = { retain = \"10m\" }` of the app) the two are swapped at once, and no
request notices. Later, new workers are started with the settings and from the directory of then, as a reload does; where
those are the same as now, as when files were overwritten in place, there is nothing to go back to. The configuration
file is not changed: the next reload does what it says.")]
pub(super) struct Rollback {
    #[command(flatten)]
    apps: Apps,
    /// Do not show how far it has come
    #[arg(long)]
    no_progress: bool,
}

pub(super) fn rollback(args: &Rollback) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    let is_shown = !args.apps.json && !args.no_progress;
    let watch = Watch { client: &client, apps: &apps, is_shown, to_the_end: false };
    let answer = watch.carry_out(client.order(Order::Rollback, &apps))?;
    outcome::show(&client, Order::Rollback, answer, args.apps.json)
}
