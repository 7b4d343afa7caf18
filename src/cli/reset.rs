//! `portreeve reset`: begins to count restarts anew.
//!
//! Metrics are not touched: counters there only grow.

use clap::Args;

use super::target::Apps;
use super::{Code, block_on};

/// Whose counts.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve reset web           the ↺ of web in `portreeve status` begin at 0 again
  portreeve reset all")]
pub(super) struct Reset {
    #[command(flatten)]
    apps: Apps,
}

pub(super) fn reset(args: &Reset) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    let reached = block_on(client.reset(&apps))??;
    if args.apps.json {
        println!("{}", serde_json::to_string_pretty(&reached)?);
    } else {
        println!("restarts of {} workers count from 0 again", reached.workers);
    }
    Ok(Code::Done)
}
