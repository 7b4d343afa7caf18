//! A terminal with a program in it, by way of tmux: what it shows can be read, keys can be pressed.
//!
//! Each has a tmux server of its own, which ends with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::poll::{SOON, until};
use super::process;
use crate::tools;

pub(crate) struct Terminal {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    tmux: PathBuf,
}

impl Terminal {
    /// Starts a program; it may run for longer than the terminal shows something else. `None` where there is no tmux.
    pub(crate) fn open((width, height): (u16, u16), words: &[&str]) -> Option<Self> {
        let tmux = tools::find("tmux")?;
        let folder = tempfile::tempdir().unwrap();
        let terminal = Self { socket: folder.path().join("tmux"), _folder: folder, tmux };
        let size = ["-x", &width.to_string(), "-y", &height.to_string()].map(str::to_owned);
        let size: Vec<_> = size.iter().map(String::as_str).collect();
        // A shell stays when the program has ended, so that what it leaves can be read.
        let line = format!("{}; echo \"ended with $?\"; cat", shell_words::join(words));
        terminal.tmux(&[&["new-session", "-d"], &size[..], &["--", "sh", "-c", &line]].concat());
        Some(terminal)
    }

    /// What it shows now.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until it shows all these texts; gives the screen.
    #[track_caller]
    pub(crate) fn shows(&self, texts: &[&str]) -> String {
        let mut screen = String::new();
        let seen = super::within(SOON, || {
            screen = self.screen();
            texts.iter().all(|text| screen.contains(text)).then_some(())
        });
        assert!(seen.is_some(), "the terminal does not show {texts:?}:\n{screen}");
        screen
    }

    /// Presses a key, by tmux's name for it.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Types a text.
    pub(crate) fn type_in(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    pub(crate) fn resize(&self, width: u16, height: u16) {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    fn tmux(&self, words: &[&str]) -> String {
        run(&self.tmux, &self.socket, words)
    }
}

impl Drop for Terminal {
    /// Takes the terminal away from whatever runs in it, which then has to end.
    fn drop(&mut self) {
        let shell = self.tmux(&["list-panes", "-F", "#{pane_pid}"]).trim().parse();
        let programs = shell.map(process::family).unwrap_or_default();
        self.tmux(&["kill-server"]);
        until(SOON, "tmux ends", || std::os::unix::net::UnixStream::connect(&self.socket).is_err().then_some(()));
        let left: Vec<_> = programs.into_iter().filter(|program| !program.ends_within(SOON)).collect();
        for program in &left {
            process::send(program.pid, rustix::process::Signal::KILL);
        }
        assert!(std::thread::panicking() || left.is_empty(), "left behind by the terminal: {left:?}");
    }
}

fn run(tmux: &Path, socket: &Path, words: &[&str]) -> String {
    let mut command = Command::new(tmux);
    command
        .arg("-f")
        .arg("/dev/null")
        .arg("-S")
        .arg(socket)
        .args(words)
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8");
    let output = command.output().expect("tmux can be started");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
