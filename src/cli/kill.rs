//! `portreeve kill`: finishes what is in flight, stops every worker and the supervisor, and returns when it is gone.
//!
//! The list of apps stays: `portreeve resurrect` brings everything back.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::target::Target;
use super::{Code, block_on};

/// Between two looks at whether the supervisor is gone.
const PAUSE: Duration = Duration::from_millis(20);

/// Which supervisor.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve kill
  portreeve kill -c site.toml   the supervisor of that configuration

It waits for requests in flight, up to each `drain_timeout`, and then as long as the apps take to end. Under systemd,
`systemctl stop portreeve` does the same, and is what keeps it from being started again.")]
pub(super) struct Kill {
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON, once it is gone
    #[arg(long)]
    json: bool,
}

pub(super) fn kill(args: &Kill) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let status = block_on(client.status())??;
    block_on(client.kill())??;
    if !args.json {
        println!("stopping: portreeve, pid {}, with {}", status.pid, super::count(status.apps.len(), "app"));
    }
    let process = PathBuf::from(format!("/proc/{}", status.pid));
    // Its end is bounded by the timeouts of the apps, which only it knows.
    block_on(async {
        while process.exists() && !is_dead(&process) {
            tokio::time::sleep(PAUSE).await;
        }
    })?;
    if args.json {
        let apps: Vec<_> = status.apps.iter().map(|app| &app.name).collect();
        println!("{}", serde_json::json!({ "pid": status.pid, "apps": apps }));
    } else {
        println!("gone");
    }
    Ok(Code::Done)
}

/// A zombie holds nothing any more; whoever started it has not looked yet.
fn is_dead(process: &std::path::Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}
