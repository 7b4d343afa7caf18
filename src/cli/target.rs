//! Which supervisor a verb speaks to, and which apps it is about.
//!
//! By its socket, by a configuration file, by `portreeve.toml` here if somebody answers for it, else the one of this home.

use std::path::{Path, PathBuf};

use clap::Args;

use super::ecosystem::{self, Choice};
use super::{DEFAULT_CONFIG, Unreadable, Wrong, block_on, select};
use crate::config::{self, home};
use crate::control::client::Client;
use crate::control::words::Status;
use crate::id::AppName;

/// What `--only` is for.
pub(super) const ONLY: &str = "--only chooses among the apps of a PM2 configuration: name that file as well";

/// Which supervisor is meant.
#[derive(Args, Clone, Debug)]
pub(super) struct Target {
    /// The configuration file that names the admin socket
    #[arg(short, long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    /// The admin socket itself
    #[arg(long, value_name = "PATH", env = "PORTREEVE_SOCKET")]
    socket: Option<PathBuf>,
}

/// Which apps are meant.
#[derive(Args, Clone, Debug)]
pub(super) struct Apps {
    /// Names, ids, patterns such as 'web-*', all, or a PM2 configuration, for the apps in it
    #[arg(id = "apps", value_name = "APP", required = true)]
    pub(super) words: Vec<String>,
    #[command(flatten)]
    pub(super) choice: Choice,
    #[command(flatten)]
    pub(super) target: Target,
    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Target {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let of_file = |file: &Path| {
            let socket = config::admin_socket(file).map_err(|problems| Unreadable(problems.to_string()))?;
            anyhow::Ok(Client::new(socket))
        };
        if let Some(socket) = &self.socket {
            return Ok(Client::new(socket.clone()));
        }
        if let Some(file) = &self.config {
            return of_file(file);
        }
        let here = Path::new(DEFAULT_CONFIG);
        let near = if here.exists() { Some(of_file(here)?) } else { None };
        let home = Client::new(home::admin_socket());
        Ok(near.filter(|near| is_there(near) || !is_there(&home)).unwrap_or(home))
    }

    /// Is it left to us which supervisor it is?
    pub(super) fn is_open(&self) -> bool {
        self.config.is_none() && self.socket.is_none()
    }
}

fn is_there(client: &Client) -> bool {
    std::os::unix::net::UnixStream::connect(client.socket()).is_ok()
}

impl Apps {
    /// The supervisor, what it says of itself, and the apps that are meant of those that it has.
    pub(super) fn find(&self) -> anyhow::Result<(Client, Status, Vec<AppName>)> {
        let client = self.target.client()?;
        let status = block_on(client.status())??;
        let apps = match ecosystem::alone(&self.words)? {
            Some(path) => self.of_file(path, &status)?,
            None if !self.choice.only.is_empty() => return Err(Wrong(ONLY.to_owned()).into()),
            None => select::find(&self.words, &status.apps).map_err(Wrong)?,
        };
        Ok((client, status, apps))
    }

    /// Those of a PM2 configuration that are known; none of them is too few.
    fn of_file(&self, path: &Path, status: &Status) -> anyhow::Result<Vec<AppName>> {
        let mut names = ecosystem::File { path, profile: None, choice: &self.choice }.names()?;
        let known = |name: &AppName| status.apps.iter().any(|app| app.name == *name);
        names.retain(known);
        let none = || Wrong(format!("none of the apps in {} is known; `portreeve start` starts them", path.display()));
        if names.is_empty() { Err(none().into()) } else { Ok(names) }
    }
}
