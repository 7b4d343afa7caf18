//! `portreeve drain` and `undrain`: takes a worker, or all of an app, out of the traffic by hand, and back.
//!
//! The worker stays up and finishes what it has. A drain ends with its worker.

use clap::Args;

use super::target::Target;
use super::{Code, Wrong, block_on, count, select};
use crate::control::words::Diversion;
use crate::id::{AppName, Slot};

/// Which workers.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve drain web:0      the worker in slot 0 of web gets no more requests, and stays up
  portreeve drain web        all of web's workers; requests are answered with 503
  portreeve undrain web      and back

A drain ends with its worker: what comes after it, by a reload, a restart or a crash, gets requests. `portreeve status` shows
what is drained, and how many requests are still in flight.")]
pub(super) struct Drain {
    /// An app by name, id, pattern or all; with :SLOT one worker of it
    #[arg(id = "apps", value_name = "APP[:SLOT]", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn drain(args: &Drain) -> anyhow::Result<Code> {
    carry_out(args, "drained", Diversion::Drain)
}

pub(super) fn undrain(args: &Drain) -> anyhow::Result<Code> {
    carry_out(args, "in the traffic again", Diversion::Undrain)
}

fn carry_out(args: &Drain, done: &str, diversion: fn(Vec<Slot>) -> Diversion) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let status = block_on(client.status())??;
    let mut meant: Vec<(Vec<AppName>, Vec<Slot>)> = Vec::new();
    for word in &args.words {
        let (app, slots) = split(word).map_err(Wrong)?;
        meant.push((select::find(&[app.to_owned()], &status.apps).map_err(Wrong)?, slots));
    }
    let mut workers = 0;
    for (apps, slots) in meant.into_iter().filter(|(apps, _)| !apps.is_empty()) {
        workers += block_on(client.divert(&apps, &diversion(slots)))??.workers;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&crate::control::words::Reached { workers })?);
    } else {
        println!("{}: {done}", count(workers, "worker"));
    }
    Ok(Code::Done)
}

/// `web:0`: one slot of web.
fn split(word: &str) -> Result<(&str, Vec<Slot>), String> {
    let Some((app, slot)) = word.rsplit_once(':') else { return Ok((word, Vec::new())) };
    let slot =
        slot.parse().map_err(|_| format!("{word}: behind the colon stands the number of a slot, as in web:0"))?;
    Ok((app, vec![Slot(slot)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_leads_to_a_slot() {
        assert_eq!(split("web"), Ok(("web", Vec::new())));
        assert_eq!(split("web:3"), Ok(("web", vec![Slot(3)])));
        assert!(split("web:x").unwrap_err().contains("web:0"));
    }
}
