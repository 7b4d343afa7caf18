//! `portreeve signal`: sends a signal to every worker of these apps.
//!
//! To the worker's own process; what it leads to is up to the app.

use clap::Args;

use super::target::Apps;
use super::{Code, block_on, count};

/// Which signal, and to whom.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve signal SIGUSR2 web
  portreeve signal hup 'web-*'

A worker that ends by it has crashed, as far as its supervisor knows, and is started again.")]
pub(super) struct Signal {
    /// SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1 or SIGUSR2, with or without SIG
    signal: String,
    #[command(flatten)]
    apps: Apps,
}

pub(super) fn signal(args: &Signal) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    let reached = block_on(client.signal(&apps, &args.signal))??;
    if args.apps.json {
        println!("{}", serde_json::to_string_pretty(&reached)?);
    } else {
        println!("{} sent to {}", args.signal, count(reached.workers, "worker"));
    }
    Ok(Code::Done)
}
