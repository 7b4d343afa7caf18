//! The process above the supervisor where no service manager does this: keeps its descriptors, and starts it again.
//!
//! It does as little as can be, so that it need never be replaced: it takes what the supervisor hands it (as systemd does,
//! `FDSTORE=1`), passes signals down, reaps what nobody else reaps, and when the supervisor is killed it starts another one with
//! everything that it keeps, and with the sockets that it was given itself. It does not know what any of it is. Invariants: a supervisor that ends by itself is not started
//! again; when several in a row die before they have said that they are ready, everything ends.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram as Socket;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::adoption::{KEPT, PREFIX};
use crate::sys::cgroup;
use crate::sys::handover;
use crate::sys::keeping::{self, Said};
use crate::sys::notify::Notifier;
use crate::sys::notify_socket;
use crate::sys::orphans::{self, Orphans};
use crate::sys::spawn::{self, Exit, Spawn, Stdio};

/// Descriptors that are kept at most.
const ROOM: usize = 16 * 1024;

/// So many in a row that die before they are ready, and it is given up.
const MOST_FAILURES: u32 = 5;

/// What it is given up with: `EX_SOFTWARE` of sysexits(3).
const GIVEN_UP: u8 = 70;

/// Pause after the second one that failed, doubled each time up to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// At the end: the longest wait for what was killed, and between two looks.
const LAST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(5));

/// Number of the first descriptor that is passed on (`sd_listen_fds(3)`).
const FIRST: i32 = 3;

/// Is this process one that a keeper has started?
#[must_use]
pub fn is_kept() -> bool {
    std::env::var_os(KEPT).is_some()
}

/// Runs this program under a keeper, with the arguments of this process, until it ends by itself; gives its exit code.
///
/// # Errors
/// When the keeper cannot begin, or the program cannot be started.
pub fn keep() -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Keeper::begin()?.run().await })
}

struct Keeper {
    /// Its name, in the abstract namespace.
    name: String,
    socket: UnixDatagram,
    manager: Notifier,
    /// What a service manager has passed to us, for good.
    passed: Vec<(String, OwnedFd)>,
    kept: Vec<(String, OwnedFd)>,
    orphans: Orphans,
    /// Those in a row that died before they were ready.
    failures: u32,
    is_ready: bool,
    is_to_end: bool,
}

/// What has happened.
enum Event {
    Signal(i32),
    ChildEnded,
    Said(Said),
}

/// Those that are passed down, and the news of children.
struct Listener {
    passed: Vec<(i32, Signals)>,
    children: Signals,
}

impl Keeper {
    fn begin() -> io::Result<Self> {
        cgroup::step_aside();
        let name = format!("portreeve-keeper-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let socket: Socket = notify_socket::bind_abstract(&name)?;
        Ok(Self {
            name,
            socket: UnixDatagram::from_std(socket)?,
            manager: Notifier::from_environment()?,
            passed: passed()?,
            kept: Vec::new(),
            orphans: Orphans::adopt()?,
            failures: 0,
            is_ready: false,
            is_to_end: false,
        })
    }

    async fn run(mut self) -> io::Result<u8> {
        let mut listener = Listener::open()?;
        loop {
            let pid = self.start()?;
            let exit = self.watch(pid, &mut listener).await;
            let code = match exit {
                Exit::Code(code) => u8::try_from(code).unwrap_or(1),
                Exit::Signal { signal, .. } if self.is_to_end => u8::try_from(128 + signal).unwrap_or(1),
                Exit::Signal { .. } | Exit::Unseen => {
                    self.failures = if self.is_ready { 0 } else { self.failures + 1 };
                    eprintln!("portreeve: the supervisor, pid {pid}, ended with {exit}: starting it again");
                    match self.pause(&mut listener).await {
                        None if self.failures < MOST_FAILURES => continue,
                        None => GIVEN_UP,
                        Some(signal) => u8::try_from(128 + signal).unwrap_or(1),
                    }
                }
            };
            self.end_all().await;
            return Ok(code);
        }
    }

    /// Starts the supervisor with all that is kept.
    fn start(&mut self) -> io::Result<u32> {
        self.is_ready = false;
        let all = || self.passed.iter().chain(&self.kept);
        let descriptors = all().zip(FIRST..).map(|((_, end), number)| Ok((end.try_clone()?, number)));
        let descriptors = descriptors.collect::<io::Result<Vec<_>>>()?;
        let names: Vec<_> = all().map(|(name, _)| name.as_str()).collect();
        let ours = ["NOTIFY_SOCKET", "FDSTORE", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", KEPT];
        let inherited = std::env::vars_os().filter(|(name, _)| !ours.iter().any(|one| name == one));
        let mut env: Vec<(OsString, OsString)> = inherited.collect();
        let mut set = |name: &str, value: String| env.push((name.into(), value.into()));
        set("NOTIFY_SOCKET", format!("@{}", self.name));
        set("FDSTORE", ROOM.to_string());
        set(KEPT, "1".to_owned());
        if !names.is_empty() {
            set("LISTEN_FDS", names.len().to_string());
            set("LISTEN_FDNAMES", names.join(":"));
        }
        let child = spawn::spawn(Spawn {
            args: std::env::args_os().collect(),
            env,
            pid_variables: if names.is_empty() { Vec::new() } else { vec!["LISTEN_PID"] },
            stdin: Stdio::Inherit,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            descriptors,
            ..Spawn::new(own_program()?)
        })
        .map_err(io::Error::other)?;
        let pid = child.pid();
        // What it has started is to outlive it, and it is reaped with all the others.
        child.set_free();
        Ok(pid)
    }

    /// Until the supervisor has ended.
    async fn watch(&mut self, pid: u32, listener: &mut Listener) -> Exit {
        loop {
            let event = tokio::select! {
                event = listener.next() => event,
                said = hear(&self.socket, pid) => Event::Said(said),
            };
            match event {
                Event::Said(said) => self.heed(said),
                Event::Signal(signal) => {
                    self.is_to_end |= ends(signal);
                    // It may have ended meanwhile.
                    let _ = keeping::signal(pid, signal);
                }
                Event::ChildEnded => {
                    let ended = std::iter::from_fn(keeping::reap).collect::<Vec<_>>();
                    if let Some((_, exit)) = ended.into_iter().find(|(ended, _)| *ended == pid) {
                        self.hear_out(pid);
                        return exit;
                    }
                }
            }
        }
    }

    /// Takes what it had said at last, which is still in the socket.
    fn hear_out(&mut self, pid: u32) {
        while let Ok(said) = keeping::hear(&self.socket, pid) {
            if let Some(said) = said {
                self.heed(said);
            }
        }
    }

    fn heed(&mut self, said: Said) {
        match said {
            Said::Keep(name, ends) if name.starts_with(PREFIX) => {
                let room = ROOM.saturating_sub(self.kept.len());
                self.kept.extend(ends.into_iter().take(room).map(|end| (name.clone(), end)));
            }
            Said::Keep(..) => {}
            Said::Forget(name) => self.kept.retain(|(kept, _)| *kept != name),
            // A manager that does not listen changes nothing for us.
            Said::Other(text) => {
                self.is_ready |= text.lines().any(|line| line == "READY=1");
                drop(self.manager.pass_on(&text));
            }
        }
    }

    /// Before the next one is started; gives the signal that calls it off, if one comes.
    async fn pause(&mut self, listener: &mut Listener) -> Option<i32> {
        let doublings = self.failures.checked_sub(2)?;
        let pause = PAUSE.0.saturating_mul(1 << doublings.min(16)).min(PAUSE.1);
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return None,
                event = listener.next() => match event {
                    Event::Signal(signal) if ends(signal) => return Some(signal),
                    _ => while keeping::reap().is_some() {},
                },
            }
        }
    }

