//! What the service manager is told (`sd_notify(3)`), and which of its variables are not for children.
//!
//! Without a manager that listens, every call does nothing. A message never blocks: when the manager's queue is full
//! it is lost, which the caller learns. The words are those of the `sd-notify` crate.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

use super::handout;

/// Variables by which a service manager speaks to one process; a child that saw them would take them for its own.
const MANAGER_VARIABLES: [&str; 10] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "FDSTORE",
    // An earlier image of this program is a manager of a kind.
    "PORTREEVE_HANDOVER",
    // So is our keeper.
    "PORTREEVE_KEPT",
];

/// The longest that a manager may take to take what it is to keep.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells the service manager how this service is doing.
#[derive(Debug)]
pub struct Notifier {
    manager: Option<SocketAddr>,
}

impl Notifier {
    /// Finds the manager by `NOTIFY_SOCKET`; without it the notifier is silent.
    ///
    /// # Errors
    /// When the variable holds no address that a Unix socket can have.
    pub fn from_environment() -> io::Result<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        Ok(Self { manager: name.map(|name| address(&name)).transpose()? })
    }

    /// All that was asked for at start or reload is done.
    pub fn ready(&self) -> io::Result<()> {
        self.send(&[NotifyState::Ready])
    }

    /// A reload begins; [`Notifier::ready`] ends it. Carries the time that `Type=notify-reload` asks for.
    pub fn reloading(&self) -> io::Result<()> {
        self.send(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])
    }

    /// The service is on its way out.
    pub fn stopping(&self) -> io::Result<()> {
        self.send(&[NotifyState::Stopping])
    }

    /// One line for people, shown by `systemctl status`; line breaks become spaces, lest they begin another message.
    pub fn status(&self, text: &str) -> io::Result<()> {
        self.send(&[NotifyState::Status(&text.replace(['\n', '\r'], " "))])
    }

    /// How many descriptors the manager would keep for whoever is started after us; 0 without a manager that does.
    #[must_use]
    pub fn room_for_descriptors(&self) -> usize {
        let room = std::env::var("FDSTORE").ok().and_then(|room| room.parse().ok());
        room.filter(|_| self.manager.is_some()).unwrap_or(0)
    }

    /// Has the manager keep a descriptor under this name (`FDSTORE=1`); it waits a moment for a manager that is busy.
    pub fn keep(&self, name: &str, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let Some(manager) = &self.manager else { return Ok(()) };
        // Polled or not, an end that has been hung up is for us to forget.
        let text = format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}");
        patient(|socket| {
            socket.connect_addr(manager)?;
            handout::send_patiently(socket, text.as_bytes(), descriptor)
        })
    }

    /// Has the manager forget all descriptors of this name.
    pub fn forget(&self, name: &str) -> io::Result<()> {
        let Some(manager) = &self.manager else { return Ok(()) };
        let text = format!("FDSTOREREMOVE=1\nFDNAME={name}");
        patient(|socket| socket.send_to_addr(text.as_bytes(), manager).map(drop))
    }

    /// Passes on what another process says, as it is.
    pub fn pass_on(&self, text: &str) -> io::Result<()> {
        let Some(manager) = &self.manager else { return Ok(()) };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(text.as_bytes(), manager).map(drop)
    }

    fn send(&self, states: &[NotifyState<'_>]) -> io::Result<()> {
        let Some(manager) = &self.manager else { return Ok(()) };
        let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(lines.join("\n").as_bytes(), manager)?;
        Ok(())
    }
}

/// Does it with a socket of its own, which waits a moment for a manager that is busy.
fn patient(send: impl FnOnce(&UnixDatagram) -> io::Result<()>) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    send(&socket)
}

/// The environment of this process without what its service manager meant for it alone.
pub fn inheritable_environment() -> impl Iterator<Item = (OsString, OsString)> {
    without_manager_variables(std::env::vars_os())
}

fn without_manager_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    variables.filter(|(name, _)| !MANAGER_VARIABLES.iter().any(|&private| name == private))
}

/// A leading `@` stands for the abstract namespace.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager_at(name: &OsStr) -> (UnixDatagram, Notifier) {
        let address = address(name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket, Notifier { manager: Some(address) })
    }

    fn next_message(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).expect("a message is there");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_hears_each_word() {
        let folder = tempfile::tempdir().unwrap();
        let (manager, notifier) = manager_at(folder.path().join("notify").as_os_str());
        notifier.ready().unwrap();
        assert_eq!(next_message(&manager), "READY=1");
        notifier.stopping().unwrap();
        assert_eq!(next_message(&manager), "STOPPING=1");
        notifier.status("web: 4 of 4 workers\nREADY=1").unwrap();
        assert_eq!(next_message(&manager), "STATUS=web: 4 of 4 workers READY=1");
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let name = format!("@portreeve-notify-{}", std::process::id());
        let (manager, notifier) = manager_at(OsStr::new(&name));
        notifier.reloading().unwrap();
        let message = next_message(&manager);
        let microseconds = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&message);
        assert!(microseconds.parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn without_a_manager_nothing_is_said_and_a_dead_one_is_an_error() {
        assert!(Notifier { manager: None }.ready().is_ok());
        let folder = tempfile::tempdir().unwrap();
        let (manager, notifier) = manager_at(folder.path().join("notify").as_os_str());
        drop(manager);
        assert_eq!(notifier.ready().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(address(OsStr::new(&"/".repeat(200))).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_manager_that_does_not_read_blocks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (_manager, notifier) = manager_at(folder.path().join("notify").as_os_str());
        let refused = (0..100_000).find_map(|_| notifier.ready().err()).expect("its queue has an end");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn children_do_not_see_what_the_manager_said_to_us() {
        let given = ["PATH", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC", "LISTENER"];
        let variables = given.iter().map(|&name| (OsString::from(name), OsString::from("x")));
        let kept: Vec<_> = without_manager_variables(variables).map(|(name, _)| name).collect();
        assert_eq!(kept, ["PATH", "LISTENER"]);
    }
}
