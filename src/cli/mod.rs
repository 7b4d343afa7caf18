//! The command line: one file a verb, and what they share.
//!
//! Verbs speak to a running supervisor through `control::client` only. Invariant: nothing here ends the process; every
//! verb returns its exit code, and the meaning of each code is in `codes`.

mod age;
mod check;
mod codes;
mod completions;
mod daemon;
mod delete;
mod demo;
mod demo_app;
mod diff;
mod drain;
mod ecosystem;
mod env;
mod exit_line;
mod flush;
mod fmt;
mod foreign;
mod help;
mod import;
mod info;
mod keys;
mod kill;
mod logs;
mod maintenance;
mod man;
mod monit;
mod outcome;
mod paint;
mod pause;
mod ping;
mod progress;
mod promote;
mod prove;
mod reload;
mod reset;
mod restart;
mod resurrect;
mod rollback;
mod run;
mod save;
mod scale;
mod schema;
mod select;
mod shell;
mod show;
mod signal;
mod start;
mod startup;
mod status;
mod stop;
mod table;
mod target;
#[cfg(test)]
mod testing;
mod unread;
mod upgrade;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config;
use crate::supervisor;
use crate::telemetry::tracing_setup;
use codes::{Code, Unreadable, Wrong, code_of};

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
   1  an app did not come up, or a reload was aborted and the old workers serve on
   2  rolled back: the new workers were bad, and the old ones serve again
   3  a newer order took its place
   4  refused: the configuration would be invalid
  64  wrong usage, or no such app
  69  no supervisor answers
  70  something else failed
  75  another supervisor has the admin socket (run)
  78  invalid configuration (run, check, start, import)

`portreeve VERB --help` shows examples. Try it without any app of your own: portreeve demo";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve: bind the ports, start the workers, supervise them until told to stop
    Run(run::Run),
    /// Read the configuration and say everything that is wrong with it
    #[command(after_help = "\
It also asks the machine: whether programs, folders, users and certificates are there. Nothing is started.

