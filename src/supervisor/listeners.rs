//! The public listening sockets: taken from the service manager where it hands some down, else bound.
//!
//! They stay open here for the whole life of the supervisor; every proxy gets duplicates of the same descriptions, so a
//! connection that waits in an accept queue survives any proxy. Does not know what is said over them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use super::adoption::{Estate, ListenerEntry};
use crate::config::Config;
use crate::id::AppName;
use crate::sys::listener::{self, Listening};

/// All sockets, by what the configuration names.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    groups: BTreeMap<Place, Group>,
}

/// An address as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    address: SocketAddr,
    tls: bool,
    /// Whose port it is, where the system chooses it: that is another one for each app. Any other port is one place, and
    /// may pass from app to app without being closed.
    chosen_for: Option<AppName>,
}

/// The sockets behind one configured address.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) sockets: Vec<Listening>,
    pub(super) inherited: bool,
    pub(super) tls: bool,
    /// The app whose own it is; `None`: it is one of `[listen]`.
    pub(super) app: Option<AppName>,
}

/// An address that cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Bind { address: SocketAddr, source: io::Error },
    #[error("the sockets handed down by the service manager cannot be used: {0}")]
    Inherited(io::Error),
    #[error("the socket that listens on {address} was not handed over: {source}")]
    Lost { address: SocketAddr, source: io::Error },
    #[error(
        "the service manager handed down a socket on {0} that neither [listen] nor an app names; \
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
    pub(super) fn open(config: &Config, count: usize) -> Result<Self, Error> {
        let mut inherited = listener::inherited().map_err(Error::Inherited)?;
        let mut groups = BTreeMap::new();
        for (place, app) in wanted(config) {
            let taken = claim(&mut inherited, &place, app.as_ref(), config);
            let group = if taken.is_empty() {
                Group { sockets: bind(place.address, count)?, inherited: false, tls: place.tls, app }
            } else {
                Group { sockets: taken, inherited: true, tls: place.tls, app }
            };
            groups.insert(place, group);
        }
        match inherited.first() {
            Some(unclaimed) => Err(Error::Unclaimed(unclaimed.address)),
            None => Ok(Self { groups }),
        }
    }

    /// Those of a supervisor before us.
    ///
    /// # Errors
    /// When one of them is lost: clients would wait there for ever.
    pub(super) fn adopt(entries: &[ListenerEntry], estate: &Estate) -> Result<Self, Error> {
        let mut groups = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let take = |socket| {
                let taken = estate.take(&name(index, socket)).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
                taken.and_then(Listening::adopt).map_err(|source| Error::Lost { address: entry.address, source })
            };
            let sockets = (0..entry.sockets).map(take).collect::<Result<_, _>>()?;
            let place = Place { address: entry.address, tls: entry.tls, chosen_for: entry.chosen_for.clone() };
            let (inherited, tls, app) = (entry.inherited, entry.tls, entry.app.clone());
            groups.insert(place, Group { sockets, inherited, tls, app });
        }
        Ok(Self { groups })
    }

    /// As they are written down for whoever takes over from us.
    pub(super) fn entries(&self) -> Vec<ListenerEntry> {
        let entry = |(place, group): (&Place, &Group)| ListenerEntry {
            address: place.address,
            tls: place.tls,
            chosen_for: place.chosen_for.clone(),
            app: group.app.clone(),
            inherited: group.inherited,
            sockets: group.sockets.len(),
        };
        self.groups.iter().map(entry).collect()
    }

    /// All sockets, as they are called in the ledger.
    pub(super) fn ends(&self) -> impl Iterator<Item = (String, BorrowedFd<'_>)> {
        self.groups.values().enumerate().flat_map(|(index, group)| {
            let sockets = group.sockets.iter().enumerate();
            sockets.map(move |(socket, listening)| (name(index, socket), listening.socket.as_fd()))
        })
    }

    /// Binds what a changed configuration adds. Nothing of `self` changes: give the result to [`Listeners::replace`].
    pub(super) fn bind_added(&self, config: &Config, count: usize) -> Result<Self, Error> {
        let mut added = Self::default();
        for (place, app) in wanted(config).filter(|(place, _)| !self.groups.contains_key(place)) {
            let sockets = bind(place.address, count)?;
            added.groups.insert(place.clone(), Group { sockets, inherited: false, tls: place.tls, app });
        }
        Ok(added)
    }

    /// Takes in what was added and closes what the configuration no longer names; says whether there are others now.
    pub(super) fn replace(&mut self, config: &Config, added: Self) -> bool {
        let before = self.groups.len();
        let keep: BTreeMap<_, _> = wanted(config).collect();
        self.groups.retain(|place, _| keep.contains_key(place));
        let changed = self.groups.len() != before || !added.groups.is_empty();
        self.groups.extend(added.groups);
        for (place, app) in keep {
            if let Some(group) = self.groups.get_mut(&place) {
                group.app = app;
            }
        }
        changed
    }

    /// Every group, in a stable order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }
}

fn name(group: usize, socket: usize) -> String {
    format!("listener.{group}.{socket}")
}

/// Every address that is to be listened on, with the app whose own it is.
fn wanted(config: &Config) -> impl Iterator<Item = (Place, Option<AppName>)> + '_ {
    let shared = |address: &SocketAddr, tls| (Place { address: *address, tls, chosen_for: None }, None);
    let http = config.listen.http.iter().map(move |address| shared(address, false));
    let https = config.listen.https.iter().map(move |address| shared(address, true));
    let enabled = config.apps.values().filter(|app| app.enabled);
    let own = enabled.flat_map(|app| {
        app.ports.iter().map(|address| {
            let chosen_for = (address.port() == 0).then(|| app.name.clone());
            (Place { address: *address, tls: false, chosen_for }, Some(app.name.clone()))
        })
    });
    http.chain(https).chain(own)
}

fn bind(address: SocketAddr, count: usize) -> Result<Vec<Listening>, Error> {
    listener::bind(address, count).map_err(|source| Error::Bind { address, source })
}

/// Picks the inherited sockets meant for an address: those named after its kind (`http`, `https`, or its app) when it is the
/// only one of that kind, else those bound to the very address.
fn claim(inherited: &mut Vec<Listening>, place: &Place, app: Option<&AppName>, config: &Config) -> Vec<Listening> {
    let (kind, alone) = match app {
        Some(app) => (app.as_str(), config.apps.get(app).is_some_and(|app| app.ports.len() == 1)),
        None if place.tls => ("https", config.listen.https.len() == 1),
        None => ("http", config.listen.http.len() == 1),
    };
    let named = |socket: &Listening| alone && socket.name.as_deref() == Some(kind);
    let any_named = inherited.iter().any(named);
    let meant = |socket: &mut Listening| if any_named { named(socket) } else { socket.address == place.address };
    inherited.extract_if(.., meant).collect()
}
