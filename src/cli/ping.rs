//! `portreeve ping`: does a supervisor answer, and which?
//!
//! Ends with 69 when none does.

use clap::Args;

use super::target::Target;
use super::{Code, block_on};

/// Which supervisor.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve ping && echo it runs")]
pub(super) struct Ping {
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn ping(args: &Ping) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let status = block_on(client.status())??;
    if args.json {
        let answer = serde_json::json!({
            "version": status.version, "pid": status.pid, "config": status.config, "is_list": status.is_list,
            "socket": client.socket(),
        });
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        let (apps, config) = (super::count(status.apps.len(), "app"), status.config.display());
        println!("portreeve {} answers: pid {}, {apps}, {config}", status.version, status.pid);
    }
    Ok(Code::Done)
}
