//! The command line: one file a verb, and what they share.
//!
//! Verbs speak to a running supervisor through `control::client` only. Invariant: nothing here ends the process; every
//! verb returns its exit code, and the meaning of each code is in [`Code`].

mod age;
mod check;
mod demo;
mod demo_app;
mod import;
mod logs;
mod monit;
mod reload;
mod run;
mod status;
mod stop;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config;
use crate::control::Scope;
use crate::control::client::{self, Client};
use crate::id::AppName;
use crate::telemetry::tracing_setup;

/// The configuration that is read when none is named.
const DEFAULT_CONFIG: &str = "portreeve.toml";

/// Owns the public port, hands traffic to the workers that it starts, and reloads them without losing a request.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Exit codes:
   0  done
   1  a reload was aborted; the old workers serve on
   3  a newer reload took its place
   4  a reload was refused: the configuration is invalid
  64  wrong usage
  69  no supervisor answers
  70  something else failed
  78  invalid configuration (run, check, import)

Try it without any app of your own: portreeve demo";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve: bind the ports, start the workers, supervise them until told to stop
    Run(Source),
    /// Read the configuration and say everything that is wrong with it
    Check(Source),
    /// Replace the workers with new ones that read the configuration and the code anew, without losing a request
    #[command(after_help = "Same as SIGHUP to the supervisor, but waits for the end and tells how it went.")]
    Reload {
        /// Only this app; else all
        app: Option<AppName>,
        /// Use this profile of the apps' variables from now on; else the one that is in use
        #[arg(long = "env", value_name = "PROFILE", value_parser = config::profile_name, conflicts_with = "app")]
        profile: Option<String>,
        #[command(flatten)]
        target: Target,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what runs
    Status {
        #[command(flatten)]
        target: Target,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the workers have printed, and print
    Logs(logs::Logs),
    /// Show what goes on, live, and take orders by key
    Monit {
        #[command(flatten)]
        target: Target,
    },
    /// Finish what is in flight, stop the workers and the supervisor
    Stop {
        #[command(flatten)]
        target: Target,
    },
    /// Translate the configuration of another program into a commented portreeve.toml
    Import(import::Import),
    /// Serve a built-in app on free ports with a certificate made on the spot, and say what to try
    Demo,
    /// The data plane; started by the supervisor
    #[command(hide = true)]
    Proxy {
        #[arg(long)]
        log_level: String,
        #[arg(long)]
        log_json: bool,
    },
    /// The built-in app of the demo; started by the supervisor
    #[command(hide = true)]
    DemoApp,
}

/// Where the configuration is.
#[derive(Args, Debug)]
struct Source {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The profile of the apps' variables, such as production for [app.web.env.production]
    #[arg(long = "env", value_name = "PROFILE", env = "PORTREEVE_ENV", value_parser = config::profile_name)]
    profile: Option<String>,
}

/// Which supervisor is meant.
#[derive(Args, Debug)]
struct Target {
    /// The configuration file that names the admin socket
    #[arg(short, long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    /// The admin socket itself
    #[arg(long, value_name = "PATH", env = "PORTREEVE_SOCKET")]
    socket: Option<PathBuf>,
}

/// What the process ends with; the numbers from 64 on are those of sysexits(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Done = 0,
    Aborted = 1,
    Superseded = 3,
    Invalid = 4,
    Usage = 64,
    Unavailable = 69,
    Software = 70,
    Config = 78,
}

/// Runs the verb that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    let code = match Cli::try_parse() {
        Ok(cli) => dispatch(cli.verb),
        Err(error) => {
            let code = if error.use_stderr() { Code::Usage } else { Code::Done };
            // Help that nobody reads is no failure.
            let _ = error.print();
            code
        }
    };
    ExitCode::from(code as u8)
}

fn dispatch(verb: Verb) -> Code {
    let result = match verb {
        Verb::Run(source) => run::run(&source),
        Verb::Check(source) => Ok(check::check(&source)),
        Verb::Reload { app, profile, target, json } => reload::reload(&target, &Scope { app, profile }, json),
        Verb::Status { target, json } => status::status(&target, json),
        Verb::Logs(logs) => logs::logs(&logs),
        Verb::Monit { target } => monit::monit(&target),
        Verb::Stop { target } => stop::stop(&target),
        Verb::Import(import) => import::import(&import),
        Verb::Demo => demo::demo(),
        Verb::Proxy { log_level, log_json } => run::proxy(&log_level, log_json),
        Verb::DemoApp => demo_app::serve(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("portreeve: {error:#}");
        code_of(&error)
    })
}

/// The code for a failure that a verb did not expect.
fn code_of(error: &anyhow::Error) -> Code {
    match error.downcast_ref::<client::Error>() {
        Some(client::Error::Unreachable { .. }) => Code::Unavailable,
        _ => Code::Software,
    }
}

impl Target {
    /// The supervisor that is meant: by its socket, by a configuration file, by `portreeve.toml` here if there is one,
    /// else by the socket that is used when none is configured.
    fn client(&self) -> anyhow::Result<Client> {
        if let Some(socket) = &self.socket {
            return Ok(Client::new(socket.clone()));
        }
        let here = PathBuf::from(DEFAULT_CONFIG);
        let file = self.config.clone().or_else(|| here.exists().then_some(here));
        let socket = match file {
            Some(file) => config::admin_socket(&file).map_err(|problems| anyhow::anyhow!("{problems}"))?,
            None => config::defaults::admin_socket(),
        };
        Ok(Client::new(socket))
    }
}

/// Runs one call to its end.
fn block_on<T>(call: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(call))
}

/// Reads a configuration for `run` and `check`; problems are printed and give `None`.
fn load(source: &Source) -> Option<config::Loaded> {
    use std::io::IsTerminal;
    let color = std::io::stderr().is_terminal();
    match config::load_with(&source.config, source.profile.as_deref()) {
        Ok(loaded) => {
            eprint!("{}", loaded.warnings.render(color));
            Some(loaded)
        }
        Err(problems) => {
            eprint!("{}", problems.render(color));
            None
        }
    }
}

fn install_log(level: &str, json: bool) -> anyhow::Result<()> {
    Ok(tracing_setup::install(level, json)?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_code_is_explained_in_the_help() {
        let codes = [Code::Done, Code::Aborted, Code::Superseded, Code::Invalid, Code::Usage, Code::Unavailable];
        for code in codes.into_iter().chain([Code::Software, Code::Config]) {
            let number = (code as u8).to_string();
            assert!(AFTER_HELP.split(|c: char| !c.is_ascii_digit()).any(|word| word == number), "{code:?}");
        }
    }
}
