//! The supervisor replaces itself by another program, told in order: check that program, stop reading, write the ledger, become it.
//!
//! The process stays, and with it its children and its descriptors; nothing that passes between clients and workers goes
//! through it, so nobody waits. Invariants: the program that was checked is the one that is run, whatever stands at its path
//! by then; until it is known to understand the ledger and the configuration nothing has changed; a line that a worker has
//! printed, or a message that it has sent, is in the ledger, in the kernel, or already where it belongs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::estate::{Will, become_next};
use super::ledger::Ledger;
use crate::control::words::{Refusal, RefusalKind};
use crate::id::Serial;
use crate::supervisor::event::Event;
use crate::supervisor::output::HalfLines;
use crate::supervisor::{Notice, Supervisor, clock};
use crate::sys::spawn::{self, Spawn, Stdio};
use crate::sys::{handover, socket};

/// How long the next program may take to say whether it can take over.
const CHECK_LIMIT: Duration = Duration::from_secs(20);

/// How long a change of apps that is under way is waited for, with its hooks.
const PATIENCE: Duration = Duration::from_mins(5);

/// Bytes of what it says that are passed on.
const MOST_SAID: u64 = 16 * 1024;

/// Time for an answer on the admin socket to be written.
const ANSWER_TIME: Duration = Duration::from_millis(20);

/// So often those who have something to say are given the time for it.
const ROUNDS: usize = 64;

/// Descriptors by their names.
type Ends<'a> = Vec<(String, BorrowedFd<'a>)>;

type Reply = oneshot::Sender<Result<(), Refusal>>;

/// Where an upgrade stands.
// None => (Waiting =>) Checking => (None | Waiting | Due)
#[derive(Debug, Default)]
pub(in crate::supervisor) enum Upgrade {
    #[default]
    None,
    /// A change of apps is under way.
    Waiting(Asked),
    Checking,
    Due(HandOver),
}

/// Somebody wants another program to take over.
#[derive(Debug)]
pub(in crate::supervisor) struct Asked {
    /// `None`: the one at our own path.
    program: Option<PathBuf>,
    /// It is refused if it has not begun by then.
    until: Instant,
    reply: Option<Reply>,
}

impl Upgrade {
    /// When [`Supervisor::resume_upgrade`] is due.
    pub(in crate::supervisor) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Waiting(asked) => Some(asked.until),
            _ => None,
        }
    }

    /// What is to be become now, told once.
    pub(in crate::supervisor) fn take_due(&mut self) -> Option<HandOver> {
        match std::mem::take(self) {
            Self::Due(next) => Some(next),
            other => {
                *self = other;
                None
            }
        }
    }
}

/// What is to be become.
#[derive(Debug)]
pub(in crate::supervisor) struct HandOver {
    program: OwnedFd,
}

/// A program was asked whether it can take over.
#[derive(Debug)]
pub(in crate::supervisor) struct Checked {
    program: OwnedFd,
    path: PathBuf,
    outcome: Result<(), String>,
    until: Instant,
    reply: Option<Reply>,
}

impl Supervisor {
    /// Begins to replace this program, by the one at its own path unless another is named; answers once it is about to.
    pub(in crate::supervisor) fn upgrade(&mut self, program: Option<PathBuf>, reply: Option<Reply>) {
        if !matches!(self.outlook.upgrade, Upgrade::None) {
            return refuse(&Refusal::new(RefusalKind::Conflict, "an upgrade is under way"), reply);
        }
        let asked = Asked { program, until: clock::now() + PATIENCE, reply };
        if self.is_changing() {
            tracing::info!("the upgrade waits: a change of apps is under way");
            self.outlook.upgrade = Upgrade::Waiting(asked);
        } else {
            self.begin_upgrade(asked);
        }
    }

    /// Goes on with an upgrade that waits, if nothing is in its way any more, or its time is over.
    pub(in crate::supervisor) fn resume_upgrade(&mut self, now: Instant) {
        let is_over = self.outlook.upgrade.deadline().is_some_and(|until| until <= now) || self.is_stopping();
        if let Upgrade::Waiting(_) = self.outlook.upgrade
            && (is_over || !self.is_changing())
            && let Upgrade::Waiting(asked) = std::mem::take(&mut self.outlook.upgrade)
        {
            self.begin_upgrade(asked);
        }
    }

