//! The sockets that the workers of an app share, such as that of its metrics: bound for the first that asks, gone with the
//! last that had it, whatever generation each is of.
//!
//! Knows who has what; that a worker may have it is decided elsewhere. Invariant: none is kept without a holder.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::id::Serial;
use crate::supervisor::channel::cluster::Wanted;
use crate::sys::handout::{self, Options};

#[derive(Debug, Default)]
pub(super) struct Shared(BTreeMap<Wanted, SharedSocket>);

#[derive(Debug)]
struct SharedSocket {
    socket: OwnedFd,
    holders: BTreeSet<Serial>,
    /// Its file, if it has one.
    _file: Option<SocketFile>,
}

/// The file of a Unix socket, removed when nobody has the socket any more.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The app may have done it.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Shared {
    pub(super) fn record(&self) -> Vec<(Wanted, BTreeSet<Serial>)> {
        self.0.iter().map(|(wanted, one)| (wanted.clone(), one.holders.clone())).collect()
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.values().map(|one| one.socket.as_fd())
    }

    /// Those of before us; one that is lost is bound anew when the next worker asks.
    pub(super) fn adopt(record: &[(Wanted, BTreeSet<Serial>)], take: impl Fn(usize) -> Option<OwnedFd>) -> Self {
        let adopted = record.iter().enumerate().filter_map(|(index, (wanted, holders))| {
            let socket = take(index)?;
            Some((wanted.clone(), SharedSocket { socket, holders: holders.clone(), _file: file_of(wanted) }))
        });
        Self(adopted.collect())
    }

    /// The socket for this, shared with those who have it already.
    pub(super) fn share(&mut self, wanted: &Wanted, serial: Serial) -> io::Result<&OwnedFd> {
        if !self.0.contains_key(wanted) {
            let socket = bind(wanted)?;
            let one = SharedSocket { socket, holders: BTreeSet::new(), _file: file_of(wanted) };
            self.0.insert(wanted.clone(), one);
        }
        let one = self.0.get_mut(wanted).expect("it is there, or has just been put there");
        one.holders.insert(serial);
        Ok(&one.socket)
    }

    pub(super) fn give_back(&mut self, wanted: &Wanted, serial: Serial) {
        if let Some(one) = self.0.get_mut(wanted) {
            one.holders.remove(&serial);
        }
        self.0.retain(|_, one| !one.holders.is_empty());
    }

    /// A worker has ended.
    pub(super) fn forget(&mut self, serial: Serial) {
        self.0.retain(|_, one| {
            one.holders.remove(&serial);
            !one.holders.is_empty()
        });
    }
}

fn file_of(wanted: &Wanted) -> Option<SocketFile> {
    match wanted {
        Wanted::Path(path) => Some(SocketFile(path.clone())),
        _ => None,
    }
}

/// Binds just this.
pub(super) fn bind(wanted: &Wanted) -> io::Result<OwnedFd> {
    match wanted {
        Wanted::Tcp { address: Some(address), port, options } => handout::bind_tcp((*address, *port).into(), *options),
        // As Node does it: one socket for both, where there is IPv6.
        Wanted::Tcp { address: None, port, options } => {
            let any = |address: IpAddr| handout::bind_tcp(SocketAddr::new(address, *port), *options);
            any(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| any(Ipv4Addr::UNSPECIFIED.into()))
        }
        Wanted::Udp { address, port, options } => handout::bind_udp((*address, *port).into(), *options),
        Wanted::Path(path) => bind_path(path),
        Wanted::Unknown => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// A socket that nobody else knows the port of.
pub(super) fn bind_private(wanted: &Wanted) -> io::Result<OwnedFd> {
    let any_port = match wanted {
        Wanted::Tcp { address, options, .. } => Wanted::Tcp { address: *address, port: 0, options: *options },
        Wanted::Udp { address, .. } => Wanted::Udp { address: *address, port: 0, options: Options::default() },
        other => other.clone(),
    };
    bind(&any_port)
}

/// The file of a socket on which nobody listens any more is in nobody's way.
fn bind_path(path: &Path) -> io::Result<OwnedFd> {
    match handout::bind_unix(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            handout::bind_unix(path)
        }
        bound => bound,
    }
}

fn is_abandoned(path: &Path) -> bool {
    let connected = std::os::unix::net::UnixStream::connect(path);
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn tcp(port: u16) -> Wanted {
        Wanted::Tcp { address: Some(Ipv4Addr::LOCALHOST.into()), port, options: Options::default() }
    }

    #[test]
    fn a_socket_is_there_from_the_first_holder_to_the_last() {
        let (mut shared, wanted) = (Shared::default(), tcp(free_port()));
        shared.share(&wanted, Serial(1)).unwrap();
        shared.share(&wanted, Serial(2)).unwrap();
        shared.give_back(&wanted, Serial(1));
        shared.give_back(&wanted, Serial(7));
        assert_eq!(shared.0.len(), 1);
        shared.forget(Serial(2));
        assert!(shared.0.is_empty());
    }

    #[test]
    fn what_somebody_else_has_is_not_to_be_had() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = tcp(taken.local_addr().unwrap().port());
        let mut shared = Shared::default();
        assert_eq!(shared.share(&wanted, Serial(1)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(shared.0.is_empty());
        bind_private(&wanted).unwrap();
    }

    #[test]
    fn the_file_of_a_unix_socket_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let (mut shared, wanted) = (Shared::default(), Wanted::Path(path.clone()));
        shared.share(&wanted, Serial(1)).unwrap();
        assert!(path.exists());
        shared.forget(Serial(1));
        assert!(!path.exists());
        // One that a crash left behind.
        drop(handout::bind_unix(&path).unwrap());
        shared.share(&wanted, Serial(1)).unwrap();
        // One on which somebody listens.
        let other = folder.path().join("other.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&other).unwrap();
        let error = shared.share(&Wanted::Path(other), Serial(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
