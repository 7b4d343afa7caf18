//! What a process needs that keeps descriptors for another one and starts it again: children reaped as they end, and
//! the words on its socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::notify_socket;
use super::spawn::Exit;

/// Longest message that is taken.
const LONGEST: usize = 4096;

/// What is said on the socket.
#[derive(Debug)]
pub enum Said {
    /// Keep these under this name.
    Keep(String, Vec<OwnedFd>),
    /// Forget what has this name.
    Forget(String),
    /// For whoever manages us.
    Other(String),
}

/// Takes the next message, if it is from this process; `WouldBlock` when there is none.
pub fn hear(socket: impl AsFd, from: u32) -> io::Result<Option<Said>> {
    let mut buffer = [0; LONGEST];
    let (datagram, came) = notify_socket::receive_all(socket, &mut buffer)?;
    let is_known = datagram.sender.is_some_and(|sender| sender.as_raw_pid().unsigned_abs() == from);
    let text = str::from_utf8(&buffer[..datagram.length]).ok().filter(|_| is_known && !datagram.is_cut);
    Ok(text.map(|text| said(text, came)))
}

fn said(text: &str, came: Vec<OwnedFd>) -> Said {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    match (value("FDSTORE"), value("FDSTOREREMOVE"), value("FDNAME")) {
        (Some("1"), _, Some(name)) => Said::Keep(name.to_owned(), came),
        (_, Some("1"), Some(name)) => Said::Forget(name.to_owned()),
        _ => Said::Other(text.to_owned()),
    }
}

/// Reaps a child that has ended, whichever it is; `None` when there is none.
#[must_use]
pub fn reap() -> Option<(u32, Exit)> {
    loop {
        return match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => Some((pid.as_raw().unsigned_abs(), Exit::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, core)) => {
                Some((pid.as_raw().unsigned_abs(), Exit::Signal { signal: signal as i32, core }))
            }
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::ECHILD) => None,
            Ok(_) | Err(_) => continue,
        };
    }
}

/// Sends a signal to one process.
pub fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let signal = nix::sys::signal::Signal::try_from(signal)?;
    Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal)?)
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;
    use crate::sys::handout;

    #[test]
    fn what_is_to_be_kept_comes_with_its_name_and_only_from_whom_it_may() {
        let name = format!("portreeve-test-{}", std::process::id());
        let socket = notify_socket::bind_abstract(&name).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let kept = std::fs::File::open("/dev/null").unwrap();
        let us = std::process::id();
        handout::send_patiently(&sender, b"FDSTORE=1\nFDNAME=a.b", kept.as_fd()).unwrap();
        assert!(matches!(hear(&socket, us).unwrap(), Some(Said::Keep(name, ends)) if name == "a.b" && ends.len() == 1));
        handout::send_patiently(&sender, b"FDSTORE=1\nFDNAME=a.b", kept.as_fd()).unwrap();
        assert!(hear(&socket, us + 1).unwrap().is_none(), "from a stranger");
        sender.send(b"FDSTOREREMOVE=1\nFDNAME=a.b").unwrap();
        assert!(matches!(hear(&socket, us).unwrap(), Some(Said::Forget(name)) if name == "a.b"));
        sender.send(b"READY=1").unwrap();
        assert!(matches!(hear(&socket, us).unwrap(), Some(Said::Other(text)) if text == "READY=1"));
        assert_eq!(hear(&socket, us).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