    fn begin_upgrade(&mut self, asked: Asked) {
        let Asked { program, until, reply } = asked;
        match self.begin_check(program) {
            Ok((path, program)) => {
                self.outlook.upgrade = Upgrade::Checking;
                let (ledger, events) = (self.ledger(&BTreeMap::new()).text(), self.starter.events.clone());
                self.starter.tasks.spawn(async move {
                    let outcome = check(&program, &ledger).await;
                    let _ = events.send(Event::UpgradeChecked(Checked { program, path, outcome, until, reply })).await;
                });
            }
            Err(refusal) => refuse(&refusal, reply),
        }
    }

    fn begin_check(&self, program: Option<PathBuf>) -> Result<(PathBuf, OwnedFd), Refusal> {
        self.may_hand_over()?;
        let failed = |error: io::Error| Refusal::new(RefusalKind::BadRequest, format!("the new program: {error}"));
        let path = program.map_or_else(own_path, Ok).map_err(failed)?;
        let opened = File::open(&path).map_err(|error| {
            Refusal::new(RefusalKind::BadRequest, format!("the new program {}: {error}", path.display()))
        })?;
        Ok((path, opened.into()))
    }

    /// What has begun and could not be told to whoever waits for it has to end first.
    fn may_hand_over(&self) -> Result<(), Refusal> {
        if self.is_stopping() {
            return Err(Refusal::new(RefusalKind::Stopping, "portreeve is stopping"));
        }
        if !self.is_changing() {
            return Ok(());
        }
        Err(Refusal::new(RefusalKind::Conflict, "a change of apps is under way: upgrade when it has ended"))
    }

    /// Is anything under way that could not be told, or heard of, from somebody else? A hook is in no ledger.
    fn is_changing(&self) -> bool {
        !self.reloads.open.is_empty() || !self.reloads.hooks.are_none()
    }

    pub(in crate::supervisor) fn upgrade_checked(&mut self, checked: Checked) {
        let Checked { program, path, outcome, until, reply } = checked;
        self.outlook.upgrade = Upgrade::None;
        if outcome.is_ok() && !self.is_stopping() && self.is_changing() && until > clock::now() {
            // It has begun meanwhile.
            self.outlook.upgrade = Upgrade::Waiting(Asked { program: Some(path), until, reply });
            return;
        }
        let refused = |reason| {
            let text = format!("{} cannot take over, and everything stays as it is: {reason}", path.display());
            Refusal::new(RefusalKind::Conflict, text)
        };
        match outcome.map_err(refused).and_then(|()| self.may_hand_over()) {
            Ok(()) => {
                tracing::info!(program = %path.display(), "handing over");
                if let Some(reply) = reply {
                    // Whoever has asked may be gone.
                    let _ = reply.send(Ok(()));
                }
                self.outlook.upgrade = Upgrade::Due(HandOver { program });
            }
            Err(refusal) => refuse(&refusal, reply),
        }
    }

    /// Becomes the program. Returns only if neither that nor a return to this one is possible.
    pub(in crate::supervisor) async fn hand_over(
        mut self,
        next: HandOver,
        mut events: mpsc::Receiver<Event>,
    ) -> io::Error {
        self.outlook.tell(Notice::Reloading);
        tokio::time::sleep(ANSWER_TIME).await;
        self.let_everybody_speak(&mut events).await;
        let half_lines = self.starter.logs.halt.stop().await;
        self.starter.sink.settle().await;
        let files: Vec<_> = self.supervised().filter_map(|(_, site)| site.files.clone()).collect();
        for files in files {
            files.settle().await;
        }
        self.let_everybody_speak(&mut events).await;
        self.close_archive();
        let failed = self.become_other(&next.program, None, &half_lines);
        tracing::error!(error = %failed, "the new program cannot be run: going on with this one");
        match handover::own_program() {
            Ok(own) => self.become_other(&own, Some(format!("it cannot be run: {failed}")), &half_lines),
            Err(error) => error,
        }
    }

