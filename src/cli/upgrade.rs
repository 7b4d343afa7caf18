//! `portreeve upgrade`: has the supervisor become another version of the program, and returns when that serves.
//!
//! How it does is the supervisor's affair; here it is asked, and asked again until somebody else answers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::time::Instant;

use super::target::Target;
use super::{Code, block_on};
use crate::control::client::{Client, Error};
use crate::control::words::Status;

/// Longest wait for the new program and its proxy to serve; on a busy machine with many certificates it may take seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Which supervisor, and what it is to become.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve upgrade             the program that was installed in place of the running one
  portreeve upgrade --binary /opt/portreeve-1.3/portreeve

The workers are not touched, and no request is lost. The new program is asked first whether it understands the
configuration and all that it is to take over; if not, or if it does not come up, the running one goes on as before and the
exit code is 1. SIGUSR2 to the supervisor does the same as `portreeve upgrade`.")]
pub(super) struct Upgrade {
    #[command(flatten)]
    target: Target,
    /// The new program, in place of the one that stands where the running one was started from
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn upgrade(args: &Upgrade) -> anyhow::Result<Code> {
    let client = args.target.client()?;
    let before = block_on(client.status())??;
    let program = match &args.binary {
        Some(path) => Some(path.canonicalize().with_context(|| path.display().to_string())?),
        None => None,
    };
    match block_on(client.upgrade(program.as_deref()))? {
        // Its answer may have come too late to be written.
        Ok(()) | Err(Error::Broken(_)) => {}
        Err(Error::Refused(refusal)) => {
            tell(args, &before, Some(&refusal.error));
            return Ok(Code::Aborted);
        }
        Err(error) => return Err(error.into()),
    }
    let after = block_on(taken_over(&client, &before))??;
    tell(args, &after, after.line.refused.as_deref());
    Ok(if after.line.refused.is_none() { Code::Done } else { Code::Aborted })
}

/// Waits until another one answers, and one of its own proxies serves.
async fn taken_over(client: &Client, before: &Status) -> anyhow::Result<Status> {
    let deadline = Instant::now() + LIMIT;
    let known = before.proxies.iter().map(|proxy| proxy.number).max().unwrap_or_default();
    loop {
        if let Ok(Ok(status)) = tokio::time::timeout(LIMIT, client.status()).await
            && status.line.before > before.line.before
            && (status.line.refused.is_some() || has_new_proxy(&status, known))
        {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            bail!("the new program does not serve after {LIMIT:?}; `portreeve status` shows where it stands");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn has_new_proxy(status: &Status, known: u64) -> bool {
    status.proxies.iter().any(|proxy| proxy.number > known && proxy.state == "serving")
}

fn tell(args: &Upgrade, status: &Status, refused: Option<&str>) {
    if args.json {
        let Status { version, pid, .. } = status;
        let told =
            serde_json::json!({ "upgraded": refused.is_none(), "version": version, "pid": pid, "reason": refused });
        println!("{told}");
    } else if let Some(reason) = refused {
        eprintln!("portreeve: not upgraded: {reason}");
    } else {
        println!("upgraded: portreeve {}, pid {}", status.version, status.pid);
    }
}
