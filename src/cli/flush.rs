//! `portreeve flush`: empties the log files of apps.
//!
//! What is in them is gone; that is what the verb is for.

use clap::Args;

use super::target::Target;
use super::{Code, Wrong, block_on, count, select};
use crate::control::words::Flushed;

/// Whose files.
#[derive(Args, Debug)]
#[command(after_help = "\
What rotation has put aside stays, and so does the log of portreeve itself. Lines that are written meanwhile are
not lost, but come after the emptying or are emptied, too.

Examples:
  portreeve flush           the files of all apps
  portreeve flush web 'api-*'")]
pub(super) struct Flush {
    /// Names, ids, patterns such as 'web-*', or all, which is also meant when none is named
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn flush(args: &Flush) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let status = block_on(client.status())??;
    let all = ["all".to_owned()];
    let words = if args.apps.is_empty() { &all[..] } else { &args.apps };
    let apps = select::find(words, &status.apps).map_err(Wrong)?;
    let flushed = if apps.is_empty() { Flushed::default() } else { block_on(client.flush(&apps))?? };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&flushed)?);
        return Ok(Code::Done);
    }
    println!("{} of {} emptied", count(flushed.files.len(), "log file"), count(apps.len(), "app"));
    for file in &flushed.files {
        println!("  {}", file.display());
    }
    Ok(Code::Done)
}