    /// Takes in what has happened until nothing more has.
    async fn let_everybody_speak(&mut self, events: &mut mpsc::Receiver<Event>) {
        for _ in 0..ROUNDS {
            let mut is_silent = true;
            while let Ok(event) = events.try_recv() {
                is_silent = false;
                self.handle(event);
                self.settle();
            }
            if is_silent {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn become_other(
        &self,
        program: &OwnedFd,
        refused: Option<String>,
        half_lines: &BTreeMap<Serial, HalfLines>,
    ) -> io::Error {
        let prepared = || -> io::Result<(OwnedFd, OwnedFd, Ends<'_>)> {
            let (own, mut ends) = (handover::own_program()?, self.ends());
            ends.extend(self.outlook.store.ends());
            let will = Will {
                descriptors: ends.iter().map(|(name, end)| (name.clone(), end.as_raw_fd())).collect(),
                program: Some(own.as_raw_fd()),
                before: self.outlook.line.before + 1,
                refused,
                ..self.will(half_lines)
            };
            Ok((handover::memory("portreeve-handover", &serde_json::to_vec(&will)?)?, own, ends))
        };
        match prepared() {
            Ok((told, own, ends)) => {
                let keep: Vec<_> = ends.iter().map(|(_, end)| *end).chain([own.as_fd()]).collect();
                become_next(program, &told, &keep)
            }
            Err(error) => error,
        }
    }
}

impl Supervisor {
    /// What is to be known by whoever takes over, but for where descriptors are.
    pub(super) fn will(&self, half_lines: &BTreeMap<Serial, HalfLines>) -> Will {
        Will {
            // A ledger of plain values always serialises.
            ledger: serde_json::to_value(self.ledger(half_lines)).unwrap_or_default(),
            descriptors: BTreeMap::new(),
            kept: self.outlook.store.kept().clone(),
            certificates: self.published.certificates.clone(),
            tickets: self.published.tickets.record(clock::now()),
            program: None,
            before: self.outlook.line.before,
            refused: None,
        }
    }
}

fn refuse(refusal: &Refusal, reply: Option<Reply>) {
    tracing::error!("upgrade refused: {}", refusal.error);
    if let Some(reply) = reply {
        let _ = reply.send(Err(refusal.clone()));
    }
}

/// Where this program was read from; by now another one may stand there.
pub(in crate::supervisor) fn own_path() -> io::Result<PathBuf> {
    let path = std::fs::read_link("/proc/self/exe")?;
    let text = path.to_str().and_then(|text| text.strip_suffix(" (deleted)"));
    Ok(text.map_or_else(|| path.clone(), PathBuf::from))
}

/// Asks a program whether it would take over from this ledger.
async fn check(program: &OwnedFd, ledger: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("it cannot be asked: {error}");
    let (told, (said, says)) =
        (handover::memory("portreeve-ledger", ledger.as_bytes()).map_err(failed)?, socket::pipe().map_err(failed)?);
    // By our own descriptor, so that what is asked is what is run.
    let path = format!("/proc/{}/fd/{}", std::process::id(), program.as_raw_fd());
    let mut child = spawn::spawn(Spawn {
        args: ["portreeve", "take-over"].map(Into::into).to_vec(),
        stdin: Stdio::Fd(told),
        stderr: Stdio::Fd(says),
        directory: Some("/".into()),
        ..Spawn::new(path)
    })
    .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    let reader = pipe::Receiver::from_owned_fd(said).map_err(failed)?;
    let both = async { (reader.take(MOST_SAID).read_to_string(&mut answer).await, child.wait().await).1 };
    let outcome = tokio::time::timeout(CHECK_LIMIT, both).await;
    match outcome {
        Ok(Ok(exit)) if exit.is_success() => Ok(()),
        Ok(Ok(exit)) if answer.trim().is_empty() => Err(exit.to_string()),
        Ok(Ok(_)) => Err(answer.trim().to_owned()),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(format!("it has not said within {CHECK_LIMIT:?} whether it can")),
    }
}

/// Would this program take over from the ledger in this file?
///
/// # Errors
/// Why not.
pub fn judge(mut ledger: impl Read) -> Result<(), String> {
    let mut text = String::new();
    ledger.read_to_string(&mut text).map_err(|error| format!("the ledger: {error}"))?;
    Ledger::read(&text)?.settings.read().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_of_another_version_is_refused_with_what_to_do() {
        let reason = judge(&b"{\"version\": 7}"[..]).unwrap_err();
        assert!(reason.contains("version 7") && reason.contains("stop it and start it anew"), "{reason}");
        assert!(judge(&b"no ledger"[..]).is_err());
    }

    #[tokio::test]
    async fn a_program_that_knows_nothing_of_it_is_refused_with_its_own_words() {
        let open = |path: &str| OwnedFd::from(File::open(path).unwrap());
        let reason = check(&open("/bin/false"), "{}").await.unwrap_err();
        assert_eq!(reason, "exit code 1");
        assert!(check(&open("/etc/passwd"), "{}").await.is_err());
        assert_eq!(check(&open("/bin/true"), "{}").await, Ok(()));
    }
}
