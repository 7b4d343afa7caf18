//! `portreeve scale`: has apps run more workers, or fewer, without a reload.
//!
//! What comes of the number later, in a file that is not ours or in the list of apps, is for the supervisor to say.

use clap::Args;

use super::target::Target;
use super::{Code, Wrong, block_on, outcome, select};
use crate::control::Scaling;
use crate::control::words::Order;

/// Which apps, and how many workers.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve scale web 4         web has four workers
  portreeve scale web +2        two more than it has now
  portreeve scale 'api-*' -1    one fewer in each app that matches

New workers have to become ready as any other, and then get requests. Surplus ones get no more requests, finish what they
have and end, one after another, and only while enough others serve. It waits for that; the end of the wait by Ctrl-C
changes nothing.

An app that was started by `portreeve start` keeps the number, in the list of apps. For an app of a configuration file it
holds over reloads until the file says another number than now, or until portreeve is started anew.")]
pub(super) struct Scale {
    /// Names, ids, patterns such as 'web-*', or all
    #[arg(value_name = "APP", required = true, allow_negative_numbers = true)]
    apps: Vec<String>,
    /// So many workers, or so many more or fewer
    #[arg(value_name = "N|+N|-N", required = true, allow_negative_numbers = true)]
    workers: Scaling,
    #[command(flatten)]
    target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn scale(args: &Scale) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let status = block_on(client.status())??;
    let apps = select::find(&args.apps, &status.apps).map_err(Wrong)?;
    if apps.is_empty() {
        println!("there is no app to scale");
        return Ok(Code::Done);
    }
    let answer = block_on(client.scale(&apps, args.workers))?;
    outcome::show(&client, Order::Scale, answer, args.json)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        scale: Scale,
    }

    #[test]
    fn the_number_comes_last_and_may_have_a_sign() {
        for (words, apps, workers) in [
            (&["web", "4"][..], &["web"][..], Scaling::To(4)),
            (&["web", "+2"], &["web"], Scaling::More(2)),
            (&["web", "-2"], &["web"], Scaling::Fewer(2)),
            (&["web", "3", "-1", "--json"], &["web", "3"], Scaling::Fewer(1)),
            (&["--json", "all", "0"], &["all"], Scaling::To(0)),
        ] {
            let line = Line::try_parse_from(["scale"].iter().chain(words)).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                (line.scale.apps.as_slice(), line.scale.workers),
                (&apps.iter().map(ToString::to_string).collect::<Vec<_>>()[..], workers)
            );
        }
        for words in [&["web"][..], &["4"], &["web", "four"], &["web", "-x"]] {
            assert!(Line::try_parse_from(["scale"].iter().chain(words)).is_err(), "{words:?}");
        }
    }
}