    /// Whatever is still below us ends with us.
    async fn end_all(&mut self) {
        let until = Instant::now() + LAST.0;
        loop {
            while keeping::reap().is_some() {}
            let left = self.orphans.look(&std::collections::BTreeSet::new());
            if left.is_empty() || Instant::now() >= until {
                return;
            }
            left.iter().for_each(orphans::kill);
            tokio::time::sleep(LAST.1).await;
        }
    }
}

impl Listener {
    fn open() -> io::Result<Self> {
        let kinds = [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::terminate(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        let passed = kinds.into_iter().map(|kind| Ok((kind.as_raw_value(), signal(kind)?)));
        Ok(Self { passed: passed.collect::<io::Result<_>>()?, children: signal(SignalKind::child())? })
    }

    /// Cancellation safe.
    async fn next(&mut self) -> Event {
        let [hangup, interrupt, quit, terminate, first, second] = &mut self.passed[..] else {
            unreachable!("there are six")
        };
        let number = tokio::select! {
            _ = self.children.recv() => return Event::ChildEnded,
            _ = hangup.1.recv() => hangup.0,
            _ = interrupt.1.recv() => interrupt.0,
            _ = quit.1.recv() => quit.0,
            _ = terminate.1.recv() => terminate.0,
            _ = first.1.recv() => first.0,
            _ = second.1.recv() => second.0,
        };
        Event::Signal(number)
    }
}

/// Does it ask the supervisor to end?
fn ends(signal: i32) -> bool {
    [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()]
        .iter()
        .any(|kind| kind.as_raw_value() == signal)
}

async fn hear(socket: &UnixDatagram, from: u32) -> Said {
    loop {
        match socket.async_io(Interest::READABLE, || keeping::hear(socket.as_fd(), from)).await {
            Ok(Some(said)) => return said,
            Ok(None) => {}
            // What is wrong with one message is not wrong with the next.
            Err(error) => eprintln!("portreeve: keeper: {error}"),
        }
    }
}

/// Takes what a service manager has passed to us. What is called as what we keep would be taken for that: it is not passed on.
fn passed() -> io::Result<Vec<(String, OwnedFd)>> {
    let mut all = Vec::new();
    for (number, name) in handover::passed() {
        let end = handover::duplicate(number)?;
        handover::close(number);
        if !name.starts_with(PREFIX) {
            all.push((name, end));
        }
    }
    Ok(all)
}

/// What stands now where this program was read from: after an upgrade, the version that was upgraded to.
fn own_program() -> io::Result<PathBuf> {
    let path = super::adoption::own_path()?;
    Ok(if path.exists() { path } else { PathBuf::from("/proc/self/exe") })
}
