//! A scripted worker that no supervisor runs: the other end for tests of the harness, and for fixed upstreams.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::Signal;

use super::binaries;
use super::client::Target;
use super::poll::SOON;
use super::process;

/// The process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Direct {
    child: Child,
    name: String,
}

impl Direct {
    /// Starts it with these words, and returns when it listens.
    #[track_caller]
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut child = Command::new(binaries::worker())
            .args(words)
            .envs([("PORTREEVE_APP", "direct"), ("PORTREEVE_GENERATION", "1"), ("PORTREEVE_SLOT", "0")])
            .env_remove("PORT")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the scripted worker can be started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the worker's output can be read");
        let name = line.trim().strip_prefix("listening on ");
        let name = name.unwrap_or_else(|| panic!("the worker does not listen: {line:?}")).to_owned();
        Self { child, name }
    }

    /// Where it listens, when that is a TCP address.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        self.name.parse().expect("it listens on TCP")
    }

    pub(crate) fn http(&self) -> Target {
        Target::Plain(self.address())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::send(self.pid(), signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> ExitStatus {
        process::wait(&mut self.child, SOON).expect("the worker ends")
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        // Either fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
