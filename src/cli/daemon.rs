//! A supervisor in the background: started when none answers, and waited for until it does or says why not.
//!
//! It runs under a keeper, unless it is said otherwise: nobody else would start it again.
//!
//! No file of process ids: who has the lock beside the admin socket is the supervisor, and whoever came second goes again
//! and leaves the caller to the one that was first.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::time::Instant;

use super::{Code, block_on};
use crate::control::client::Client;
use crate::control::words::Status;
use crate::sys::spawn::{self, Child, Exit, Spawn, Stdio};

/// Longest wait for a supervisor's first answer; on a busy machine with many certificates it may take seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A log that is larger is put aside when the next supervisor begins.
const LARGE: u64 = 10 << 20;

/// Lines of its log that are shown when it did not come up.
const SHOWN_LINES: usize = 20;

/// A supervisor to be started in the background.
pub(super) struct Daemon {
    /// The verb and its options.
    pub(super) words: Vec<OsString>,
    /// Takes what it writes about itself.
    pub(super) log: PathBuf,
}

impl Daemon {
    /// Starts it, unless another one answers first; returns what the one that answers says of itself.
    pub(super) fn start(&self, client: &Client) -> anyhow::Result<Status> {
        let began = self.log_size();
        block_on(async {
            let deadline = Instant::now() + LIMIT;
            loop {
                let mut child = self.spawn()?;
                match answered(client, &mut child, deadline).await {
                    Wait::Answered(status) => {
                        child.set_free();
                        return Ok(*status);
                    }
                    // Somebody else has the place, and is on its way up or down.
                    Wait::Ended(exit) if exit.code() == Some(Code::Taken as i32) && Instant::now() < deadline => {
                        tokio::time::sleep(PAUSE).await;
                    }
                    Wait::Ended(exit) => bail!("it did not come up ({exit}){}", self.last_words(began)),
                    Wait::TooLong => {
                        bail!("it has not answered within {LIMIT:?}, and was stopped{}", self.last_words(began));
                    }
                }
            }
        })?
        .context("start portreeve in the background")
    }

    /// In a session of its own, so that the end of a terminal is not its end.
    fn spawn(&self) -> anyhow::Result<Child> {
        let log = self.open_log().with_context(|| self.log.display().to_string())?;
        let own = |file: &File| Ok::<_, io::Error>(Stdio::Fd(OwnedFd::from(file.try_clone()?)));
        let program = std::env::current_exe().context("find our own program")?;
        let args = std::iter::once("portreeve".into()).chain(self.words.iter().cloned()).collect();
        // A service manager that watches whoever called us does not watch it.
        let env =
            std::env::vars_os().filter(|(name, _)| name != "NOTIFY_SOCKET" && name != "PORTREEVE_SOCKET").collect();
        let spawn = Spawn {
            args,
            env,
            directory: Some("/".into()),
            stdin: Stdio::Null,
            stdout: own(&log)?,
            stderr: own(&log)?,
            ..Spawn::new(program)
        };
        Ok(spawn::spawn(spawn)?)
    }

    fn open_log(&self) -> io::Result<File> {
        if let Some(folder) = self.log.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        if self.log_size() > LARGE {
            fs::rename(&self.log, self.log.with_extension("log.1"))?;
        }
        File::options().create(true).append(true).mode(0o600).open(&self.log)
    }

    fn log_size(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |found| found.len())
    }

    /// What it has written since the log had this size.
    fn last_words(&self, began: u64) -> String {
        let all = fs::read(&self.log).unwrap_or_default();
        let new = all.get(usize::try_from(began).unwrap_or(0)..).unwrap_or(&all);
        let text = String::from_utf8_lossy(new);
        let lines: Vec<_> = text.lines().collect();
        let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].iter();
        let shown: String = shown.flat_map(|line| ["\n  | ", line]).collect();
        format!("; {} says:{shown}", self.log.display())
    }
}

/// What came of waiting.
enum Wait {
    Answered(Box<Status>),
    Ended(Exit),
    TooLong,
}

async fn answered(client: &Client, child: &mut Child, deadline: Instant) -> Wait {
    loop {
        tokio::select! {
            exit = child.wait() => return exit.map_or(Wait::TooLong, Wait::Ended),
            answer = asked(client) => match answer {
                Some(status) => return Wait::Answered(Box::new(status)),
                None if Instant::now() >= deadline => return Wait::TooLong,
                None => {}
            },
        }
    }
}

/// Asks once, and pauses if there is no answer.
async fn asked(client: &Client) -> Option<Status> {
    if let Ok(Ok(status)) = tokio::time::timeout(LIMIT, client.status()).await {
        return Some(status);
    }
    tokio::time::sleep(PAUSE).await;
    None
}

/// Is a small process to be kept above the supervisor?
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Keeping {
    /// If that starts portreeve: without the small process above it, which would start it again with all that lives when it
    /// is killed
    #[arg(long)]
    pub(super) no_keep: bool,
}

impl Keeping {
    fn word(self) -> Option<OsString> {
        (!self.no_keep).then(|| "--keep".into())
    }
}

/// The supervisor that serves this file, in the background.
pub(super) fn of_file(file: &Path, profile: Option<&str>, folder: &Path, keeping: Keeping) -> Daemon {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut words = vec!["run".into(), "-c".into(), file.into()];
    words.extend(keeping.word());
    words.extend(profile.into_iter().flat_map(|profile| ["--env".into(), profile.into()]));
    Daemon { words, log: folder.join(format!("{name}.toml.log")) }
}

/// The supervisor of the list of apps, in the background.
pub(super) fn of_list(home: &crate::config::home::Home, keeping: Keeping) -> Daemon {
    let words = ["run".into(), "--list".into()].into_iter().chain(keeping.word());
    Daemon { words: words.collect(), log: home.log() }
}
