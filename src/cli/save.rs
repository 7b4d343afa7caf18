//! `portreeve save`: says that there is nothing to do, because the list of apps is always saved.
//!
//! Kept for scripts that were written for PM2.

use clap::Args;

use super::target::Target;
use super::{Code, block_on};

/// Which supervisor.
#[derive(Args, Debug)]
#[command(after_help = "\
The list is written with every start, stop and delete. `portreeve resurrect` starts a supervisor with it, and
`portreeve startup` sees to it that this happens when the machine is started.

Examples:
  portreeve save    how many apps are in the list, and where it is")]
pub(super) struct Save {
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn save(args: &Save) -> anyhow::Result<Code> {
    let status = block_on(args.target.client()?.status())??;
    let (apps, config) = (super::count(status.apps.len(), "app"), status.config.display());
    if args.json {
        let answer =
            serde_json::json!({ "config": status.config, "is_list": status.is_list, "apps": status.apps.len() });
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else if status.is_list {
        println!("{apps} in {config}: saved with every change, so there was nothing to do");
    } else {
        println!("{apps} in {config}, which is yours: portreeve does not write to it");
    }
    Ok(Code::Done)
}
