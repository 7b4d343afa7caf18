//! `portreeve stop`: finishes what is in flight to these apps and stops their workers; the apps stay known.
//!
//! The supervisor itself, and everything with it, is stopped by `portreeve kill`.

use clap::Args;

use super::target::Apps;
use super::{Code, block_on, outcome};
use crate::control::words::Order;

/// What is to be stopped.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve stop web            its workers end, its port is closed; `start web` brings it back
  portreeve stop all            every app; the supervisor stays (portreeve kill ends it as well)
  portreeve stop 'web-*' 3      those that match, and the app with id 3

A stopped app stays stopped when the supervisor or the machine is started again.")]
pub(super) struct Stop {
    #[command(flatten)]
    apps: Apps,
}

pub(super) fn stop(args: &Stop) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    if apps.is_empty() {
        println!("there is no app to stop");
        return Ok(Code::Done);
    }
    let answer = block_on(client.order(Order::Stop, &apps))?;
    outcome::show(&client, Order::Stop, answer, args.apps.json)
}
