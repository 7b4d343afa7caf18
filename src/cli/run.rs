//! `portreeve run`, and the hidden verb by which the supervisor starts its proxies.
//!
//! Reads the configuration, sets the log up, and hands over; it does not know what is done with either.

use clap::Args;

use super::{Code, Source};
use crate::config::home::Home;
use crate::config::list::{self, Found};
use crate::config::{self, LogFormat};
use crate::control::server::Claim;
use crate::supervisor::Heritage;
use crate::sys::socket;
use crate::{proxy, supervisor};

/// What is to be served.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  portreeve run                 serves portreeve.toml in this folder
  portreeve run -c /etc/portreeve/portreeve.toml
  portreeve run --list          serves the apps that `portreeve start` was given

It stays in the foreground, as systemd and containers want it. SIGHUP reloads, SIGTERM and SIGINT stop.")]
pub(super) struct Run {
    #[command(flatten)]
    source: Source,
    /// The list of apps that `start`, `stop` and `delete` edit, instead of a file
    #[arg(long, conflicts_with = "config")]
    list: bool,
    /// Keep a small process above the supervisor, which starts it again with everything that lives when it is killed; as the
    /// first process of a container this is so anyway
    #[arg(long)]
    keep: bool,
    /// Without that process, as PID 1 too
    #[arg(long, conflicts_with = "keep")]
    no_keep: bool,
}

pub(super) fn run(args: &Run) -> anyhow::Result<Code> {
    // Nobody is above the first process of a container who could start it again.
    let is_wanted = args.keep || (std::process::id() == 1 && !args.no_keep);
    if is_wanted && !supervisor::is_kept() {
        return Ok(Code::of(supervisor::keep()?));
    }
    match Heritage::find() {
        Ok(Some(heritage)) => return take_over(heritage),
        Ok(None) => {}
        Err(reason) => anyhow::bail!("cannot take over: {reason}"),
    }
    if args.list {
        return run_list();
    }
    let Some(loaded) = super::load(&args.source) else { return Ok(Code::Config) };
    serve(loaded, options())
}

fn run_list() -> anyhow::Result<Code> {
    let home = Home::find();
    // Before the list is looked at: another supervisor may be writing it.
    let claim = Claim::take(home.socket()).map_err(supervisor::Error::from)?;
    match list::look_after(&home.list())? {
        Found::Sound | Found::Made => {}
        Found::SetAside { aside, reason, has_backup } => {
            let instead = if has_backup { "the backup took its place" } else { "an empty one took its place" };
            eprintln!("the list of apps is damaged and was set aside as {}; {instead}: {reason}", aside.display());
        }
    }
    let Some(loaded) = super::load(&Source { config: home.list(), profile: None }) else { return Ok(Code::Config) };
    if loaded.config.admin.socket != home.socket() {
        let [list, socket] = [&home.list(), home.socket()].map(|path| path.display().to_string());
        eprintln!("{list}: the admin socket of a home is {socket}; take [admin] out");
        return Ok(Code::Config);
    }
    serve(loaded, supervisor::Options { is_list: true, claim: Some(claim), ..options() })
}

/// Goes on where an earlier image of this program was, under the configuration that was in force.
fn take_over(heritage: Heritage) -> anyhow::Result<Code> {
    match heritage.config() {
        Ok(loaded) => {
            let options = supervisor::Options { is_list: heritage.is_list(), ..options() };
            serve(loaded, supervisor::Options { heritage: Some(heritage), ..options })
        }
        Err(reason) => anyhow::bail!("cannot take over: {}", heritage.give_back(&reason)),
    }
}

/// Says whether this program could take over from the supervisor whose ledger is on its standard input.
pub(super) fn judge() -> anyhow::Result<Code> {
    supervisor::judge(std::io::stdin()).map_err(anyhow::Error::msg)?;
    Ok(Code::Done)
}

fn options() -> supervisor::Options {
    supervisor::Options { state: Some(Home::state_folder()), ..supervisor::Options::default() }
}

fn serve(loaded: config::Loaded, options: supervisor::Options) -> anyhow::Result<Code> {
    // What the machine lacks may be there in a moment, and concerns one app only: say it and begin.
    super::ask_the_machine(&loaded);
    let config = loaded.config;
    super::install_log(&config.log.level, config.log.format == LogFormat::Json)?;
    if options.heritage.is_none() {
        supervisor::clear_service();
    }
    supervisor::run(config, options)?;
    Ok(Code::Done)
}

pub(super) fn proxy(log_level: &str, log_json: bool) -> anyhow::Result<Code> {
    super::install_log(log_level, log_json)?;
    let ends = proxy::Ends { link: socket::adopt(proxy::LINK)?, relink: socket::adopt(proxy::RELINK)? };
    proxy::run(ends)?;
    Ok(Code::Done)
}
