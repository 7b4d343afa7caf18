//! A home of portreeve in a folder of its own, in which a test types commands as a person does.
//!
//! Supervisors in the background are nobody's children. When a home is dropped they are told to go, and the test fails if
//! a process is left: each carries the folder's name in its environment, and proxies, which carry nothing, are known by
//! their parents.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use http::Method;
use rustix::process::Signal;
use tempfile::TempDir;

use super::admin::Status;
use super::binaries;
use super::builder::{MARK, isolated};
use super::client::{Failure, Reply, Target, request};
use super::poll::{SOON, until, within};
use super::process::{self, Process};
use super::running::{Said, said};

/// The folder, with all that was started in it.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    seen: std::cell::RefCell<BTreeSet<Process>>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("portreeve-home-").tempdir().expect("a folder can be made");
        symlink(binaries::worker(), folder.path().join("worker")).expect("the worker can be linked");
        Self { folder, seen: std::cell::RefCell::default() }
    }

    /// Where commands are typed.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The list of apps.
    pub(crate) fn list(&self) -> PathBuf {
        self.path().join("home/apps.toml")
    }

    pub(crate) fn list_text(&self) -> String {
        fs::read_to_string(self.list()).expect("the list is there")
    }

    /// Puts a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("our own folder can be written");
        path
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.command_of(binaries::portreeve(), words)
    }

    /// Another program that is started here.
    pub(crate) fn command_of(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = isolated(program);
        command.args(words).current_dir(self.path()).env("PWD", self.path()).stdin(Stdio::null());
        command.env(MARK, self.path()).env("PORTREEVE_HOME", self.path().join("home"));
        command.env("XDG_RUNTIME_DIR", self.path()).env("XDG_CONFIG_HOME", self.path().join("config"));
        command
    }

    /// Types a command.
    #[track_caller]
    pub(crate) fn cli(&self, words: &[&str]) -> Said {
        self.say(&mut self.command(words))
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn say(&self, command: &mut Command) -> Said {
        let said = said(command);
        self.remember();
        said
    }

    /// Types a command that ends with 0; returns what it says.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let said = self.cli(words);
        assert_eq!(said.code, 0, "{words:?}: {}\n{}", said.text, self.log());
        said.text
    }

    /// Starts the scripted worker as an app on a port that the system chooses, which has to serve then.
    #[track_caller]
    pub(crate) fn start(&self, name: &str, more: &[&str]) -> String {
        let words = ["start", "./worker", "--name", name, "--port", "127.0.0.1:0"];
        self.ok(&[&words[..], more].concat())
    }

    pub(crate) fn try_status(&self) -> Result<Status, Failure> {
        let socket = self.path().join("home/portreeve.sock");
        let reply = Target::Unix(socket).send(request(Method::GET, "/v1/status", ""))?.ok()?;
        serde_json::from_slice(&reply.body).map_err(|error| Failure::Wrong(format!("{error}: {}", reply.text())))
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        self.try_status().unwrap_or_else(|failure| panic!("status: {failure}"))
    }

    #[track_caller]
    pub(crate) fn state(&self, app: &str) -> String {
        self.status().app(app).state.clone()
    }

    #[track_caller]
    pub(crate) fn address(&self, app: &str) -> SocketAddr {
        self.status().own(app)
    }

    #[track_caller]
    pub(crate) fn get(&self, app: &str, path: &str) -> Reply {
        Target::Plain(self.address(app)).get(path)
    }

    /// The pids of an app's serving workers, by slot.
    #[track_caller]
    pub(crate) fn pids(&self, app: &str) -> Vec<u32> {
        self.status().app(app).serving().iter().filter_map(|worker| worker.pid).collect()
    }

    /// Waits for a line in a file of an app's output.
    #[track_caller]
    pub(crate) fn line(&self, file: &str, text: &str) {
        let path = self.path().join("home/logs").join(file);
        until(SOON, &format!("{text:?} in {file}"), || fs::read_to_string(&path).ok()?.contains(text).then_some(()));
    }

    /// What the supervisor wrote about itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("home/portreeve.log")).unwrap_or_default()
    }

    fn mark(&self) -> String {
        format!("{MARK}={}", self.path().display())
    }

    /// Notes who is there, to be looked for at the end.
    fn remember(&self) {
        let marked = process::marked(&self.mark());
        let families = marked.iter().flat_map(|process| process::family(process.pid));
        self.seen.borrow_mut().extend(families);
    }

    fn left(&self) -> Vec<Process> {
        let seen = self.seen.borrow();
        let all = process::marked(&self.mark()).into_iter().chain(seen.iter().cloned());
        all.filter(Process::is_alive).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.remember();
        for process in process::marked(&self.mark()) {
            // Workers have supervisors that stop them; whoever is left after that is killed.
            let name = fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default();
            if name.trim() == "portreeve" {
                process::send(process.pid, Signal::TERM);
            }
        }
        let is_over = within(SOON, || self.left().is_empty().then_some(())).is_some();
        let left = self.left();
        for process in &left {
            process::send(process.pid, Signal::KILL);
        }
        within(Duration::from_secs(2), || self.left().is_empty().then_some(()));
        if std::thread::panicking() {
            eprintln!("--- the supervisor's log\n{}", self.log());
        } else {
            assert!(is_over, "left behind: {left:?}\n{}", self.log());
        }
    }
}
