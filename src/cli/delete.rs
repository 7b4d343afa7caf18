//! `portreeve delete`: stops these apps and takes them out of the list.
//!
//! Log files stay where they are.

use clap::Args;

use super::target::Apps;
use super::{Code, block_on, outcome};
use crate::control::words::Order;

/// What is to be deleted.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve delete web
  portreeve delete all          an empty list; the supervisor stays (portreeve kill ends it)

A supervisor that serves a configuration of your own does not edit it: take the app out there and `portreeve reload`.")]
pub(super) struct Delete {
    #[command(flatten)]
    apps: Apps,
}

pub(super) fn delete(args: &Delete) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    if apps.is_empty() {
        println!("there is no app to delete");
        return Ok(Code::Done);
    }
    let answer = block_on(client.order(Order::Delete, &apps))?;
    outcome::show(&client, Order::Delete, answer, args.apps.json)
}
