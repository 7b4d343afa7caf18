//! Where a worker listens: at a loopback port or a path of its own, or nowhere, if it is one of a task.
//!
//! Either it opens its socket there, or it inherits one that listens already. Of such a socket we keep nothing: it goes with
//! the worker, and so a connection that it has not taken ends with it and does not wait for ever. Invariant: the place
//! is nobody else's for as long as the [`Berth`] lives, whatever has become of the worker.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::kit::Kit;
use crate::config::{Contract, Socket};
use crate::id::Address;
use crate::supervisor::adoption::{PlaceEntry, WorkerEntry};
use crate::sys::listener::{self, Reservation};
use crate::sys::socket_folder::SocketFolder;

/// The worker's socket in its folder.
const SOCKET: &str = "http";

/// A worker's place.
#[derive(Debug)]
pub(in crate::supervisor) struct Berth {
    place: Place,
    /// The folder of all its sockets, if it has any.
    folder: Option<SocketFolder>,
}

#[derive(Debug)]
enum Place {
    Port(Reservation),
    Path(PathBuf),
    /// Nobody connects to it.
    Nowhere,
}

impl Berth {
    /// Takes a free place and tells the worker of it. The first of all that is placed: an inherited socket is descriptor 3.
    ///
    /// # Errors
    /// A sentence that names what failed.
    pub(super) fn take(contract: Contract, folder: Option<SocketFolder>, kit: &mut Kit) -> Result<Self, String> {
        let place = match (contract.socket, &folder) {
            (Socket::Unix, Some(folder)) => Place::Path(path(folder, kit)?),
            (Socket::Absent, _) => Place::Nowhere,
            (socket, _) => Place::Port(port(socket == Socket::Inherit, kit)?),
        };
        Ok(Self { place, folder })
    }

    /// A place that nobody listens at.
    #[cfg(test)]
    pub(in crate::supervisor) fn imagined(path: PathBuf) -> Self {
        Self { place: Place::Path(path), folder: None }
    }

    /// One that there is not.
    #[cfg(test)]
    pub(in crate::supervisor) fn nowhere() -> Self {
        Self { place: Place::Nowhere, folder: None }
    }

    /// The place of a worker that was there before us; `port`: what it has been reserved with.
    ///
    /// # Errors
    /// When what was reserved is not there.
    pub(super) fn adopt(entry: &WorkerEntry, port: Option<OwnedFd>) -> io::Result<Self> {
        let place = match &entry.place {
            PlaceEntry::Port => Place::Port(Reservation::adopt(port.ok_or(io::ErrorKind::NotFound)?)?),
            PlaceEntry::Path(path) => Place::Path(path.clone()),
            PlaceEntry::Nowhere => Place::Nowhere,
        };
        Ok(Self { place, folder: entry.folder.clone().map(SocketFolder::adopt) })
    }

    /// As it is written down, and what is to be handed over for it.
    pub(in crate::supervisor) fn entry(&self) -> (PlaceEntry, Option<BorrowedFd<'_>>) {
        match &self.place {
            Place::Port(port) => (PlaceEntry::Port, Some(port.as_fd())),
            Place::Path(path) => (PlaceEntry::Path(path.clone()), None),
            Place::Nowhere => (PlaceEntry::Nowhere, None),
        }
    }

    /// The folder of its sockets.
    pub(in crate::supervisor) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(SocketFolder::path)
    }

    /// `None`: it has no place.
    pub(in crate::supervisor) fn address(&self) -> Option<Address> {
        match &self.place {
            Place::Port(port) => Some(Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port.port())))),
            Place::Path(path) => Some(Address::Unix(path.clone())),
            Place::Nowhere => None,
        }
    }

    /// Lets the proxies connect to the worker's socket, whoever they run as. Say it once the worker listens.
    ///
    /// # Errors
    /// A sentence that names the socket.
    pub(in crate::supervisor) fn open_up(&self) -> Result<(), String> {
        match (&self.place, &self.folder) {
            (Place::Path(path), Some(folder)) => folder
                .open_up(SOCKET)
                .map_err(|error| format!("let the proxies connect to {}: {error}", path.display())),
            _ => Ok(()),
        }
    }
}

