//! The public listening sockets: taken from the service manager where it hands some down, else bound.
//!
//! They stay open here for the whole life of the supervisor; every proxy gets duplicates of the same descriptions, so a
//! connection that waits in an accept queue survives any proxy. Does not know what is said over them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use crate::config::Listen;
use crate::sys::listener::{self, Listening};

/// All sockets, by the address that the configuration names and whether TLS is spoken there.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    groups: BTreeMap<(SocketAddr, bool), Group>,
}

/// The sockets behind one configured address.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) sockets: Vec<Listening>,
    pub(super) inherited: bool,
}

/// An address that cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Bind { address: SocketAddr, source: io::Error },
    #[error("the sockets handed down by the service manager cannot be used: {0}")]
    Inherited(io::Error),
    #[error(
        "the service manager handed down a socket on {0} that [listen] does not name; \
         clients would wait there for ever, so name it or remove it from the socket unit"
    )]
    Unclaimed(SocketAddr),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another program holds the port; `ss -ltnp` shows which)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need root or CAP_NET_BIND_SERVICE)",
        _ => "",
    }
}

impl Listeners {
    /// Takes what the service manager handed down and binds the rest, `count` sockets an address.
    pub(super) fn open(listen: &Listen, count: usize) -> Result<Self, Error> {
        let mut inherited = listener::inherited().map_err(Error::Inherited)?;
        let mut groups = BTreeMap::new();
        for (address, tls) in wanted(listen) {
            let taken = claim(&mut inherited, address, tls, listen);
            let group = if taken.is_empty() {
                Group { sockets: bind(address, count)?, inherited: false }
            } else {
                Group { sockets: taken, inherited: true }
            };
            groups.insert((address, tls), group);
        }
        match inherited.first() {
            Some(unclaimed) => Err(Error::Unclaimed(unclaimed.address)),
            None => Ok(Self { groups }),
        }
    }

    /// Binds what a changed configuration adds. Nothing of `self` changes: give the result to [`Listeners::replace`].
    pub(super) fn bind_added(&self, listen: &Listen, count: usize) -> Result<Self, Error> {
        let mut added = Self::default();
        for key in wanted(listen).filter(|key| !self.groups.contains_key(key)) {
            added.groups.insert(key, Group { sockets: bind(key.0, count)?, inherited: false });
        }
        Ok(added)
    }

    /// Takes in what was added and closes what the configuration no longer names; says whether anything changed.
    pub(super) fn replace(&mut self, listen: &Listen, added: Self) -> bool {
        let before = self.groups.len();
        let keep: Vec<_> = wanted(listen).collect();
        self.groups.retain(|key, _| keep.contains(key));
        let changed = self.groups.len() != before || !added.groups.is_empty();
        self.groups.extend(added.groups);
        changed
    }

    /// Every group with its TLS flag, in a stable order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (bool, &Group)> {
        self.groups.iter().map(|((_, tls), group)| (*tls, group))
    }
}

fn wanted(listen: &Listen) -> impl Iterator<Item = (SocketAddr, bool)> + '_ {
    let http = listen.http.iter().map(|address| (*address, false));
    http.chain(listen.https.iter().map(|address| (*address, true)))
}

fn bind(address: SocketAddr, count: usize) -> Result<Vec<Listening>, Error> {
    listener::bind(address, count).map_err(|source| Error::Bind { address, source })
}

/// Picks the inherited sockets meant for an address: those named after its kind (`http`, `https`) when it is the only one of
/// that kind, else those bound to the very address.
fn claim(inherited: &mut Vec<Listening>, address: SocketAddr, tls: bool, listen: &Listen) -> Vec<Listening> {
    let (kind, alone) = if tls { ("https", listen.https.len() == 1) } else { ("http", listen.http.len() == 1) };
    let named = |socket: &Listening| alone && socket.name.as_deref() == Some(kind);
    let any_named = inherited.iter().any(named);
    let meant = |socket: &mut Listening| if any_named { named(socket) } else { socket.address == address };
    inherited.extract_if(.., meant).collect()
}
