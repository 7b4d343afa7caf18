//! Listening TCP sockets: bound here, inherited from a service manager, or handed from supervisor to proxy; and ports
//! kept for workers that bind them themselves.
//!
//! A listener is passed on as *the same open file description*, never bound again: connections that wait in its queue
//! then outlive whoever stops using it. What is spoken on a listener is not known here. Invariants: every socket
//! returned is close-on-exec and non-blocking, and each inherited descriptor is owned by at most one value.
#![allow(unsafe_code)]

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::descriptor;

/// How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// One listening socket.
#[derive(Debug)]
pub struct Listening {
    pub socket: OwnedFd,
    /// Where it listens, the port that the kernel chose included.
    pub address: SocketAddr,
    /// The kernel's number for the socket (`SO_COOKIE`): equal for two descriptors exactly when they are one socket.
    pub cookie: u64,
    /// The name that a service manager gave it (`FileDescriptorName=`).
    pub name: Option<String>,
}

/// Listens at an address with `count` sockets, each with its own queue; the kernel deals connections out to them.
///
/// Port 0 lets the kernel choose, one port for all. IPv6 sockets take no IPv4. A `SO_REUSEPORT` group may otherwise be
/// joined silently by a second server of the same user; here the first socket is bound without that option, so that a
/// port on which anybody else listens is refused, and joins the group that it founds only then.
///
/// # Errors
/// `AddrInUse` when somebody listens there, `InvalidInput` when `count` is 0, and what bind(2) and listen(2) say.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<Listening>> {
    if count == 0 {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a listener has at least one socket"));
    }
    let first = stream_socket(address)?;
    first.bind(&address.into())?;
    first.set_reuse_port(count > 1)?;
    let chosen = local_address(&SockRef::from(&first))?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = stream_socket(chosen)?;
        next.set_reuse_port(true)?;
        next.bind(&chosen.into())?;
        sockets.push(next);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    sockets.into_iter().map(|socket| Listening::describe(socket.into(), None)).collect()
}

/// Claims the listening sockets that a service manager passed to this process (`sd_listen_fds(3)`).
///
/// Empty when `LISTEN_PID` names another process, and from the second call on: a descriptor has one owner.
///
/// # Errors
/// `InvalidData` naming the descriptor when one of them is no listening TCP socket; then all of them are closed.
pub fn inherited() -> io::Result<Vec<Listening>> {
    /// The descriptors belong to the process, so whether they were taken is a fact of the process too.
    static TAKEN: AtomicBool = AtomicBool::new(false);

    if TAKEN.swap(true, Ordering::SeqCst) || sd_notify::listen_fds()?.len() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the manager opened these for us alone, `listen_fds` has just found each of them open, and `TAKEN` makes
    // this the only place that ever owns them.
    let own = |(number, name)| (unsafe { OwnedFd::from_raw_fd(number) }, number, name);
    let passed: Vec<(OwnedFd, RawFd, String)> = sd_notify::listen_fds_with_names()?.map(own).collect();
    passed
        .into_iter()
        .map(|(socket, number, name)| {
            require_listening_tcp(&socket)
                .and_then(|()| Listening::describe(socket, meant_name(&name)))
                .map_err(|error| about_descriptor(number, &name, &error))
        })
        .collect()
}

/// Claims a listening socket that the parent placed at a descriptor number of this process.
///
/// # Errors
/// `InvalidData`, naming the number, when nothing was placed there, when it has an owner already, or when it is no
/// listening TCP socket; in the last case it is closed.
pub fn adopt(number: RawFd) -> io::Result<Listening> {
    let socket = descriptor::claim(number)?;
    require_listening_tcp(&socket)
        .and_then(|()| Listening::describe(socket, None))
        .map_err(|error| about_descriptor(number, "", &error))
}

impl Listening {
    /// A listening socket that was handed over.
    ///
    /// # Errors
    /// `InvalidData` when it is no listening TCP socket.
    pub fn adopt(socket: OwnedFd) -> io::Result<Self> {
        require_listening_tcp(&socket)?;
        Self::describe(socket, None)
    }

    fn describe(socket: OwnedFd, name: Option<String>) -> io::Result<Self> {
        let view = SockRef::from(&socket);
        view.set_nonblocking(true)?;
        let address = local_address(&view)?;
        let cookie = rustix::net::sockopt::socket_cookie(&socket)?;
        Ok(Self { socket, address, cookie, name })
    }
}

/// A loopback port that stays ours while a worker uses it: bound, never listening.
///
/// It is bound on every address, for so do many servers: Node listens on `[::]` unless told otherwise, and that fails
/// when anybody has the same number on any one address, be it for an outgoing connection. The kernel gives the port to
/// nobody who asks for any port, and connects from it nowhere; a server that sets `SO_REUSEADDR`, as nearly all do, can
/// bind it and listen. A server that does not set it gets `AddrInUse`.
#[derive(Debug)]
pub struct Reservation {
    port: u16,
    socket: Socket,
}

impl AsFd for Reservation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Reservation {
    /// A reservation that was handed over.
    ///
    /// # Errors
    /// When it is no socket that is bound to a port.
    pub fn adopt(socket: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(socket);
        let port = local_address(&SockRef::from(&socket))?.port();
        Ok(Self { port, socket })
    }

    /// The port, on 127.0.0.1 and everywhere else.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Reserves a port that is free on every address until the value is dropped.
pub fn reserve_port() -> io::Result<Reservation> {
    // Without IPv6 there are no other addresses than those of IPv4.
    let socket =
        reserve_any_port(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| reserve_any_port(Ipv4Addr::UNSPECIFIED.into()))?;
    let port = local_address(&SockRef::from(&socket))?.port();
    Ok(Reservation { port, socket })
}

/// Binds a port of the kernel's choice; with an IPv6 address those of IPv4 are included.
fn reserve_any_port(ip: IpAddr) -> io::Result<Socket> {
    let address = SocketAddr::new(ip, 0);
    let socket = stream_socket(address)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

impl Reservation {
    /// Makes a socket that listens on the reserved port, blocking, for a program that inherits it. The port is served for
    /// as long as anybody has it: we need not, and should not keep it.
    pub fn listen(&self) -> io::Result<OwnedFd> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let socket = stream_socket(address)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }
}

fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn local_address(socket: &SockRef<'_>) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| invalid("it has no Internet address"))
}

fn require_listening_tcp(descriptor: &OwnedFd) -> io::Result<()> {
    let socket = SockRef::from(descriptor);
    let is_tcp = [Domain::IPV4, Domain::IPV6].contains(&socket.domain()?) && socket.r#type()? == Type::STREAM;
    if !is_tcp {
        return Err(invalid("it is not a TCP socket"));
    }
    if !socket.is_listener()? {
        return Err(invalid("it is a TCP socket that does not listen"));
    }
    Ok(())
}

/// `unknown` is what `sd_listen_fds_with_names(3)` says where the manager gave no name.
fn meant_name(name: &str) -> Option<String> {
    (!name.is_empty() && name != "unknown").then(|| name.to_owned())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn about_descriptor(number: RawFd, name: &str, error: &io::Error) -> io::Error {
    let named = if name.is_empty() { String::new() } else { format!(" ({name})") };
    invalid(&format!("descriptor {number}{named}: {error}"))
}

#[cfg(test)]
mod tests;