fn port(is_inherited: bool, kit: &mut Kit) -> Result<Reservation, String> {
    let port = listener::reserve_port().map_err(|error| format!("reserve a loopback port: {error}"))?;
    if is_inherited {
        let socket = port.listen().map_err(|error| format!("listen on a loopback port: {error}"))?;
        kit.place(socket);
        kit.set("LISTEN_FDS", "1");
        kit.set("LISTEN_FDNAMES", SOCKET);
        kit.set_to_pid("LISTEN_PID");
    }
    kit.set("HOST", Ipv4Addr::LOCALHOST.to_string());
    kit.set("PORT", port.port().to_string());
    kit.placeholders.push(("{port}", port.port().to_string()));
    Ok(port)
}

/// Node and others listen at a path when `PORT` is one.
fn path(folder: &SocketFolder, kit: &mut Kit) -> Result<PathBuf, String> {
    let path = folder.socket(SOCKET).map_err(|error| error.to_string())?;
    let text = path.to_str().ok_or_else(|| format!("{}: no text", path.display()))?;
    kit.set("PORT", text);
    kit.set("PORTREEVE_SOCKET", text);
    kit.placeholders.push(("{socket}", text.to_owned()));
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Channel, Readiness};

    fn taken(socket: Socket, folder: Option<SocketFolder>) -> (Berth, Kit) {
        let contract = Contract {
            socket,
            channel: Channel::Absent,
            notify: false,
            watchdog: None,
            ready: Readiness::Probe,
            stop_signal: crate::config::StopSignal::Term,
            node: crate::config::Node::PLAIN,
        };
        let mut kit = Kit::default();
        let berth = Berth::take(contract, folder, &mut kit).unwrap();
        (berth, kit)
    }

    fn told(kit: &Kit, name: &str) -> Option<String> {
        let found = kit.variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_worker_that_inherits_its_socket_is_told_so_and_of_the_port() {
        let (berth, kit) = taken(Socket::Inherit, None);
        assert_eq!(kit.descriptors.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [3]);
        assert_eq!((told(&kit, "LISTEN_FDS"), told(&kit, "LISTEN_FDNAMES")), (Some("1".into()), Some("http".into())));
        assert_eq!(kit.pid_variables, ["LISTEN_PID"]);
        let port = told(&kit, "PORT").unwrap();
        assert_eq!(berth.address().unwrap().to_string(), format!("127.0.0.1:{port}"));
        let connect = || std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap()));
        assert!(connect().is_ok(), "it listens already");
        drop(kit);
        assert!(connect().is_err(), "we keep no copy of the socket");
        let (_, kit) = taken(Socket::Port, None);
        assert!(kit.descriptors.is_empty() && kit.pid_variables.is_empty() && told(&kit, "LISTEN_FDS").is_none());
    }

    #[test]
    fn a_worker_of_a_task_is_told_of_no_place() {
        let (berth, kit) = taken(Socket::Absent, None);
        assert!(berth.address().is_none() && kit.variables.is_empty() && kit.descriptors.is_empty());
        berth.open_up().unwrap();
    }

    #[test]
    fn a_worker_at_a_path_is_told_of_it_in_place_of_a_port() {
        let home = tempfile::tempdir().unwrap();
        let folder = SocketFolder::make(home.path().join("7"), None, None).unwrap();
        let (berth, kit) = taken(Socket::Unix, Some(folder));
        let path = home.path().join("7/http").display().to_string();
        assert_eq!((told(&kit, "PORT"), told(&kit, "PORTREEVE_SOCKET")), (Some(path.clone()), Some(path.clone())));
        assert_eq!(kit.placeholders, [("{socket}", path.clone())]);
        assert_eq!((berth.address().unwrap().to_string(), told(&kit, "HOST")), (format!("unix:{path}"), None));
        assert!(berth.open_up().unwrap_err().contains(&path), "nobody listens yet");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        berth.open_up().unwrap();
        drop(berth);
        assert!(!home.path().join("7").exists());
    }
}
