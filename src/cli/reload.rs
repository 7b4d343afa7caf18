//! `portreeve reload`: begins a reload, waits for its end, and tells the truth about it.
//!
//! The exit code is part of the answer: a deploy script goes by it.

use clap::Args;

use super::target::Target;
use super::{Code, Wrong, block_on, outcome, select};
use crate::control::Scope;
use crate::control::words::Order;

/// What is to be reloaded.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve reload              everything, and all else that the configuration says
  portreeve reload web          only web: its settings and its code
  portreeve reload 'web-*' 3    those that match, and the app with id 3

Without apps it is the same as SIGHUP to the supervisor, but waits for the end and tells how it went.")]
pub(super) struct Reload {
    /// Names, ids, patterns such as 'web-*', or all; without any: everything
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// Use this profile of the apps' variables from now on; else the one that is in use
    #[arg(long = "env", value_name = "PROFILE", value_parser = crate::config::profile_name, conflicts_with = "apps")]
    profile: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn reload(args: &Reload) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let mut apps = Vec::new();
    if !args.apps.is_empty() {
        // An app that is new in the file is not known to the supervisor yet: a plain name is passed on as it is.
        let status = block_on(client.status())??;
        for word in &args.apps {
            match (select::find(std::slice::from_ref(word), &status.apps), word.parse()) {
                (Ok(found), _) => apps.extend(found),
                (Err(_), Ok(name)) if !word.bytes().all(|byte| byte.is_ascii_digit()) => apps.push(name),
                (Err(error), _) => return Err(Wrong(error).into()),
            }
        }
    }
    let answer = block_on(client.reload(&Scope { apps, profile: args.profile.clone() }))?;
    outcome::show(&client, Order::Reload, answer, args.json)
}