Examples:
  portreeve check
  portreeve check -c /etc/portreeve/portreeve.toml --env production
  portreeve check --json | jq '.problems[].message'")]
    Check {
        #[command(flatten)]
        source: Source,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show every value of the configuration, and where it is from
    Show(show::Show),
    /// Tell what a reload would change
    Diff(diff::Compare),
    /// Start an app: a script, a command, a configuration, or one that is stopped
    Start(Box<start::Start>),
    /// Stop apps; they stay known
    Stop(stop::Stop),
    /// Stop the workers of apps, then start others
    Restart(restart::Restart),
    /// Run more workers of apps, or fewer
    Scale(scale::Scale),
    /// Replace the workers with new ones, without losing a request
    Reload(reload::Reload),
    /// Let what served before the latest reload serve again
    Rollback(rollback::Rollback),
    /// Let a canary take over at once, before its time is over
    Promote(promote::Promote),
    /// Stop apps and forget them
    #[command(visible_aliases = ["del", "rm"])]
    Delete(delete::Delete),
    /// Take workers out of the traffic; they finish what they have, and stay up
    Drain(drain::Drain),
    /// Put drained workers into the traffic again
    Undrain(drain::Drain),
    /// Let requests for apps wait
    Pause(pause::Pause),
    /// Let the waiting requests go on, in their order
    Resume(pause::Pause),
    /// Answer every request with a page, or no longer
    Maintenance(maintenance::Maintenance),
    /// Send a signal to every worker of apps
    #[command(alias = "sendSignal")]
    Signal(signal::Signal),
    /// Count the restarts of apps from 0 again
    Reset(reset::Reset),
    /// Show what the workers of an app find in their environment
    Env(env::Env),
    /// Show what runs
    #[command(visible_aliases = ["ls", "list", "l", "ps"])]
    Status(status::Show),
    /// Tell the whole story of an app: settings, workers, changes, ends
    #[command(visible_aliases = ["describe", "desc"])]
    Info(info::Describe),
    /// Empty the log files of apps
    Flush(flush::Flush),
    /// Show what the workers have printed, and print
    Logs(logs::Logs),
    /// Show what goes on, live, and take orders by key
    #[command(after_help = "\
Keys: q quits, the arrows choose an app, r reloads it, R restarts it, + and - scale it, d and u drain it and let it be
used again, l shows its lines alone.

Examples:
  portreeve monit
  portreeve monit -c site.toml    of the supervisor of that configuration")]
    Monit {
        #[command(flatten)]
        target: target::Target,
    },
    /// Write the configuration in its usual form, with all comments
    #[command(after_help = "\
Spaces, blank lines and ends of lines are put right; the order of things stays.

Examples:
  portreeve fmt
  portreeve fmt --check -c site.toml    changes nothing; for a test")]
    Fmt {
        /// The configuration file
        #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
        /// Change nothing, only say whether anything would be
        #[arg(long)]
        check: bool,
    },
    /// Write the JSON Schema of the configuration, for editors
    #[command(after_help = "\
An editor that knows Taplo's schemas (Even Better TOML in VS Code, taplo itself) then completes keys, shows what they mean
and marks what cannot be. `portreeve check` stays the judge: it also sees what keys have to do with each other.

Examples:
  portreeve schema > portreeve.schema.json
  and as the first line of portreeve.toml:  #:schema ./portreeve.schema.json")]
    Schema,
    /// Write the completion script of a shell, which knows the apps that run
    #[command(after_help = "\
Examples:
  portreeve completions bash > ~/.local/share/bash-completion/completions/portreeve
  portreeve completions zsh > ~/.zfunc/_portreeve
  portreeve completions fish > ~/.config/fish/completions/portreeve.fish")]
    Completions { shell: completions::Kind },
    /// Write the manual page, or with --dir a page for each verb
    #[command(after_help = "\
Examples:
  portreeve man | man -l -
  portreeve man --dir /usr/local/share/man/man1")]
    Man {
        /// The folder for the pages
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
    /// Translate the configuration of another program into portreeve.toml
    Import(import::Import),
    /// Reload an app again and again under load, and count what is lost
    Prove(prove::Prove),
    /// Say whether a supervisor answers, and which
    Ping(ping::Ping),
    /// Replace portreeve itself by another version of it, without losing a request
    Upgrade(upgrade::Upgrade),
    /// Finish what is in flight, stop everything and the supervisor
    Kill(kill::Kill),
    /// Say that the list of apps is saved, as it always is
    Save(save::Save),
    /// Start a supervisor in the background with the list of apps
    Resurrect(resurrect::Resurrect),
    /// Have portreeve started when the machine is
    Startup(startup::Startup),
    /// Take back what startup did
    Unstartup(startup::Unstartup),
    /// Serve a built-in app on free ports, and say what to try
    #[command(after_help = "\
Ctrl-C ends it, and nothing stays behind.

Examples:
  portreeve demo")]
    Demo,
    /// The names of the apps that run; for completions
    #[command(hide = true)]
    AppNames {
        #[command(flatten)]
        target: target::Target,
    },
    /// The data plane; started by the supervisor
    #[command(hide = true)]
    Proxy {
        #[arg(long)]
        log_level: String,
        #[arg(long)]
        log_json: bool,
    },
    /// Says whether it could take over; asked by a supervisor that is about to be upgraded
    #[command(hide = true)]
    TakeOver,
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

/// Runs the verb that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    let read = help::grouped(command()).try_get_matches();
    let code = match read.and_then(|matches| Cli::from_arg_matches(&matches)) {
        // Those that serve print nothing that somebody waits for.
        Ok(cli) if matches!(cli.verb, Verb::Run(_) | Verb::Proxy { .. } | Verb::DemoApp) => dispatch(cli.verb),
        Ok(cli) => unread::forgiven(|| dispatch(cli.verb)),
        Err(error) => {
            let code = if error.use_stderr() { Code::Usage } else { Code::Done };
            match foreign::advice(&error) {
                Some(advice) => eprintln!("portreeve: {advice}"),
                // Help that nobody reads is no failure.
                None => drop(error.print()),
            }
            code
        }
    };
    ExitCode::from(code as u8)
}

/// The command line, with all that its help tells.
fn command() -> clap::Command {
    codes::told(Cli::command())
}

fn dispatch(verb: Verb) -> Code {
    let result = match verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check { source, json } => check::check(&source, json),
        Verb::Show(args) => show::show(&args),
        Verb::Diff(args) => diff::diff(&args),
        Verb::Fmt { config, check } => fmt::fmt(&config, check),
        Verb::Start(args) => start::start(&args),
        Verb::Stop(args) => stop::stop(&args),
        Verb::Restart(args) => restart::restart(&args),
        Verb::Scale(args) => scale::scale(&args),
        Verb::Reload(args) => reload::reload(&args),
        Verb::Rollback(args) => rollback::rollback(&args),
        Verb::Promote(args) => promote::promote(&args),
        Verb::Delete(args) => delete::delete(&args),
        Verb::Drain(args) => drain::drain(&args),
        Verb::Undrain(args) => drain::undrain(&args),
        Verb::Pause(args) => pause::pause(&args),
        Verb::Resume(args) => pause::resume(&args),
        Verb::Maintenance(args) => maintenance::maintenance(&args),
        Verb::Signal(args) => signal::signal(&args),
        Verb::Reset(args) => reset::reset(&args),
        Verb::Env(args) => env::env(&args),
        Verb::Status(args) => status::status(&args),
        Verb::Info(args) => info::info(&args),
        Verb::Flush(args) => flush::flush(&args),
        Verb::Logs(logs) => logs::logs(&logs),
        Verb::Monit { target } => monit::monit(&target),
        Verb::Import(import) => import::import(&import),
        Verb::Prove(args) => prove::prove(&args),
        Verb::Ping(args) => ping::ping(&args),
        Verb::Upgrade(args) => upgrade::upgrade(&args),
        Verb::Kill(args) => kill::kill(&args),
        Verb::Save(args) => save::save(&args),
        Verb::Resurrect(args) => resurrect::resurrect(&args),
        Verb::Startup(args) => startup::startup(&args),
        Verb::Unstartup(args) => startup::unstartup(&args),
        Verb::Schema => schema::schema(),
        Verb::Completions { shell } => Ok(completions::completions(shell, command())),
        Verb::Man { dir } => man::man(command(), dir.as_deref()),
        Verb::AppNames { target } => Ok(completions::app_names(&target)),
        Verb::Demo => demo::demo(),
        Verb::Proxy { log_level, log_json } => run::proxy(&log_level, log_json),
        Verb::TakeOver => run::judge(),
        Verb::DemoApp => demo_app::serve(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("portreeve: {error:#}");
        code_of(&error)
    })
}

/// `1 app`, `2 apps`.
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
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

/// Prints what the machine lacks or does not permit; true when it keeps the configuration from working.
fn ask_the_machine(loaded: &config::Loaded) -> bool {
    use std::io::IsTerminal;
    let color = std::io::stderr().is_terminal();
    let permits = supervisor::Here::look().map(|here| config::permits(loaded, &here));
    let problems = [Some(config::verify(loaded)), permits.ok()];
    let said = problems.iter().flatten();
    said.fold(false, |has_errors, problems| {
        eprint!("{}", problems.render(color));
        has_errors || problems.has_errors()
    })
}

fn install_log(level: &str, json: bool) -> anyhow::Result<()> {
    Ok(tracing_setup::install(level, json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_code_is_explained_in_the_help() {
        for code in Code::ALL {
            let number = (code as u8).to_string();
            assert!(AFTER_HELP.split(|c: char| !c.is_ascii_digit()).any(|word| word == number), "{code:?}");
        }
    }
}
