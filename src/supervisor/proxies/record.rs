//! The proxies, written down, and taken over by another supervisor.
//!
//! Each is given another link, over which it first says where it stands; until then nothing counts as acknowledged by it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::{Proxies, Proxy, State, start};
use crate::supervisor::adoption::{Estate, Identity, ProxyEntry};
use crate::supervisor::launch::Starter;
use crate::sys::spawn::Child;
use crate::sys::tree::Tree;
use crate::sys::{handout, socket};

impl Proxies {
    /// Takes over proxies that serve: each gets another link, and says where it stands.
    pub(in crate::supervisor) fn adopt(
        &mut self,
        next: u64,
        entries: &[ProxyEntry],
        (starter, estate): (&Starter, &Estate),
    ) {
        self.next = next.max(1);
        for entry in entries {
            match relink(entry, starter, estate) {
                Ok(proxy) => drop(self.alive.insert(entry.number, proxy)),
                Err(error) => tracing::warn!(proxy = entry.number, %error, "a proxy cannot be taken over"),
            }
        }
    }

    /// Is one of them to serve on?
    pub(in crate::supervisor) fn has_heir(&self) -> bool {
        self.iter().any(|(_, proxy)| proxy.state != State::Retiring)
    }

    /// As they are written down, with the number of the next.
    pub(in crate::supervisor) fn entries(&self) -> (u64, Vec<ProxyEntry>) {
        let entry = |(number, proxy): (&u64, &Proxy)| ProxyEntry {
            number: *number,
            process: Identity { pid: proxy.process.pid(), started: proxy.process.started() },
            retires: proxy.state == State::Retiring,
        };
        (self.next, self.alive.iter().map(entry).collect())
    }

    /// What whoever takes over needs to speak to them.
    pub(in crate::supervisor) fn ends(&self) -> impl Iterator<Item = (String, BorrowedFd<'_>)> {
        self.alive.iter().filter_map(|(number, proxy)| Some((relink_name(*number), proxy.relink.as_ref()?.as_fd())))
    }
}

fn relink_name(number: u64) -> String {
    format!("proxy.{number}.relink")
}

fn relink(entry: &ProxyEntry, starter: &Starter, estate: &Estate) -> io::Result<Proxy> {
    let ProxyEntry { number, process: Identity { pid, started }, retires } = *entry;
    let child = Child::adopt(pid, started, Tree::adopt(pid, None, None), retires)?;
    let relink = estate.take(&relink_name(number)).ok_or(io::ErrorKind::NotFound)?;
    let (near, far) = socket::pair()?;
    handout::send(&relink, b"l", far.as_fd())?;
    let to = start::connect(starter, number, near)?;
    let process = start::watch(starter, number, child);
    let state = if retires { State::Retiring } else { State::Starting };
    Ok(Proxy::new(process, state, to, Some(relink)))
}
