//! Sockets that another program is to listen on: bound here, listening nowhere yet; and descriptors on their way over a Unix
//! socket.
//!
//! Who gets which, and why, is not known here. Invariants: every socket is close-on-exec and non-blocking, and takes a
//! connection only after somebody has called listen(2) on it; a descriptor that was sent stays ours as well.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Options of a socket before it is bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Options {
    /// An IPv6 socket takes no IPv4.
    pub only_v6: bool,
    /// A datagram socket shares its address with others that say so too.
    pub reuse: bool,
}

/// Binds a TCP socket, as libuv does it.
pub fn bind_tcp(address: SocketAddr, options: Options) -> io::Result<OwnedFd> {
    bind(address, (Type::STREAM, Protocol::TCP), Options { reuse: true, ..options })
}

/// Binds a UDP socket.
pub fn bind_udp(address: SocketAddr, options: Options) -> io::Result<OwnedFd> {
    bind(address, (Type::DGRAM, Protocol::UDP), options)
}

/// Binds a Unix stream socket; its file stays until somebody removes it.
pub fn bind_unix(path: &Path) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind(address: SocketAddr, (kind, protocol): (Type, Protocol), options: Options) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_reuse_address(options.reuse)?;
    if address.is_ipv6() {
        socket.set_only_v6(options.only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Sends bytes, and with the first of them a descriptor; gives how many bytes were taken. Never waits.
pub fn send(socket: &impl AsFd, text: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<usize> {
    send_with(socket, text, descriptor, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

/// Sends a datagram with a descriptor; waits as the socket does.
pub fn send_patiently(socket: &impl AsFd, text: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<()> {
    send_with(socket, text, descriptor, SendFlags::NOSIGNAL).map(drop)
}

fn send_with(socket: &impl AsFd, text: &[u8], descriptor: BorrowedFd<'_>, flags: SendFlags) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("there is no room for a descriptor"));
    }
    Ok(sendmsg(socket, &[IoSlice::new(text)], &mut control, flags)?)
}

/// Takes one byte and the descriptor that came with it, close-on-exec. Never waits.
///
/// # Errors
/// `UnexpectedEof` when nobody has the other end any more; `InvalidData` when the byte came alone.
pub fn receive(socket: &impl AsFd) -> io::Result<OwnedFd> {
    let (mut byte, mut space) = ([0; 1], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))]);
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    if recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let came = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    came.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a byte came without a descriptor"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::listener::reserve_port;

    fn local(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    #[test]
    fn a_bound_socket_takes_connections_only_once_somebody_listens() {
        let reserved = reserve_port().unwrap();
        let socket = bind_tcp(local(reserved.port()), Options::default()).unwrap();
        assert_eq!(TcpStream::connect(local(reserved.port())).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        rustix::net::listen(&socket, 1).unwrap();
        TcpStream::connect(local(reserved.port())).unwrap();
        assert_eq!(TcpListener::from(socket).accept().map(|_| ()).map_err(|error| error.kind()), Ok(()));
    }

    #[test]
    fn a_taken_address_is_refused() {
        let taken = TcpListener::bind(local(0)).unwrap();
        let error = bind_tcp(taken.local_addr().unwrap(), Options::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let taken = UdpSocket::bind(local(0)).unwrap();
        let error = bind_udp(taken.local_addr().unwrap(), Options::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _first = bind_unix(&path).unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_unspecified_ipv6_address_takes_ipv4_unless_told_not_to() {
        let any = |only_v6| {
            let options = Options { only_v6, reuse: false };
            let socket = TcpListener::from(bind_tcp((Ipv6Addr::UNSPECIFIED, 0).into(), options).unwrap());
            rustix::net::listen(&socket, 1).unwrap();
            TcpStream::connect(local(socket.local_addr().unwrap().port())).is_ok()
        };
        assert_eq!((any(false), any(true)), (true, false));
    }

    #[test]
    fn a_descriptor_arrives_with_the_first_byte_and_stays_ours() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(send(&near, b"take this", theirs.as_fd()).unwrap(), 9);
        let mut arrived = UnixStream::from(receive(&far).expect("it comes along"));
        assert_eq!(receive(&far).unwrap_err().kind(), io::ErrorKind::InvalidData, "with the first byte only");
        let mut rest = [0; 16];
        let length = (&far).read(&mut rest).unwrap();
        assert_eq!(&rest[..length], b"ke this");
        assert_eq!(receive(&far).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(near);
        assert_eq!(receive(&far).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        drop(theirs);
        arrived.write_all(b"x").unwrap();
        assert_eq!(ours.read(&mut [0; 1]).unwrap(), 1);
    }

    #[test]
    fn nothing_is_waited_for() {
        let (near, _far) = UnixStream::pair().unwrap();
        let text = [0; 4096];
        let full = (0..100_000).find_map(|_| send(&near, &text, near.as_fd()).err()).expect("it is full at last");
        assert!(matches!(full.kind(), io::ErrorKind::WouldBlock) || full.raw_os_error() == Some(109), "{full}");
    }
}
