//! `portreeve pause` and `resume`: requests for an app wait, and are let go on in their order.
//!
//! What is in flight goes on. The wait has the bounds of every wait: `hold` of the app.

use clap::Args;

use super::target::Apps;
use super::{Code, block_on, count};
use crate::control::words::Diversion;

/// Which apps.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve pause web && ./migrate && portreeve resume web

Requests wait up to `hold.time` of the app, and `hold.requests` of them at most; beyond that the answer is 503 with
Retry-After. A pause lasts over reloads and restarts, and ends with `resume` or when the app is stopped.")]
pub(super) struct Pause {
    #[command(flatten)]
    apps: Apps,
}

pub(super) fn pause(args: &Pause) -> anyhow::Result<Code> {
    carry_out(args, &Diversion::Pause, "paused: requests wait; `portreeve resume` lets them go on")
}

pub(super) fn resume(args: &Pause) -> anyhow::Result<Code> {
    carry_out(args, &Diversion::Resume, "resumed")
}

fn carry_out(args: &Pause, diversion: &Diversion, done: &str) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    if apps.is_empty() {
        println!("there is no app");
        return Ok(Code::Done);
    }
    let reached = block_on(client.divert(&apps, diversion))??;
    if args.apps.json {
        println!("{}", serde_json::to_string_pretty(&reached)?);
    } else {
        println!("{}: {done}", count(apps.len(), "app"));
    }
    Ok(Code::Done)
}
