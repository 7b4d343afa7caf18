//! `portreeve env`: what the workers of an app find in their environment.
//!
//! Values that look like secrets are shown as stars unless they are asked for: output ends up in tickets and on screens.

use clap::Args;

use super::target::Apps;
use super::{Code, Wrong, block_on};

/// Parts of a name by which a value is taken to be secret.
const SECRET: [&str; 10] =
    ["SECRET", "TOKEN", "PASS", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "DSN", "DATABASE_URL", "COOKIE"];

/// Whose environment.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve env web
  portreeve env web --reveal    with the secrets")]
pub(super) struct Env {
    #[command(flatten)]
    apps: Apps,
    /// Show the values that look like secrets
    #[arg(long)]
    reveal: bool,
}

pub(super) fn env(args: &Env) -> anyhow::Result<Code> {
    let (client, _, apps) = args.apps.find()?;
    let [app] = &apps[..] else { return Err(Wrong("name one app".to_owned()).into()) };
    let mut environment = block_on(client.env(app))??;
    if !args.reveal {
        let secrets = environment.variables.iter_mut().filter(|(name, value)| is_secret(name) && !value.is_empty());
        secrets.for_each(|(_, value)| "********".clone_into(value));
    }
    if args.apps.json {
        println!("{}", serde_json::to_string_pretty(&environment)?);
    } else {
        environment.variables.iter().for_each(|(name, value)| println!("{name}={value}"));
    }
    Ok(Code::Done)
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_one() {
        for name in ["AWS_SECRET_ACCESS_KEY", "db_password", "GITHUB_TOKEN", "DATABASE_URL", "SSH_AUTH_SOCK"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["PORT", "NODE_ENV", "PATH", "HOME", "LANG"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
