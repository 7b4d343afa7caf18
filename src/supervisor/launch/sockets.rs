//! The folder in which each worker that needs one has a folder for its sockets, beside the admin socket.
//!
//! Made with the first worker that needs it, gone with the supervisor; what a supervisor left that was killed, the next
//! one clears away. Invariants: no worker gets at the folder of another user's, and nothing that belongs to somebody
//! else is removed.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::config::{Contract, Socket};
use crate::id::Serial;
use crate::sys::socket_folder::{SocketFolder, barrier};
use crate::sys::spawn::Identity;

/// Before the process ID of a supervisor.
const PREFIX: &str = "workers-";

#[derive(Debug)]
pub(in crate::supervisor) struct Sockets {
    folder: PathBuf,
    /// Whom the proxies run as, if not as we do.
    visitor: Option<Identity>,
}

impl Sockets {
    /// Clears away what supervisors have left that do not run any more.
    pub(in crate::supervisor) fn beside(admin_socket: &Path, visitor: Option<Identity>) -> Self {
        let place = admin_socket.parent().unwrap_or(Path::new("/"));
        clear(place);
        Self { folder: place.join(format!("{PREFIX}{}", std::process::id())), visitor }
    }

    /// Those of a supervisor before us, whose workers live on.
    pub(in crate::supervisor) fn adopt(folder: PathBuf, visitor: Option<Identity>) -> Self {
        Self { folder, visitor }
    }

    /// Where all of them are.
    pub(in crate::supervisor) fn place(&self) -> &Path {
        &self.folder
    }

    /// Makes a folder for one worker, if its contract asks for one; `owner`: whom it runs as, if not as we do.
    ///
    /// # Errors
    /// A sentence that names the folder.
    pub(super) fn folder(
        &self,
        serial: Serial,
        contract: Contract,
        owner: Option<&Identity>,
    ) -> Result<Option<SocketFolder>, String> {
        if contract.socket != Socket::Unix && !contract.notify {
            return Ok(None);
        }
        let visitor = self.visitor.as_ref().filter(|_| contract.socket == Socket::Unix);
        let failed = |error: io::Error| format!("folder {} for workers' sockets: {error}", self.folder.display());
        make(&self.folder).map_err(failed)?;
        for user in owner.into_iter().chain(visitor) {
            if let Some(barrier) = barrier(&self.folder, user) {
                let (folder, name) = (self.folder.display(), &user.name);
                return Err(format!("folder {folder} for workers' sockets: {name} may not pass {}", barrier.display()));
            }
        }
        SocketFolder::make(self.folder.join(serial.to_string()), owner, visitor).map(Some).map_err(failed)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // It is there only if it was needed, and empty only if all workers are gone.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Others may pass through, but not look.
fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(0o711)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_ours(folder) => Ok(()),
        Err(error) => Err(error),
    }
}

fn clear(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        // One with our own number was left by somebody who had it before us.
        let is_left = |pid: u32| pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists();
        if pid.is_some_and(is_left) && is_ours(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_ours(folder: &Path) -> bool {
    let us = fs::metadata("/proc/self").map(|itself| itself.uid());
    fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && us.is_ok_and(|us| us == found.uid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Channel, Readiness};

    fn contract(socket: Socket, notify: bool) -> Contract {
        Contract {
            socket,
            channel: Channel::Absent,
            notify,
            watchdog: None,
            ready: Readiness::Probe,
            stop_signal: crate::config::StopSignal::Term,
            node: crate::config::Node::PLAIN,
        }
    }

    #[test]
    fn folders_are_made_for_those_who_need_one_and_leave_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let sockets = Sockets::beside(&home.path().join("admin.sock"), None);
        let none = sockets.folder(Serial(1), contract(Socket::Inherit, false), None).unwrap();
        assert!(none.is_none() && fs::read_dir(home.path()).unwrap().next().is_none());
        let some = [contract(Socket::Unix, false), contract(Socket::Port, true)];
        let folders = some.map(|contract| sockets.folder(Serial(contract.notify.into()), contract, None).unwrap());
        assert!(folders.iter().all(Option::is_some));
        drop(folders);
        drop(sockets);
        assert!(fs::read_dir(home.path()).unwrap().next().is_none());
    }

    #[test]
    fn what_a_killed_supervisor_left_is_cleared_away_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let own = format!("{PREFIX}{}", std::process::id());
        let names = ["workers-999999999", &own, "workers-1", "workers-x", "workers"];
        for name in names {
            fs::create_dir_all(home.path().join(name).join("7")).unwrap();
        }
        std::os::unix::fs::symlink(home.path().join("workers"), home.path().join("workers-999999998")).unwrap();
        let _sockets = Sockets::beside(&home.path().join("admin.sock"), None);
        let left = names.map(|name| home.path().join(name).join("7").exists());
        assert_eq!(left, [false, false, true, true, true]);
    }
}
