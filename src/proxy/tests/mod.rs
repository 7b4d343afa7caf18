//! The proxy in one process with its test: real threads, real sockets on loopback, a link whose other end the test holds,
//! and workers that the test plays itself, byte by byte.

use std::os::fd::IntoRawFd;

use socket2::SockRef;

use crate::link::ManifestEntry;
use crate::sys::listener::Listening;

/// Makes a listening socket look as one that was inherited, and describes it for a manifest.
pub(super) fn inheritable(listening: Listening, tls: bool) -> ManifestEntry {
    SockRef::from(&listening.socket).set_cloexec(false).unwrap();
    let Listening { socket, address, cookie, .. } = listening;
    ManifestEntry { descriptor: socket.into_raw_fd(), address, tls, cookie }
}
