//! Starting programs: fork, then step by step to exec, with every step that can fail reported by name.
//!
//! All that needs memory is prepared before the fork ([`image`]); the child makes nothing but plain system calls
//! ([`after_fork`]) and tells its failure through a pipe that a successful exec closes. What runs then is a [`Child`]:
//! leader of a session and process group of its own. Why a program is started is not known here. Invariants: the child
//! has exactly the descriptors, environment and identity asked for, no signal blocked or ignored, and no more rights
//! than its parent; a failed start leaves no process behind.
#![allow(unsafe_code)]

mod after_fork;
mod bounds;
mod child;
mod exit;
mod image;
mod program;
mod stamp;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::ForkResult;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};

use super::process::keep_exit_statuses;
use after_fork::Failure;
use image::Image;

pub use super::identity::{Identity, identity, ourselves};
pub use bounds::{Bounds, Limit, Limited};
pub use child::Child;
pub use exit::{Exit, Signal};
pub use program::find_program;

/// The longest that a child may take from fork to exec. Only a dead network file system comes near it.
const EXEC_LIMIT: Duration = Duration::from_secs(10);

/// A program about to be started.
#[derive(Debug)]
pub struct Spawn {
    /// The file to execute, absolute ([`find_program`]).
    pub program: PathBuf,
    /// The argument vector, `argv[0]` included.
    pub args: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Further variables, each with the program's own process ID as its value.
    pub pid_variables: Vec<&'static str>,
    /// Working directory; `None`: the parent's.
    pub directory: Option<PathBuf>,
    /// Whom to run as; `None`: as the parent. Also fine without privileges when it is the parent's own.
    pub identity: Option<Identity>,
    pub stdin: Stdio,
    pub stdout: Stdio,
    pub stderr: Stdio,
    /// Placed at these numbers, from 3 on, each once, for the program to adopt ([`super::socket::adopt`],
    /// [`super::listener::adopt`]); every other descriptor is closed.
    pub descriptors: Vec<(OwnedFd, RawFd)>,
    /// The program cannot gain rights by executing set-user-ID files (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privs: bool,
    pub bounds: Bounds,
}

/// What a standard stream of a program is.
#[derive(Debug)]
pub enum Stdio {
    /// `/dev/null`.
    Null,
    /// The parent's own.
    Inherit,
    Fd(OwnedFd),
}

impl Spawn {
    /// A program without arguments, environment or streams, in the parent's directory and with its identity.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        Self {
            args: vec![program.clone().into_os_string()],
            program,
            env: Vec::new(),
            pid_variables: Vec::new(),
            directory: None,
            identity: None,
            stdin: Stdio::Null,
            stdout: Stdio::Null,
            stderr: Stdio::Null,
            descriptors: Vec::new(),
            no_new_privs: false,
            bounds: Bounds::default(),
        }
    }
}

/// What was being done when a start failed, in the order in which it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Prepare,
    Fork,
    Session,
    ControlGroup,
    OomScore,
    Nice,
    Limits,
    Place,
    Close,
    Groups,
    Gid,
    Uid,
    NoNewPrivs,
    DeathSignal,
    Directory,
    Exec,
}

impl Step {
    const IN_ORDER: [Self; 16] = [
        Self::Prepare,
        Self::Fork,
        Self::Session,
        Self::ControlGroup,
        Self::OomScore,
        Self::Nice,
        Self::Limits,
        Self::Place,
        Self::Close,
        Self::Groups,
        Self::Gid,
        Self::Uid,
        Self::NoNewPrivs,
        Self::DeathSignal,
        Self::Directory,
        Self::Exec,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::Fork => "fork",
            Self::Session => "setsid",
            Self::ControlGroup => "enter its control group",
            Self::OomScore => "set oom_score_adj",
            Self::Nice => "set nice",
            Self::Limits => "set the limit of",
            Self::Place => "place descriptors",
            Self::Close => "close descriptors",
            Self::Groups => "setgroups",
            Self::Gid => "setgid",
            Self::Uid => "setuid",
            Self::NoNewPrivs => "no_new_privs",
            Self::DeathSignal => "tie its life to ours",
            Self::Directory => "chdir",
            Self::Exec => "exec",
        })
    }
}

/// Why a program was not started, printed like `chdir /srv/app: No such file or directory (os error 2)`.
///
/// The text is the whole story, so `Error::source` has nothing to add.
#[derive(Debug)]
pub struct SpawnError {
    pub step: Step,
    pub source: io::Error,
    /// What the step was about: a path, a user; may be empty.
    pub detail: String,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, source, detail } = self;
        let space = if detail.is_empty() { "" } else { " " };
        write!(f, "{step}{space}{detail}: {source}")
    }
}

impl std::error::Error for SpawnError {}

impl SpawnError {
    fn at(step: Step, source: impl Into<io::Error>) -> Self {
        Self { step, source: source.into(), detail: String::new() }
    }
}

/// Starts a program, and returns once it runs: exec has succeeded.
///
/// Blocks the calling thread for as long as fork and exec take (about a millisecond; 10 seconds at most). Ask for the
/// result of the returned [`Child`]; dropping it kills the program.
///
/// # Errors
/// Names the first step that failed; then no process is left.
pub fn spawn(spawn: Spawn) -> Result<Child, SpawnError> {
    keep_exit_statuses().map_err(|error| SpawnError::at(Step::Prepare, error))?;
    let (image, report) = Image::prepare(spawn)?;
    let (pid, pidfd) = fork_into(&image).map_err(|error| SpawnError::at(Step::Fork, error))?;
    let child = Child::new(pid, pidfd, image.tree(pid));
    let subjects = image.close();
    match read_report(&report) {
        Ok(None) => Ok(child),
        Ok(Some(failure)) => Err(subjects.explain(failure)),
        Err(error) => Err(SpawnError { step: Step::Exec, source: error, detail: subjects.program() }),
    }
}

/// Forks the process that becomes the program.
///
/// Signals are blocked from before the fork until the child has dropped the handlers that it got from us: one of them
/// running in the child would write to pipes that it shares with us.
fn fork_into(image: &Image) -> io::Result<(Pid, OwnedFd)> {
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    // SAFETY: the child calls nothing but `after_fork::run`, which makes only async-signal-safe calls and never returns.
    let forked = match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Child) => after_fork::run(image),
        Ok(ForkResult::Parent { child }) => Ok(child),
        Err(error) => Err(error),
    };
    let _ = mask.thread_set_mask();
    hold(forked?.as_raw())
}

/// Opens the pidfd of a fresh child. Nobody has reaped it, so its number cannot mean another process yet.
fn hold(pid: i32) -> io::Result<(Pid, OwnedFd)> {
    let pid = Pid::from_raw(pid).expect("fork gives its parent a PID above 0");
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok((pid, pidfd)),
        Err(error) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            Err(error.into())
        }
    }
}

/// Waits for what the child reports; `None`: the pipe was closed by a successful exec.
fn read_report(report: &OwnedFd) -> io::Result<Option<Failure>> {
    let mut poll = [PollFd::new(report, PollFlags::IN)];
    let limit = EXEC_LIMIT.try_into().expect("seconds fit");
    if rustix::io::retry_on_intr(|| rustix::event::poll(&mut poll, Some(&limit)))? == 0 {
        return Err(io::Error::new(ErrorKind::TimedOut, format!("not done after {EXEC_LIMIT:?}")));
    }
    let mut words = [0; Failure::SIZE];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(report.as_fd(), &mut words))?;
    Ok((length == Failure::SIZE).then(|| Failure::from_bytes(words)))
}

#[cfg(test)]
mod tests;
