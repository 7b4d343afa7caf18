//! `portreeve promote`: lets a canary take over before its time is over.
//!
//! Says what the supervisor has answered; whether there is a canary is for that to know.

use clap::Args;

use super::target::Apps;
use super::{Code, block_on, outcome};
use crate::control::words::Order;

/// What is good enough.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve promote web         its new generation has done well with a few of the clients

For apps with `deploy = { canary = \"5%\" }` while a reload is at that step. The other new workers start, and the
new generation takes over; the reload that began it waits for that and says how it ends. `portreeve rollback` is for one that has not done well.")]
pub(super) struct Promote {
    #[command(flatten)]
    apps: Apps,
}

pub(super) fn promote(args: &Promote) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    let answer = block_on(client.order(Order::Promote, &apps))?;
    outcome::show(&client, Order::Promote, answer, args.apps.json)
}
