//! A service manager's ear: the socket that `NOTIFY_SOCKET` names, and what arrives on it (`sd_notify(3)`).

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The socket, bound.
#[derive(Debug)]
pub(crate) struct Notices {
    socket: UnixDatagram,
    path: PathBuf,
}

/// One datagram: `NAME=value` lines.
#[derive(Debug)]
pub(crate) struct Notice(String);

impl Notices {
    pub(crate) fn bind(path: PathBuf) -> Self {
        Self { socket: UnixDatagram::bind(&path).expect("a notify socket can be bound"), path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads on to the first datagram that holds `NAME=value`; panics with what came instead after `limit`.
    #[track_caller]
    pub(crate) fn hear(&self, name: &str, value: &str, limit: Duration) -> Notice {
        let deadline = Instant::now() + limit;
        let mut others = Vec::new();
        loop {
            match self.next(deadline) {
                Some(notice) if notice.get(name) == Some(value) => return notice,
                Some(notice) => others.push(notice),
                None => panic!("no {name}={value} within {limit:?}, only {others:?}"),
            }
        }
    }

    fn next(&self, deadline: Instant) -> Option<Notice> {
        // Zero would mean for ever (setsockopt(2), SO_RCVTIMEO).
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(left)).expect("a time limit can be set");
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(Notice(String::from_utf8_lossy(&buffer[..length]).into_owned()))
    }
}

impl Notice {
    /// The value of a line.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }
}
