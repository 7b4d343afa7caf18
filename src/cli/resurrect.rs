//! `portreeve resurrect`: starts a supervisor in the background with the list of apps, and waits until they serve.
//!
//! What was stopped stays stopped. With one that runs already nothing is started twice.

use clap::Args;

use super::{Code, block_on, daemon, outcome};
use crate::config::home::Home;
use crate::control::client::Client;
use crate::control::words::{Order, Status};
use crate::id::AppName;

/// How to answer.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve kill && portreeve resurrect     a new supervisor with the same apps

`portreeve startup` does this when the machine is started.")]
pub(super) struct Resurrect {
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    keeping: daemon::Keeping,
}

pub(super) fn resurrect(args: &Resurrect) -> anyhow::Result<Code> {
    let home = Home::find();
    let client = Client::new(home.socket().to_owned());
    if let Ok(status) = block_on(client.status())? {
        println!("portreeve runs already, pid {}, with {}", status.pid, super::count(status.apps.len(), "app"));
        return Ok(Code::Done);
    }
    let status = daemon::of_list(&home, args.keeping).start(&client)?;
    if !args.json {
        println!("portreeve runs in the background, pid {}; its log: {}", status.pid, home.log().display());
    }
    await_all(&client, &status, args.json)
}

/// Waits until every app that is switched on serves, or has failed.
pub(super) fn await_all(client: &Client, status: &Status, json: bool) -> anyhow::Result<Code> {
    let apps: Vec<AppName> =
        status.apps.iter().filter(|app| app.state != "stopped").map(|app| app.name.clone()).collect();
    if apps.is_empty() {
        println!("no app is switched on; `portreeve start SCRIPT` adds one");
        return Ok(Code::Done);
    }
    let answer = block_on(client.order(Order::Start, &apps))?;
    outcome::show(client, Order::Start, answer, json)
}
