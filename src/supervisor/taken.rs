//! Explains the end of a worker that could not have its port: which one, who has it, and what to do.
//!
//! Programs print it in many ways, and all name the error. The port that we gave may be taken too, on an address other than
//! ours or by somebody who was quicker; then it stays reserved for a while, so that the next start gets another one.

use std::collections::VecDeque;

use super::Supervisor;
use super::launch::Berth;
use super::site::{Site, Supervised};
use super::workers::Worker;
use crate::config::Server;
use crate::id::{Address, AppName, Serial};
use crate::sys::listening;

/// Lines of its output that are read, from the end.
const LINES: usize = 40;

/// Workers that are looked at.
const MOST_WORKERS: usize = 32;

/// How programs call the error, in small letters.
const NAMES: [&str; 5] = ["eaddrinuse", "address already in use", "errno 98", "connection in use", "is already in use"];

/// Places that are kept because somebody else is there.
const MOST_SHUNNED: usize = 16;

/// Why a worker has ended.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) explanation: String,
    /// It was, or may have been, the port that we gave.
    pub(super) is_given: bool,
}

/// Places that workers could not have: as long as they are reserved, no other worker gets them.
#[derive(Debug, Default)]
pub(super) struct Shunned(VecDeque<Berth>);

impl Shunned {
    pub(super) fn keep(&mut self, place: Berth) {
        if self.0.len() == MOST_SHUNNED {
            self.0.pop_front();
        }
        self.0.push_back(place);
    }
}

impl Supervisor {
    /// What the last lines of a worker say about a port that it could not have, as an explanation of its end.
    pub(super) fn explain_taken(&self, app: &AppName, serial: Serial) -> Option<Taken> {
        let Some(Site::Supervised(site)) = self.sites.get(app) else { return None };
        // What one that has served for a while printed long ago is not why it ends.
        let worker = site.workers.get(&serial).filter(|worker| worker.lookout.is_posted())?;
        let InUse { port } = in_use(&worker.tail.last(LINES))?;
        let release = site.releases.get(worker.id.generation)?;
        let Server::Command(command) = &release.app.server else { return None };
        let advice = command.node_remedy().map_or_else(
            || "let each worker listen on its own PORT".to_owned(),
            |remedy| format!("`{remedy}` lets several workers have it"),
        );
        let Some(port) = port else {
            return Some(Taken { explanation: format!("its address is taken: {advice}"), is_given: true });
        };
        let is_given = matches!(worker.berth.address(), Some(Address::Tcp(given)) if given.port() == port);
        let owner = self.owner(site, serial, port).map(|owner| format!("worker {}", owner.id));
        let owner = owner.as_deref().unwrap_or("another program");
        let cure = if is_given { "its next start gets another PORT".to_owned() } else { advice };
        Some(Taken { explanation: format!("port {port} is taken by {owner}: {cure}"), is_given })
    }

    /// Those of its own app first: they run the same code.
    fn owner<'a>(&'a self, site: &'a Supervised, serial: Serial, port: u16) -> Option<&'a Worker> {
        let others = self.sites.values().filter_map(|site| match site {
            Site::Supervised(site) => Some(site.as_ref()),
            Site::Fixed(_) => None,
        });
        let workers = std::iter::once(site).chain(others).flat_map(|site| &site.workers);
        let mut others = workers.filter(|(other, _)| **other != serial).map(|(_, worker)| worker).take(MOST_WORKERS);
        others.find(|worker| listening::addresses(&worker.tree).iter().any(|address| address.port() == port))
    }
}

/// An address is in use; of which port, not every program says.
#[derive(Debug, PartialEq, Eq)]
struct InUse {
    port: Option<u16>,
}

/// Do these lines say that an address is in use, and of which port? The first that names one counts.
fn in_use(lines: &[String]) -> Option<InUse> {
    let mut said = lines.iter().filter(|line| {
        let line = line.to_ascii_lowercase();
        NAMES.iter().any(|name| line.contains(name))
    });
    let first = said.clone().next()?;
    Some(InUse { port: port_in(first).or_else(|| said.find_map(|line| port_in(line))) })
}

/// The last number of a line that stands where ports do.
fn port_in(line: &str) -> Option<u16> {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut found = None;
    let mut rest = line;
    while let Some(at) = rest.find(is_digit) {
        let (before, number) = rest.split_at(at);
        let end = number.find(|c| !is_digit(c)).unwrap_or(number.len());
        let before = before.to_ascii_lowercase();
        if [":", "port ", "port: ", "', ", "\", "].iter().any(|sign| before.ends_with(sign)) {
            found = number[..end].parse().ok().filter(|port| *port != 0).or(found);
        }
        rest = &number[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Option<InUse> {
        in_use(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_error_is_recognised_in_many_tongues() {
        for (said, port) in [
            ("Error: listen EADDRINUSE: address already in use :::3000", Some(3000)),
            ("Error: bind EADDRINUSE 127.0.0.1:3000\n    at net.js:1:16\n  port: 3000", Some(3000)),
            ("  code: 'EADDRINUSE',", None),
            ("listen tcp 127.0.0.1:8080: bind: address already in use", Some(8080)),
            ("OSError: [Errno 98] Address already in use", None),
            (
                "[Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
                Some(8000),
            ),
            ("[ERROR] Connection in use: ('127.0.0.1', 8000)", Some(8000)),
            ("Address already in use - bind(2) for \"127.0.0.1\" port 3000 (Errno::EADDRINUSE)", Some(3000)),
            ("Error: Address already in use (os error 98)", None),
            ("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", Some(80)),
            ("Port 8080 is already in use.", Some(8080)),
            ("some line\nAddress already in use\nPort 5000 is already in use by another program", Some(5000)),
        ] {
            assert_eq!(lines(said), Some(InUse { port }), "{said}");
        }
    }

    #[test]
    fn other_ends_are_not_explained() {
        for said in ["", "Error: connect ECONNREFUSED 127.0.0.1:5432", "bye 98", "the address is in use"] {
            assert_eq!(lines(said), None, "{said}");
        }
        assert_eq!(port_in("at :99999999999999999999 é:0 :70000"), None);
    }
}
