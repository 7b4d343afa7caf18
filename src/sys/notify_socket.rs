//! A socket on which programs tell us how they are: each message comes with the process that sent it, by the kernel's word.
//!
//! The other side of [`super::notify`], as `sd_notify(3)` has it. What a message means is not known here. Invariants: the
//! sender is whom the kernel names (`SCM_CREDENTIALS`), whatever the message says; descriptors that come along
//! (`FDSTORE=1`, `BARRIER=1`) are closed at once, which is all that a barrier waits for. A process outside of our PID
//! namespace has the number 0 here, be it a sender, a group or a session: it is nobody.
#![allow(unsafe_code)]

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, UnixCredentials, recvmsg};
use nix::unistd::{getpgid, getsid};
use rustix::process::Pid;

/// How far up the line of parents a sender is looked for.
const MOST_ANCESTORS: usize = 64;
/// Descriptors that one message can carry (`unix(7)`).
const MOST_DESCRIPTORS: usize = 253;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Bytes of it that are in the buffer.
    pub length: usize,
    /// The buffer was too small for it.
    pub is_cut: bool,
    /// The process that sent it; `None`: one that we cannot see.
    pub sender: Option<Pid>,
}

/// Binds a socket that has a name and no file (`unix(7)`, abstract); it does not block.
pub fn bind_abstract(name: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    socket.set_nonblocking(true)?;
    rustix::net::sockopt::set_socket_passcred(&socket, true)?;
    Ok(socket)
}

/// Binds a socket at a path; it does not block.
pub fn bind(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::bind(path)?;
    socket.set_nonblocking(true)?;
    rustix::net::sockopt::set_socket_passcred(&socket, true)?;
    Ok(socket)
}

/// Takes the next message; `WouldBlock` when there is none. Descriptors that come along are closed.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    receive_all(socket, buffer).map(|(datagram, _)| datagram)
}

/// Takes the next message, with the descriptors that come along, close-on-exec.
pub fn receive_all(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(Datagram, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!(UnixCredentials, [RawFd; MOST_DESCRIPTORS]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let mut buffers = [IoSliceMut::new(buffer)];
    let message = recvmsg::<UnixAddr>(socket.as_fd().as_raw_fd(), &mut buffers, Some(&mut space), flags)?;
    let (mut sender, mut came) = (None, Vec::new());
    for word in message.cmsgs()? {
        match word {
            ControlMessageOwned::ScmCredentials(credentials) => sender = Pid::from_raw(credentials.pid()),
            ControlMessageOwned::ScmRights(descriptors) => {
                // SAFETY: the kernel has just made each of them for this process, and nobody else knows of it.
                came.extend(descriptors.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
            }
            _ => {}
        }
    }
    let is_cut = message.flags.contains(MsgFlags::MSG_TRUNC);
    Ok((Datagram { length: message.bytes, is_cut, sender }, came))
}

/// Does this process belong to the program that was started as `leader`: to its process group or session, or to its
/// descendants? One that has ended and is reaped belongs to nobody.
#[must_use]
pub fn belongs(process: Pid, leader: u32) -> bool {
    let is_leader = |pid: nix::unistd::Pid| pid.as_raw().unsigned_abs() == leader;
    let number = nix::unistd::Pid::from_raw(process.as_raw_pid());
    getpgid(Some(number)).is_ok_and(is_leader)
        || getsid(Some(number)).is_ok_and(is_leader)
        || std::iter::successors(Some(process), |process| parent(*process))
            .take(MOST_ANCESTORS)
            .any(|process| process.as_raw_pid().unsigned_abs() == leader)
}

fn parent(process: Pid) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.as_raw_pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Pid::from_raw(line.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::sys::testing::eventually;

    fn next(socket: &UnixDatagram, buffer: &mut [u8]) -> Datagram {
        receive(socket, buffer).expect("what was sent is there at once")
    }

    /// A shell that runs until its input ends.
    fn shell(script: &str) -> Child {
        Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn a_message_comes_with_its_sender_and_one_that_is_too_long_is_known_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let (socket, mut buffer) = (bind(&path).unwrap(), [0; 8]);
        assert_eq!(receive(&socket, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"READY=1", &path).unwrap();
        client.send_to(b"READY=1\nSTATUS=x", &path).unwrap();
        let sender = Some(rustix::process::getpid());
        assert_eq!(next(&socket, &mut buffer), Datagram { length: 7, is_cut: false, sender });
        assert_eq!(&buffer[..7], b"READY=1");
        assert_eq!(next(&socket, &mut buffer), Datagram { length: 8, is_cut: true, sender });
    }

    #[test]
    fn descriptors_that_come_along_are_closed() {
        use std::mem::MaybeUninit;

        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = bind(&path).unwrap();
        let (reader, writer) = crate::sys::socket::pipe().unwrap();
        let passed = [writer.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&passed));
        let client = UnixDatagram::unbound().unwrap();
        let (address, text) = (SocketAddrUnix::new(&path).unwrap(), [io::IoSlice::new(b"BARRIER=1")]);
        rustix::net::sendmsg_addr(&client, &address, &text, &mut control, SendFlags::empty()).unwrap();
        drop(writer);
        assert_eq!(rustix::io::read(&reader, &mut [0; 1]), Err(rustix::io::Errno::AGAIN), "it is on its way");
        assert!(next(&socket, &mut [0; 64]).sender.is_some());
        assert_eq!(eventually(|| rustix::io::read(&reader, &mut [0; 1])), 0, "the last copy is closed");
    }

    #[test]
    fn who_is_in_the_group_or_comes_from_it_belongs_and_a_stranger_does_not() {
        use std::io::{BufRead, BufReader};
        let mut leader =
            shell("sleep 1000 & a=$!; setsid sleep 1000 & b=$!; echo $a; echo $b; read -r end; kill $a $b");
        let mut lines = BufReader::new(leader.stdout.take().unwrap()).lines();
        let [child, apart] = std::array::from_fn(|_| {
            let line = lines.next().unwrap().unwrap();
            Pid::from_raw(line.parse().unwrap()).unwrap()
        });
        let mut stranger = shell("read -r end");
        let stranger_pid = Pid::from_child(&stranger);
        assert!(belongs(Pid::from_child(&leader), leader.id()));
        assert!(belongs(child, leader.id()) && belongs(apart, leader.id()));
        assert!(!belongs(stranger_pid, leader.id()) && !belongs(rustix::process::getpid(), leader.id()));
        for process in [&mut leader, &mut stranger] {
            drop(process.stdin.take());
            process.wait().unwrap();
        }
        assert!(!belongs(stranger_pid, leader.id()));
    }
}
